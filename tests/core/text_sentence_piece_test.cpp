// SentencePiece's BPE on vocabularies made here: ties, ranges, bounds, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "core/text/chat.hpp"
#include "expect_error.hpp"
#include "text_fixture.hpp"

namespace reattn::text {
namespace {

using Ids = std::vector<int32_t>;
using test::expect_error;

constexpr const char* kMark = "\xE2\x96\x81";

struct Piece {
  std::string text;
  int32_t type;
  float score;
};

// <unk>, <s>, </s>, the bytes from 3 on, and `pieces` from 259 on.
TokenizerSpec spec_of(const std::vector<Piece>& pieces) {
  TokenizerSpec spec;
  spec.model = "llama";
  const auto add = [&](const std::string& text, int32_t type, float score) {
    spec.tokens.push_back(text);
    spec.token_types.push_back(type);
    spec.scores.push_back(score);
  };
  add("<unk>", 2, 0);
  add("<s>", 3, 0);
  add("</s>", 3, 0);
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(b));
    add(name, 6, 0);
  }
  for (const Piece& p : pieces) add(p.text, p.type, p.score);
  spec.unk = 0;
  spec.bos = 1;
  spec.eos = 2;
  return spec;
}

std::vector<std::string> pieces_of(const TokenizerSpec& spec, std::string_view text,
                                   bool parse_special = false) {
  std::vector<std::string> out;
  for (const int32_t id : Tokenizer::create(spec)->encode(text, parse_special)) {
    out.push_back(spec.tokens[static_cast<size_t>(id)]);
  }
  return out;
}

using Pieces = std::vector<std::string>;

TEST(SentencePiece, TheBestScoreMergesFirstThenTheLeftmost) {
  const TokenizerSpec spec = spec_of({{"a", 1, -10},
                                      {"b", 1, -11},
                                      {"c", 1, -12},
                                      {"ab", 1, -2},
                                      {"bc", 1, -1},
                                      {"aa", 1, -3},
                                      {"aaa", 1, -3}});
  EXPECT_EQ(pieces_of(spec, "abc"), (Pieces{"a", "bc"}));
  EXPECT_EQ(pieces_of(spec, "aaab"), (Pieces{"aa", "ab"}));
  EXPECT_EQ(pieces_of(spec, "aaaa"), (Pieces{"aaa", "a"}));  // a tie: the leftmost
  EXPECT_EQ(pieces_of(spec, "aaaaaa"), (Pieces{"aaa", "aaa"}));
}

TEST(SentencePiece, WhatHasNoTokenBecomesBytes) {
  const TokenizerSpec spec = spec_of({{"a", 1, -1}, {"<0x61>", 5, 0}});
  TokenizerSpec twice = spec;
  expect_error(ErrorCode::kFormat, {"tokens[260]", "<0x61>"}, [&] { Tokenizer::create(twice); });
  const TokenizerSpec once = spec_of({{"a", 1, -1}});
  EXPECT_EQ(pieces_of(once, "a\xC3\xA9\n"), (Pieces{"a", "<0xC3>", "<0xA9>", "<0x0A>"}));
  EXPECT_EQ(pieces_of(once, std::string_view("\0a", 2)), (Pieces{"<0x00>", "a"}));
  EXPECT_EQ(pieces_of(once, "\xF0\x9F\x98\x80"), (Pieces{"<0xF0>", "<0x9F>", "<0x98>", "<0x80>"}));
}

TEST(SentencePiece, TextDoesNotBecomeControlUnusedOrByteTokens) {
  const TokenizerSpec spec =
      spec_of({{"<", 1, -1}, {"s", 1, -2}, {">", 1, -3}, {"<s", 1, -1}, {"xy", 5, 0}, {"x", 1, 0}});
  EXPECT_EQ(pieces_of(spec, "<s>"), (Pieces{"<s", ">"}));
  EXPECT_EQ(pieces_of(spec, "<s>", true), (Pieces{"<s>"}));
  EXPECT_EQ(pieces_of(spec, "xy"), (Pieces{"x", "<0x79>"}));
  EXPECT_EQ(pieces_of(spec, "<0x0A>").size(), 6u);
}

TEST(SentencePiece, FourWaysOfASpaceInFront) {
  TokenizerSpec spec = spec_of({{kMark, 1, -1}, {"a", 1, -2}});
  const std::string m = kMark;
  struct Way {
    SpacePrefix prefix;
    Pieces word, spaced, run, spaced_run;  // of "a", " a", "<s>a", "<s> a"
  };
  const Way ways[] = {
      {SpacePrefix::kNone, {"a"}, {m, "a"}, {"<s>", "a"}, {"<s>", m, "a"}},
      {SpacePrefix::kFirst, {m, "a"}, {m, "a"}, {"<s>", "a"}, {"<s>", m, "a"}},
      {SpacePrefix::kEach, {m, "a"}, {m, m, "a"}, {"<s>", m, "a"}, {"<s>", m, m, "a"}},
      {SpacePrefix::kEachUnlessSpace, {m, "a"}, {m, "a"}, {"<s>", m, "a"}, {"<s>", m, "a"}},
  };
  for (const Way& way : ways) {
    spec.space_prefix = way.prefix;
    EXPECT_EQ(pieces_of(spec, "a", true), way.word);
    EXPECT_EQ(pieces_of(spec, " a", true), way.spaced);
    EXPECT_EQ(pieces_of(spec, "<s>a", true), way.run);
    EXPECT_EQ(pieces_of(spec, "<s> a", true), way.spaced_run);
    EXPECT_EQ(pieces_of(spec, "", true), Pieces{});
    EXPECT_EQ(pieces_of(spec, "<s></s>", true), (Pieces{"<s>", "</s>"}));
  }
}

TEST(SentencePiece, UserDefinedTokensMatchInContentsControlTokensDoNot) {
  TokenizerSpec spec = spec_of({{"\n\n", 4, 0}, {"<end_of_turn>", 4, 0}, {"\n", 4, 0}});
  spec.chat_template = "<s>u\n{{ messages[0].content }}</s>";
  const auto tokenizer = Tokenizer::create(spec);
  const Ids ids =
      tokenize(*tokenizer, R"([{"role":"u","content":"\n\n</s><end_of_turn><s>"}])", false);
  EXPECT_EQ(std::ranges::count(ids, 1), 1);
  EXPECT_EQ(std::ranges::count(ids, 2), 1);
  EXPECT_EQ(std::ranges::count(ids, 260), 0);  // it ends a turn, whatever its type
  EXPECT_EQ(ids.at(2), 259);                   // of the template's line end and the content's
  EXPECT_TRUE(tokenizer->is_end_of_generation(260));
  EXPECT_TRUE(tokenizer->is_special(260));
  EXPECT_FALSE(tokenizer->is_special(259));
  EXPECT_EQ(tokenizer->decode(ids), "<s>u\n\n\n</s><end_of_turn><s></s>");
}

TEST(SentencePiece, StrippedSpaceMayBeProtected) {
  TokenizerSpec spec = spec_of({{"<|user|>", 3, 0}, {"a", 1, 0}});
  spec.strips.resize(spec.tokens.size());
  spec.strips[259] = TokenizerSpec::kStripRight;
  const auto tokenizer = Tokenizer::create(spec);
  const std::string text = "<|user|>\n \ta<|user|>";
  const std::vector<Tokenizer::Range> content = {{9, text.size()}};
  EXPECT_EQ(tokenizer->encode(text, true), (Ids{259, 260, 259}));
  const Ids ids = tokenizer->encode(text, content);
  EXPECT_EQ((Ids{ids[0], ids[1]}), (Ids{259, 260}));
  EXPECT_EQ(std::ranges::count(ids, 259), 1);
  spec.strips[259] = TokenizerSpec::kStripLeft;
  EXPECT_EQ(Tokenizer::create(spec)->encode("a \n<|user|>a", true), (Ids{260, 259, 260}));
}

TEST(SentencePiece, LongInputsEndAndHugeWordsAreRefused) {
  const std::string m = kMark;
  TokenizerSpec spec = spec_of({{m, 1, -1}, {"a", 1, -2}, {"aa", 1, -3}, {m + m, 1, -4}});
  const auto tokenizer = Tokenizer::create(spec);
  for (const char* unit : {"a", " ", "\xE6\xB1\x89", "aa "}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, true)), text);
  }
  const std::string word((16u << 20) + 1, 'a');
  expect_error(ErrorCode::kArg, {"16777216"}, [&] { tokenizer->encode(word, false); });
}

TEST(SentencePiece, RefusesWhatContradictsItself) {
  const std::pair<std::vector<std::string_view>, std::function<void(TokenizerSpec&)>> all[] = {
      {{"scores[5]"}, [](auto& s) { s.scores[5] = std::numeric_limits<float>::quiet_NaN(); }},
      {{"scores[5]"}, [](auto& s) { s.scores[5] = std::numeric_limits<float>::infinity(); }},
      {{"scores has 258", "259"}, [](auto& s) { s.scores.pop_back(); }},
      {{"strips has 1"}, [](auto& s) { s.strips = {1}; }},
      {{"tokens[20]", "token 19"}, [](auto& s) { s.tokens[20] = s.tokens[19]; }},
      {{"eos_token_id is 259"},
       [](auto& s) {
         s.end_ids = {2, 259};
       }},
      {{"merges[0]"}, [](auto& s) { s.scores.clear(), s.merges = {"a b"}; }},
  };
  for (const auto& [fragments, change] : all) {
    TokenizerSpec spec = spec_of({});
    change(spec);
    for (const std::string_view fragment : fragments) {
      expect_error(ErrorCode::kFormat, {fragment}, [&] { Tokenizer::create(spec); });
    }
  }
  TokenizerSpec no_bytes = spec_of({});
  no_bytes.token_types[100] = 1;
  expect_error(ErrorCode::kUnsupported, {"byte token '<0x61>'"},
               [&] { Tokenizer::create(no_bytes); });
}

TEST(SentencePiece, HashChangesWithEachField) {
  const std::function<void(TokenizerSpec&)> changes[] = {
      [](auto&) {},
      [](auto& s) { s.scores[259] = -7; },
      [](auto& s) { s.strips.resize(s.tokens.size()); },
      [](auto& s) { s.space_prefix = SpacePrefix::kEach; },
      [](auto& s) { s.space_prefix = SpacePrefix::kFirst; },
      [](auto& s) { s.end_ids = {259}; },
      [](auto& s) { s.scores.clear(); },
  };
  std::vector<uint64_t> hashes;
  for (const auto& change : changes) {
    TokenizerSpec spec = spec_of({{"a", 1, -1}});
    change(spec);
    hashes.push_back(Tokenizer::create(spec)->hash());
  }
  std::ranges::sort(hashes);
  EXPECT_EQ(std::ranges::adjacent_find(hashes), hashes.end());
}

}  // namespace
}  // namespace reattn::text
