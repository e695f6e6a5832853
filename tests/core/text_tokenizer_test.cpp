// The tokenizer against Hugging Face's ids, its bounds, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <thread>

#include "core/io/gguf.hpp"
#include "core/text/gguf_tokenizer.hpp"
#include "expect_error.hpp"
#include "text_fixture.hpp"

namespace reattn::text {
namespace {

using Ids = std::vector<int32_t>;
using test::expect_error;
using test::small_spec;
using test::TextCase;

double seconds_of(const std::function<void()>& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void expect_ids(TokenizerSpec spec, const std::vector<TextCase>& cases) {
  const auto smollm = Tokenizer::create(spec);
  spec.pre = "gpt-2";
  const auto gpt2 = Tokenizer::create(spec);
  ASSERT_GE(cases.size(), 60u);
  for (const TextCase& c : cases) {
    EXPECT_EQ(smollm->encode(c.text, false), c.smollm) << c.text;
    EXPECT_EQ(smollm->encode(c.text, true), c.smollm_special) << c.text;
    EXPECT_EQ(gpt2->encode(c.text, false), c.gpt2) << c.text;
  }
}

TEST(Tokenizer, IdsEqualHuggingFaceOnTheSmallVocabulary) {
  const auto cases = test::read_text_cases("small_ids.txt");
  expect_ids(small_spec(), cases);
  const auto tokenizer = Tokenizer::create(small_spec());
  for (const TextCase& c : cases) {
    EXPECT_EQ(tokenizer->decode(c.smollm), c.text);
    EXPECT_EQ(tokenizer->decode(c.smollm_special), c.text);
  }
}

TEST(Tokenizer, IdsEqualHuggingFaceOnSmolLm2) {
  const char* path = std::getenv("REATTN_TEST_MODEL");
  if (path == nullptr) GTEST_SKIP() << "REATTN_TEST_MODEL names no GGUF file";
  const TokenizerSpec spec = spec_from_gguf(io::Gguf::open(path));
  EXPECT_EQ(spec.tokens.size(), 49152u);
  EXPECT_EQ(spec.pre, "smollm");
  EXPECT_EQ(spec.chat_template, test::kSmolLmTemplate);
  expect_ids(spec, test::read_text_cases("smollm2_ids.txt"));

  const auto tokenizer = Tokenizer::create(spec);
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_TRUE(tokenizer->is_end_of_generation(0));
  EXPECT_TRUE(tokenizer->is_end_of_generation(2));
  EXPECT_FALSE(tokenizer->is_end_of_generation(1));
}

TEST(Tokenizer, BytesNeedNotBeWholeCharacters) {
  const auto tokenizer = Tokenizer::create(small_spec());
  const std::string text = "\xF0\x9F\x98\x80";
  const Ids ids = tokenizer->encode(text, false);
  ASSERT_GT(ids.size(), 1u);
  std::string joined;
  for (const int32_t id : ids) joined += tokenizer->bytes(id);
  EXPECT_EQ(joined, text);
  EXPECT_EQ(tokenizer->bytes(2), "<|im_end|>");
  for (const int32_t id : {-1, tokenizer->n_vocab(), std::numeric_limits<int32_t>::min()}) {
    expect_error(ErrorCode::kArg, {std::to_string(id), std::to_string(tokenizer->n_vocab())},
                 [&] { tokenizer->bytes(id); });
    EXPECT_FALSE(tokenizer->is_special(id));
    EXPECT_FALSE(tokenizer->is_end_of_generation(id));
  }
}

TEST(Tokenizer, SpecialTokensStayTextUnlessAskedFor) {
  const auto tokenizer = Tokenizer::create(small_spec());
  const std::string text = "a<|im_end|>b<|im_end|>";
  EXPECT_EQ(std::ranges::count(tokenizer->encode(text, true), 2), 2);
  EXPECT_EQ(std::ranges::count(tokenizer->encode(text, false), 2), 0);

  const std::vector<Tokenizer::Range> first = {{0, 12}};
  EXPECT_EQ(std::ranges::count(tokenizer->encode(text, first), 2), 1);
  // A range over one byte of a special token keeps the whole of it from matching.
  const std::vector<Tokenizer::Range> both = {{10, 11}, {13, 14}};
  EXPECT_EQ(tokenizer->encode(text, both), tokenizer->encode(text, false));
  const std::vector<Tokenizer::Range> none = {{5, 5}};
  EXPECT_EQ(tokenizer->encode("a b<|im_end|>", none), tokenizer->encode("a b<|im_end|>", true));

  for (const std::vector<Tokenizer::Range>& bad :
       {std::vector<Tokenizer::Range>{{4, 2}}, {{3, 5}, {4, 6}}, {{0, 99}}}) {
    expect_error(ErrorCode::kArg, {"protected range"}, [&] { tokenizer->encode(text, bad); });
  }
  expect_error(ErrorCode::kArg, {"protected range"}, [&] {
    tokenizer->encode("\xC3\xA9", std::vector<Tokenizer::Range>{{0, 1}});
  });
}

TEST(Tokenizer, InvalidUtf8NamesTheByte) {
  const auto tokenizer = Tokenizer::create(small_spec());
  for (const std::string_view bad : {"abc\xFF", "abc\xC3", "abc\xED\xA0\x80", "abc\xC0\x80z"}) {
    expect_error(ErrorCode::kArg, {"byte 3"}, [&] { tokenizer->encode(bad, true); });
  }
}

TEST(Tokenizer, LongInputsTakeSeconds) {
  const auto tokenizer = Tokenizer::create(small_spec());
  for (const char* unit : {"a", " ", "7", "\xE6\xB1\x89"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    text += "x";
    Ids ids;
    EXPECT_LT(seconds_of([&] { ids = tokenizer->encode(text, true); }), 20.0) << unit;
    EXPECT_EQ(tokenizer->decode(ids), text) << unit;
  }
}

TEST(Tokenizer, AWordBeyondTheBoundIsRefused) {
  const auto tokenizer = Tokenizer::create(small_spec());
  const std::string word((16u << 20) + 1, 'a');
  expect_error(ErrorCode::kArg, {"16777217", "16777216"}, [&] { tokenizer->encode(word, false); });
}

TEST(Tokenizer, CallsMayOverlap) {
  const auto tokenizer = Tokenizer::create(small_spec());
  const auto cases = test::read_text_cases("small_ids.txt");
  std::vector<int> n_wrong(4);
  std::vector<std::thread> threads;
  for (int& wrong : n_wrong) {
    threads.emplace_back([&] {
      for (const TextCase& c : cases) wrong += tokenizer->encode(c.text, true) != c.smollm_special;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(n_wrong, std::vector<int>(4));
}

TEST(Tokenizer, HashChangesWithEachField) {
  const std::vector<std::function<void(TokenizerSpec&)>> changes = {
      [](auto&) {},
      [](auto& s) { s.pre = "gpt-2"; },
      [](auto& s) { s.token_types[300] = 5; },
      [](auto& s) { std::swap(s.merges[10], s.merges[11]); },
      [](auto& s) { s.bos = 3; },
      [](auto& s) { s.eos = 3; },
      [](auto& s) { s.add_bos = true; },
      [](auto& s) { s.chat_template += " "; },
      [](auto& s) { s.tokens.push_back("\xC4\xA0zz"), s.token_types.push_back(1); },
  };
  std::vector<uint64_t> hashes;
  for (const auto& change : changes) {
    TokenizerSpec spec = small_spec();
    change(spec);
    hashes.push_back(Tokenizer::create(spec)->hash());
  }
  EXPECT_EQ(hashes[0], Tokenizer::create(small_spec())->hash());
  std::ranges::sort(hashes);
  EXPECT_EQ(std::ranges::adjacent_find(hashes), hashes.end());
}

TEST(Tokenizer, RefusesMetadataThatContradictsItself) {
  struct Bad {
    ErrorCode code;
    std::vector<std::string_view> fragments;
    std::function<void(TokenizerSpec&)> change;
  };
  const int32_t n = Tokenizer::create(small_spec())->n_vocab();
  const Bad all[] = {
      {ErrorCode::kUnsupported,
       {"tokenizer.ggml.model", "bert"},
       [](auto& s) { s.model = "bert"; }},
      {ErrorCode::kUnsupported,
       {"tokens has no byte token '<0x00>'"},
       [](auto& s) { s.model = "llama"; }},
      {ErrorCode::kUnsupported, {"tokenizer.ggml.pre", "qwen9"}, [](auto& s) { s.pre = "qwen9"; }},
      {ErrorCode::kFormat, {"tokenizer.ggml.pre", "UTF-8"}, [](auto& s) { s.pre = "\xFF"; }},
      {ErrorCode::kUnsupported,
       {"add_space_prefix"},
       [](auto& s) { s.space_prefix = SpacePrefix::kEach; }},
      {ErrorCode::kFormat, {"tokenizer.ggml.tokens"}, [](auto& s) { s.tokens.clear(); }},
      {ErrorCode::kFormat, {"token_type", "639", "640"}, [](auto& s) { s.token_types.pop_back(); }},
      {ErrorCode::kFormat, {"token_type[7]", "9"}, [](auto& s) { s.token_types[7] = 9; }},
      {ErrorCode::kFormat, {"bos_token_id", "640"}, [n](auto& s) { s.bos = n; }},
      {ErrorCode::kFormat, {"eos_token_id", "-2"}, [](auto& s) { s.eos = -2; }},
      {ErrorCode::kFormat, {"padding_token_id"}, [](auto& s) { s.pad = 1 << 30; }},
      {ErrorCode::kFormat, {"tokens[9]", "token 8"}, [](auto& s) { s.tokens[9] = s.tokens[8]; }},
      {ErrorCode::kFormat, {"tokens[9]", "65537"}, [](auto& s) { s.tokens[9].assign(65537, 'q'); }},
      {ErrorCode::kFormat, {"tokens[9]", "UTF-8"}, [](auto& s) { s.tokens[9] = "a\xFF"; }},
      {ErrorCode::kFormat, {"merges[0]", "zzz"}, [](auto& s) { s.merges[0] = "a zzz"; }},
      {ErrorCode::kFormat, {"merges[0]", "qZ"}, [](auto& s) { s.merges[0] = "q Z"; }},
      {ErrorCode::kFormat, {"merges[1]"}, [](auto& s) { s.merges[1] = "ab"; }},
      {ErrorCode::kFormat, {"merges[1]"}, [](auto& s) { s.merges[1] = "a b c"; }},
      {ErrorCode::kFormat, {"merges[1]"}, [](auto& s) { s.merges[1] = ""; }},
      {ErrorCode::kFormat, {"merges[1]"}, [](auto& s) { s.merges[1] = " a"; }},
      {ErrorCode::kFormat, {"merges[1]"}, [](auto& s) { s.merges[1] = std::string(70000, 'a'); }},
      {ErrorCode::kUnsupported,
       {"merges[", "special token 2"},
       [](auto& s) {
         s.tokens.push_back("<|im_end|");
         s.token_types.push_back(1);
         s.merges.push_back("<|im_end| >");
       }},
      {ErrorCode::kFormat, {"chat_template"}, [](auto& s) { s.chat_template = "\xFF"; }},
      {ErrorCode::kUnsupported,
       {"tokens", "2000001", "2000000"},
       [](auto& s) {
         s.tokens.resize(2'000'001);
         s.token_types.assign(2'000'001, 1);
       }},
  };
  for (const Bad& bad : all) {
    TokenizerSpec spec = small_spec();
    bad.change(spec);
    try {
      Tokenizer::create(spec);
      ADD_FAILURE() << "accepted: " << bad.fragments.front();
    } catch (const Error& e) {
      EXPECT_EQ(static_cast<int>(e.code()), static_cast<int>(bad.code)) << e.what();
      for (const std::string_view fragment : bad.fragments) {
        EXPECT_NE(std::string_view(e.what()).find(fragment), std::string_view::npos)
            << "'" << fragment << "' is not in: " << e.what();
      }
    }
  }
}

}  // namespace
}  // namespace reattn::text
