// tokenizer.* keys of the wrong type, length or range.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>

#include "core/text/gguf_tokenizer.hpp"
#include "expect_error.hpp"
#include "tests/support/gguf_builder.hpp"
#include "text_fixture.hpp"

namespace reattn::text {
namespace {

using test::expect_error;
using test::GgufBuilder;

// The small vocabulary in a file, with one key left to the caller.
GgufBuilder without(std::string_view left_out) {
  const TokenizerSpec spec = test::small_spec();
  GgufBuilder b;
  const auto add = [&](std::string_view key, const std::function<void(std::string_view)>& f) {
    if (key != left_out) f(key);
  };
  add("tokenizer.ggml.model", [&](auto key) { b.kv_str(key, spec.model); });
  add("tokenizer.ggml.pre", [&](auto key) { b.kv_str(key, spec.pre); });
  add("tokenizer.ggml.tokens", [&](auto key) { b.kv_arr_str(key, spec.tokens); });
  add("tokenizer.ggml.token_type", [&](auto key) { b.kv_arr_i32(key, spec.token_types); });
  add("tokenizer.ggml.merges", [&](auto key) { b.kv_arr_str(key, spec.merges); });
  add("tokenizer.ggml.bos_token_id", [&](auto key) { b.kv_u32(key, 1); });
  add("tokenizer.ggml.eos_token_id", [&](auto key) { b.kv_u32(key, 2); });
  add("tokenizer.ggml.unknown_token_id", [&](auto key) { b.kv_u32(key, 0); });
  add("tokenizer.ggml.add_bos_token", [&](auto key) { b.kv_bool(key, false); });
  add("tokenizer.chat_template", [&](auto key) { b.kv_str(key, spec.chat_template); });
  return b;
}

TokenizerSpec read(const GgufBuilder& builder) {
  const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const auto path = std::filesystem::temp_directory_path() /
                    ("reattn_" + std::to_string(::getpid()) + name + ".gguf");
  builder.write(path.string());
  struct Remove {
    std::filesystem::path path;
    ~Remove() { std::filesystem::remove(path); }
  } remove{path};
  return spec_from_gguf(io::Gguf::open(path.string()));
}

TEST(GgufTokenizer, ReadsWhatTheFileSays) {
  const TokenizerSpec spec = read(without(""));
  EXPECT_EQ(Tokenizer::create(spec)->hash(), Tokenizer::create(test::small_spec())->hash());
  EXPECT_EQ(read(without("tokenizer.ggml.pre")).pre, "default");
  EXPECT_EQ(read(without("tokenizer.ggml.bos_token_id")).bos, -1);
  EXPECT_EQ(read(without("tokenizer.chat_template")).chat_template, "");
}

TEST(GgufTokenizer, SentencePieceHasLlama2sDefaults) {
  GgufBuilder b;
  b.kv_str("tokenizer.ggml.model", "llama");
  b.kv_arr_str("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "a"});
  b.kv_arr_i32("tokenizer.ggml.token_type", {2, 3, 3, 1});
  b.kv_arr_f32("tokenizer.ggml.scores", {0, 0, 0, -1.5f});
  const TokenizerSpec spec = read(b);
  EXPECT_EQ(spec.bos, 1);
  EXPECT_EQ(spec.eos, 2);
  EXPECT_EQ(spec.unk, 0);
  EXPECT_TRUE(spec.add_bos);
  EXPECT_FALSE(spec.add_eos);
  EXPECT_EQ(spec.space_prefix, SpacePrefix::kEach);
  EXPECT_EQ(spec.scores, (std::vector<float>{0, 0, 0, -1.5f}));

  b.kv_bool("tokenizer.ggml.add_bos_token", false);
  b.kv_bool("tokenizer.ggml.add_space_prefix", false);
  EXPECT_FALSE(read(b).add_bos);
  EXPECT_EQ(read(b).space_prefix, SpacePrefix::kNone);
}

TEST(GgufTokenizer, PreTokenizersMeanMoreThanASplit) {
  struct Row {
    const char* pre;
    bool whole_words_first, composes, add_bos;
  };
  for (const Row& row : {Row{"llama-bpe", true, false, true}, Row{"qwen2", false, true, false},
                         Row{"smollm", false, false, false}}) {
    GgufBuilder b = without("tokenizer.ggml.pre").without_kv("tokenizer.ggml.add_bos_token");
    const TokenizerSpec spec = read(b.kv_str("tokenizer.ggml.pre", row.pre));
    EXPECT_EQ(spec.whole_words_first, row.whole_words_first) << row.pre;
    EXPECT_EQ(spec.composes, row.composes) << row.pre;
    EXPECT_EQ(spec.add_bos, row.add_bos) << row.pre;
  }
}

TEST(GgufTokenizer, RefusesKeysOfTheWrongKind) {
  struct Bad {
    ErrorCode code;
    std::string_view key;
    std::function<void(GgufBuilder&, std::string_view)> add;
  };
  const Bad all[] = {
      {ErrorCode::kUnsupported, "tokenizer.ggml.model", [](auto&, auto) {}},
      {ErrorCode::kUnsupported, "tokenizer.ggml.model", [](auto& b, auto k) { b.kv_str(k, "t5"); }},
      {ErrorCode::kFormat, "tokenizer.ggml.model", [](auto& b, auto k) { b.kv_u32(k, 1); }},
      {ErrorCode::kFormat, "tokenizer.ggml.model", [](auto& b, auto k) { b.kv_str(k, "\xFF"); }},
      {ErrorCode::kFormat, "tokenizer.ggml.pre", [](auto& b, auto k) { b.kv_str(k, "\xFF"); }},
      {ErrorCode::kFormat, "tokenizer.ggml.tokens", [](auto&, auto) {}},
      {ErrorCode::kFormat, "tokenizer.ggml.tokens", [](auto& b, auto k) { b.kv_str(k, "a"); }},
      {ErrorCode::kFormat, "tokenizer.ggml.tokens",
       [](auto& b, auto k) { b.kv_arr_str(k, {"a"}); }},
      {ErrorCode::kFormat, "tokenizer.ggml.tokens",
       [](auto& b, auto k) { b.kv_arr_i32(k, std::vector<int32_t>(640)); }},
      {ErrorCode::kFormat, "tokenizer.ggml.token_type", [](auto&, auto) {}},
      {ErrorCode::kFormat, "tokenizer.ggml.token_type",
       [](auto& b, auto k) { b.kv_arr_f32(k, std::vector<float>(640, 1)); }},
      {ErrorCode::kFormat, "tokenizer.ggml.token_type[0]",
       [](auto& b, auto) {
         b.kv_arr_i32("tokenizer.ggml.token_type", std::vector<int32_t>(640, 0));
       }},
      {ErrorCode::kFormat, "tokenizer.ggml.merges", [](auto&, auto) {}},
      {ErrorCode::kFormat, "tokenizer.ggml.merges", [](auto& b, auto k) { b.kv_u32(k, 1); }},
      {ErrorCode::kFormat, "tokenizer.ggml.bos_token_id",
       [](auto& b, auto k) { b.kv_u32(k, 640); }},
      {ErrorCode::kFormat, "tokenizer.ggml.eos_token_id",
       [](auto& b, auto k) { b.kv_str(k, "2"); }},
      {ErrorCode::kFormat, "tokenizer.ggml.add_bos_token", [](auto& b, auto k) { b.kv_u32(k, 1); }},
      {ErrorCode::kFormat, "tokenizer.chat_template", [](auto& b, auto k) { b.kv_str(k, "\xC3"); }},
  };
  for (const Bad& bad : all) {
    const std::string_view key = bad.key.substr(0, bad.key.find('['));
    GgufBuilder builder = without(key);
    bad.add(builder, key);
    expect_error(bad.code, {bad.key}, [&] { read(builder); });
  }
}

}  // namespace
}  // namespace reattn::text
