// JSON schemas over tokens: what may follow what, and what is refused.
#include "core/text/json_schema.hpp"

#include <optional>

#include "tests/core/expect_error.hpp"
#include "tests/core/text_fixture.hpp"

namespace reattn::text {
namespace {

using test::expect_error;

const Tokenizer& tokenizer() {
  static const std::unique_ptr<Tokenizer> made = Tokenizer::create(test::small_spec());
  return *made;
}

const Vocabulary& vocabulary() {
  static const Vocabulary made(tokenizer());
  return made;
}

bool allows(std::span<const uint32_t> mask, int32_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> id % 32 & 1) != 0;
}

// Bytes of `text` that the schema takes, token by token; all of them and whether it may end there.
struct Taken {
  std::string text;
  bool may_end = false;
  bool is_complete = false;
};

Taken take(std::string_view schema_text, std::string_view text) {
  JsonSchema schema(vocabulary(), schema_text);
  Taken taken;
  for (const int32_t id : tokenizer().encode(text, false)) {
    if (schema.is_complete() || !allows(schema.mask(), id)) return taken;
    schema.accept(id);
    taken.text += tokenizer().bytes(id);
  }
  taken.is_complete = schema.is_complete();
  taken.may_end = taken.is_complete || allows(schema.mask(), tokenizer().eos());
  return taken;
}

constexpr const char* kRoom = R"({
  "type": "object",
  "properties": {"room": {"enum": ["attic", "cellar"]}, "doors": {"type": "integer", "minimum": 1}},
  "required": ["room", "doors"],
  "additionalProperties": false
})";

TEST(JsonSchema, TakesWhatItAllows) {
  for (const std::string text :
       {R"({"room":"attic","doors":2})", R"({"room": "cellar", "doors": 41})",
        "{\n  \"room\": \"attic\",\n  \"doors\": 1\n}"}) {
    const Taken taken = take(kRoom, text);
    EXPECT_EQ(taken.text, text);
    EXPECT_TRUE(taken.is_complete) << text << ": nothing may follow the closing bracket";
  }
}

TEST(JsonSchema, TakesNothingElse) {
  const auto first_wrong = [](std::string_view text) { return take(kRoom, text).text.size(); };
  const std::string wrong_room = R"({"room":"bath")", wrong_number = R"({"room":"attic","doors":0)";
  EXPECT_LT(first_wrong(wrong_room), wrong_room.size());
  EXPECT_GE(first_wrong(wrong_room), std::string_view(R"({"room":)").size());
  EXPECT_LT(first_wrong(wrong_number), wrong_number.size());
  EXPECT_EQ(first_wrong("[1]"), 0u);
  EXPECT_EQ(first_wrong("Sure!"), 0u);
}

TEST(JsonSchema, EndsOnlyWhereTheTextIsComplete) {
  EXPECT_FALSE(take(kRoom, R"({"room":"attic")").may_end);
  const Taken number = take(R"({"type":"integer"})", "41");
  EXPECT_TRUE(number.may_end);
  EXPECT_FALSE(number.is_complete) << "another digit may follow";
}

TEST(JsonSchema, SpecialTokensAreNoText) {
  JsonSchema schema(vocabulary(), R"({"type":"string"})");
  schema.accept(tokenizer().encode("\"", false).front());
  const std::span<const uint32_t> mask = schema.mask();
  for (int32_t id = 0; id < tokenizer().n_vocab(); ++id) {
    if (tokenizer().is_special(id)) {
      EXPECT_FALSE(allows(mask, id)) << id;
    }
  }
  EXPECT_TRUE(allows(mask, tokenizer().encode("a", false).front()));
}

TEST(JsonSchema, CharactersMayBeSplitAcrossTokens) {
  const std::string text = "\"caf\u00e9 \U0001F41F \u4e2d\"";
  EXPECT_EQ(take(R"({"type":"string"})", text).text, text);
  EXPECT_LT(take(R"({"type":"string"})", "\"\n").text.size(), 2u) << "must be escaped";
}

TEST(JsonSchema, WhiteSpaceHasAnEnd) {
  const std::string many(200, ' ');
  EXPECT_LE(take(kRoom, "{" + many).text.size(), 65u);
}

TEST(JsonSchema, TakesOptionsThatKeepItJson) {
  const char* tight = R"({"x-guidance": {"whitespace_flexible": false}, "type": "array"})";
  EXPECT_EQ(take(tight, "[1,2]").text, "[1,2]");
  EXPECT_EQ(take(tight, "[ 1]").text.size(), 1u);
  const char* one_of =
      R"({"x-guidance": {"coerce_one_of": true}, "oneOf": [{"minimum": 1}, {"maximum": 3}]})";
  EXPECT_EQ(take(one_of, "2").text, "2");
  expect_error(ErrorCode::kArg, {"x-guidance", "no option 'item_separator'"}, [] {
    JsonSchema(vocabulary(), R"({"x-guidance": {"item_separator": ";"}, "type": "array"})");
  });
}

TEST(JsonSchema, FollowsReferences) {
  const char* tree = R"({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object",
    "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
    "required": ["kids"], "additionalProperties": false}}})";
  const std::string text = R"({"kids":[{"kids":[]},{"kids":[{"kids":[]}]}]})";
  EXPECT_EQ(take(tree, text).text, text);
  EXPECT_TRUE(take(tree, text).is_complete);
}

TEST(JsonSchema, RefusesWhatIsNoSchema) {
  const auto make = [](std::string text) {
    return [text] { const JsonSchema schema(vocabulary(), text); };
  };
  expect_error(ErrorCode::kArg, {"JSON schema: not JSON", "line 1 column 0"}, make(""));
  expect_error(ErrorCode::kArg, {"not JSON", "line 1 column 10"}, make(R"({"type": ])"));
  expect_error(ErrorCode::kArg, {"want an object, true or false"}, make("[]"));
  expect_error(ErrorCode::kArg, {"nonsense"}, make(R"({"type": "nonsense"})"));
  expect_error(ErrorCode::kArg, {"#/$defs/none"}, make(R"({"$ref": "#/$defs/none"})"));
  expect_error(ErrorCode::kArg, {"nsatisfiable"}, make("false"));
  expect_error(ErrorCode::kArg, {"262145 bytes; at most 262144"}, make(std::string(262145, ' ')));
  expect_error(ErrorCode::kUnsupported, {"uniqueItems"},
               make(R"({"type": "array", "uniqueItems": true})"));
}

TEST(JsonSchema, RefusesWhatTakesTooMuch) {
  // Nested deeper than the parser goes.
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += R"({"items":)";
  expect_error(ErrorCode::kArg, {"recursion limit"},
               [&] { JsonSchema(vocabulary(), deep + "{}" + std::string(200, '}')); });
  std::string wide = R"({"prefixItems":[)";
  for (int i = 0; i < 60'000; ++i) wide += "{},";
  expect_error(ErrorCode::kUnsupported, {"too large"},
               [&] { JsonSchema(vocabulary(), wide + "{}]}"); });
  expect_error(ErrorCode::kUnsupported, {"fuel exhausted"},
               [] { JsonSchema(vocabulary(), R"({"type": "integer", "multipleOf": 999999937})"); });
}

TEST(JsonSchema, AValueWithoutEndIsFoundWhenNothingGoesOn) {
  JsonSchema schema(vocabulary(), R"({"$ref": "#"})");
  expect_error(ErrorCode::kUnsupported, {"none of the vocabulary goes on"}, [&] { schema.mask(); });
}

TEST(JsonSchema, AModelWithoutTheBytesCannotWriteIt) {
  TokenizerSpec words{.model = "gpt2", .pre = "gpt-2"};
  words.tokens = {"one", "two"};
  words.token_types = {1, 1};
  const Vocabulary without(*Tokenizer::create(words));
  JsonSchema schema(without, "{}");
  expect_error(ErrorCode::kUnsupported, {"no token can be chosen"}, [&] { schema.mask(); });
}

}  // namespace
}  // namespace reattn::text
