// JSON of a model's folder: what is read, what is refused, and the getters.
#include <gtest/gtest.h>

#include "core/io/json.hpp"
#include "tests/core/expect_error.hpp"

namespace reattn::io {
namespace {

using test::expect_error;

Json parse(std::string_view text) {
  return parse_json(text, "config.json");
}
JsonObject object(const Json& json) {
  return JsonObject(json, "config.json");
}

TEST(Json, ReadsEveryKindOfValue) {
  const Json json = parse(
      R"({"n":null,"b":true,"i":-7,"big":18446744073709551615,"f":2.5,"s":"\u00e9","a":[1,[]],"o":{"k":"v"}})");
  const JsonObject o = object(json);
  EXPECT_EQ(o.find("n"), nullptr);
  EXPECT_EQ(o.find("missing"), nullptr);
  EXPECT_EQ(o.find_bool("b"), true);
  EXPECT_EQ(o.get_int("i", -7, 0), -7);
  EXPECT_EQ(o.get_float("i", -10, 10), -7);
  EXPECT_EQ(o.get_float("big", 0, 1e30), 18446744073709551616.0);
  EXPECT_EQ(o.get_float("f", 0, 10), 2.5);
  EXPECT_EQ(o.get_string("s"), "\u00e9");
  EXPECT_EQ(o.get_array("a").size(), 2u);
  EXPECT_EQ(o.find_object("o")->get_string("k"), "v");
  EXPECT_EQ(json.text(200),
            R"({"n": null, "b": true, "i": -7, "big": 1.8446744073709552e+19, "f": 2.5, )"
            "\"s\": \"\u00e9\", \"a\": [1, []], \"o\": {\"k\": \"v\"}}");
}

TEST(Json, GettersNameTheKey) {
  const Json json = parse(R"({"i":70000,"f":0.5,"s":"x","o":{"deep":1}})");
  const JsonObject o = object(json);
  const auto refused = [](std::initializer_list<std::string_view> words, auto&& f) {
    expect_error(ErrorCode::kFormat, words, f);
  };
  refused({"config.json: 'i' is 70000, expected an integer from 1 to 9"},
          [&] { o.get_int("i", 1, 9); });
  refused({"'f' is 0.5", "integer"}, [&] { o.get_int("f", 0, 9); });
  refused({"'s' is x", "number from 0.0 to 1.0"}, [&] { o.get_float("s", 0, 1); });
  refused({"'i' is 70000", "number"}, [&] { o.find_float("i", 0, 1); });
  refused({"'s' is x", "true or false"}, [&] { o.find_bool("s"); });
  refused({"'f' is 0.5", "string"}, [&] { o.find_string("f"); });
  refused({"'f' is 0.5", "array"}, [&] { o.get_array("f"); });
  refused({"'f' is a number, expected an object"}, [&] { o.find_object("f"); });
  refused({"'o.deep' is 1", "string"}, [&] { o.find_object("o")->get_string("deep"); });
  refused({"'nothing' is missing"}, [&] { o.get_int("nothing", 0, 1); });
  refused({"'nothing' is missing"}, [&] { o.get_array("nothing"); });
  refused({"is an array, expected an object"}, [&] { object(parse("[]")); });
}

TEST(Json, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"",         " ",        "{",       "{}}",       "{} x",
        "[1,]",     "{\"a\":}", "{'a':1}", "nul",       "01",
        "1.",       "+1",       "NaN",     "1e999",     "\"\\ud800\"",
        "\"\x01\"", "\"\xFF\"", "\"open",  "{\"a\" 1}", "// comment\n{}",
        "[1 2]"}) {
    expect_error(ErrorCode::kFormat, {"config.json: not JSON at byte"}, [&] { parse(text); });
  }
  expect_error(ErrorCode::kFormat, {"config.json: not JSON"}, [&] { parse({"{}\0", 3}); });
  expect_error(ErrorCode::kFormat, {"key 'a' occurs twice"},
               [] { parse(R"({"a":1,"b":2,"a":1})"); });
  expect_error(ErrorCode::kFormat, {"key 'a' occurs twice"},
               [] { parse(R"([{"o":{"a":1,"\u0061":2}}])"); });
}

TEST(Json, IsBounded) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_NO_THROW(parse(nested(kMaxJsonDepth)));
  expect_error(ErrorCode::kUnsupported, {"16 deep"}, [&] { parse(nested(kMaxJsonDepth + 1)); });
  expect_error(ErrorCode::kUnsupported, {"deep"}, [&] { parse(nested(1'000'000)); });
  const auto list = [](size_t n) {
    std::string out = "[0";
    for (size_t i = 1; i < n; ++i) out += ",0";
    return out + "]";
  };
  EXPECT_NO_THROW(parse(list(kMaxJsonValues - 1)));
  expect_error(ErrorCode::kUnsupported, {"more than 262144 values"},
               [&] { parse(list(kMaxJsonValues)); });
  expect_error(ErrorCode::kUnsupported, {"8388609 bytes"},
               [&] { parse(std::string(kMaxJsonBytes + 1, ' ')); });
}

}  // namespace
}  // namespace reattn::io
