// Tiny random models of each family against what the transformers library computes with them (make_families.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/cache/kv_cache.hpp"
#include "core/cache/snapshot.hpp"
#include "core/io/gguf.hpp"
#include "core/model/decoder.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/gguf_builder.hpp"

namespace reattn::model {
namespace {

constexpr size_t kShort = 24;

struct Golden {
  std::vector<int32_t> prompt, greedy;
  std::vector<float> logits_short, logits_long;

  explicit Golden(const io::Gguf& file)
      : prompt(ids(file, "test.prompt")),
        greedy(ids(file, "test.greedy")),
        logits_short(file.get_floats("test.logits_short")),
        logits_long(file.get_floats("test.logits_long")) {}

 private:
  static std::vector<int32_t> ids(const io::Gguf& file, const char* key) {
    const std::vector<int64_t> wide = file.get_ints(key);
    return {wide.begin(), wide.end()};
  }
};

class Families : public testing::TestWithParam<const char*> {
 protected:
  Families() {
    settings_.selection = select::Selection::kFull;
    settings_.kv_dtype = kernels::DType::kF32;
    settings_.chunk = 32;
    weights_ =
        std::make_unique<Weights>(file_, config_, WeightType::kAuto, device_, LoadObserver{});
    rope_ = std::make_shared<Rope>(device_, config_, config_.n_window);
    decoder_ = std::make_unique<Decoder>(device_, config_, *weights_, rope_, settings_);
    forget();
  }

  void forget() {
    cache_ = std::make_unique<cache::KvCache>(
        device_,
        cache::layout_of(config_.n_layers, config_.n_kv_heads, config_.head_dim, settings_));
    n_tokens_ = 0;
  }

  // Logits after the ids, which go through the layers in as many steps as they need.
  std::vector<float> read(std::span<const int32_t> ids) {
    std::vector<float> out(static_cast<size_t>(config_.n_vocab));
    while (!ids.empty()) {
      const auto n = std::min(ids.size(), static_cast<size_t>(decoder_->max_rows()));
      const int64_t end = n_tokens_ + static_cast<int64_t>(n);
      cache_->reserve(stream_, n_tokens_, end);
      const Part part{ids.first(n), n_tokens_, cache_.get()};
      decoder_->begin(stream_, {&part, 1});
      while (!decoder_->run_layer(stream_)) {
      }
      const float* logits = decoder_->logits(stream_, decoder_->chunks().back());
      device_->download(stream_, out.data(), logits, out.size() * sizeof(float));
      cache_->commit(end);
      n_tokens_ = end;
      ids = ids.subspan(n);
    }
    return out;
  }

  // Of the largest logit.
  static void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
    ASSERT_EQ(got.size(), want.size());
    float size = 0;
    for (const float x : want) size = std::max(size, std::fabs(x));
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-3F * size) << i;
  }

  io::Gguf file_ =
      io::Gguf::open(std::string(REATTN_TEST_DATA "/families/") + GetParam() + ".gguf");
  Golden golden_{file_};
  Config config_ = config_from_gguf(file_);
  select::Settings settings_;
  std::shared_ptr<kernels::Device> device_ = kernels::make_cpu_device(1);
  kernels::Stream stream_;
  std::unique_ptr<Weights> weights_;
  std::shared_ptr<const Rope> rope_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<cache::KvCache> cache_;
  int64_t n_tokens_ = 0;
};

TEST_P(Families, LogitsAreThoseOfTransformers) {
  const std::span prompt(golden_.prompt);
  ASSERT_EQ(prompt.size(), 150u);
  expect_near(read(prompt.first(kShort)), golden_.logits_short);
  forget();
  expect_near(read(prompt), golden_.logits_long);
}

TEST_P(Families, GreedyTokensAreThoseOfTransformers) {
  ASSERT_EQ(golden_.greedy.size(), 64u);
  std::vector<float> logits = read(std::span(golden_.prompt).first(kShort));
  std::vector<int32_t> tokens;
  while (true) {
    const auto best = std::max_element(logits.begin(), logits.end());
    tokens.push_back(static_cast<int32_t>(best - logits.begin()));
    if (tokens.size() == golden_.greedy.size()) break;
    logits = read({&tokens.back(), 1});
  }
  EXPECT_EQ(tokens, golden_.greedy);
}

// Layers with a sliding window keep it and recall nothing; the others recall as in any family.
TEST(SlidingLayers, OnlyTheOthersRecall) {
  const io::Gguf file = io::Gguf::open(REATTN_TEST_DATA "/families/gemma3.gguf");
  const Config config = config_from_gguf(file);
  ASSERT_EQ(config.n_sliding, 20);
  const std::shared_ptr<kernels::Device> device = kernels::make_cpu_device(1);
  const Weights weights(file, config, WeightType::kAuto, device, {});
  select::Settings settings;
  settings.n_global = 4;
  settings.n_local = 32;
  settings.top_k = 2;
  settings.span = 4;
  settings.n_anchors = 6;
  settings.chunk = 16;
  settings.kv_dtype = kernels::DType::kF32;
  const auto rope = std::make_shared<Rope>(device, config, select::scope(settings));
  Decoder decoder(device, config, weights, rope, settings);
  cache::KvCache cache(
      device, cache::layout_of(config.n_layers, config.n_kv_heads, config.head_dim, settings));
  const Golden golden(file);
  kernels::Stream stream;
  for (int64_t begin = 0; begin < 144; begin += settings.chunk) {
    cache.reserve(stream, begin, begin + settings.chunk);
    const Part part{std::span(golden.prompt).subspan(static_cast<size_t>(begin), 16), begin,
                    &cache};
    decoder.begin(stream, {&part, 1});
    while (!decoder.run_layer(stream)) {
    }
    cache.commit(begin + settings.chunk);
  }
  const auto anchors = decoder.read_anchors(stream);
  ASSERT_EQ(anchors.size(), 6u);
  for (size_t layer = 0; layer < 6; ++layer) {
    EXPECT_EQ(anchors[layer][0].empty(), layer != 5) << layer;
  }
}

// A header with hyper-parameters that are all in order.
test::GgufBuilder header(const std::string& architecture) {
  test::GgufBuilder b;
  b.kv_str("general.architecture", architecture);
  const std::pair<const char*, uint32_t> sizes[] = {
      {"block_count", 1},          {"context_length", 512},     {"embedding_length", 32},
      {"feed_forward_length", 64}, {"attention.head_count", 2}, {"vocab_size", 10}};
  for (const auto& [key, value] : sizes) b.kv_u32(architecture + "." + key, value);
  b.kv_f32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5F);
  return b;
}

Config config_of(const test::GgufBuilder& b) {
  const test::TemporaryDirectory folder;
  b.write(folder.file("model.gguf"));
  return config_from_gguf(io::Gguf::open(folder.file("model.gguf")));
}

TEST(FamilyConfig, RefusesWhatItDoesNotHave) {
  const auto refused = [](ErrorCode code, std::initializer_list<std::string_view> words,
                          const test::GgufBuilder& b) {
    test::expect_error(code, words, [&] { config_of(b); });
  };
  refused(ErrorCode::kUnsupported, {"'mamba'", "'llama'", "'qwen3'", "'gemma3'"}, header("mamba"));
  refused(ErrorCode::kUnsupported, {"phi3.rope.scaling.type", "'yarn'"},
          header("phi3").kv_str("phi3.rope.scaling.type", "yarn"));
  refused(ErrorCode::kUnsupported, {"llama.expert_count", "experts"},
          header("llama").kv_u32("llama.expert_count", 8));
  refused(ErrorCode::kUnsupported, {"gemma3.final_logit_softcapping", "capped"},
          header("gemma3").kv_f32("gemma3.final_logit_softcapping", 30));
  refused(ErrorCode::kFormat, {"gemma3.attention.sliding_window", "missing"}, header("gemma3"));
  const auto factors = [](std::vector<float> values) {
    const auto n = static_cast<int64_t>(values.size());
    const auto bytes = std::as_bytes(std::span(values));
    return header("llama").tensor("rope_freqs.weight", {n}, kernels::DType::kF32,
                                  {bytes.begin(), bytes.end()});
  };
  EXPECT_EQ(config_of(factors({1, 1, 1, 1, 2, 2, 2, 8})).rope_factors.back(), 8);
  refused(ErrorCode::kFormat, {"rope_freqs.weight", "[3]", "[8]"}, factors({1, 1, 1}));
  refused(ErrorCode::kFormat, {"rope_freqs.weight", "nan", "element 1"},
          factors({1, NAN, 1, 1, 1, 1, 1, 1}));
  refused(ErrorCode::kFormat, {"rope_freqs.weight", "element 7"},
          factors({1, 1, 1, 1, 1, 1, 1, 0}));
}

TEST(FamilyConfig, Gemma27BHasAScaleOfItsOwn) {
  const auto scale = [](uint32_t n_layers) {
    test::GgufBuilder b;
    b.kv_str("general.architecture", "gemma3");
    const std::pair<const char*, uint32_t> sizes[] = {
        {"block_count", n_layers},     {"context_length", 512},
        {"embedding_length", 5376},    {"feed_forward_length", 64},
        {"attention.head_count", 32},  {"vocab_size", 10},
        {"attention.key_length", 128}, {"attention.sliding_window", 1024}};
    for (const auto& [key, value] : sizes) b.kv_u32("gemma3." + std::string(key), value);
    b.kv_f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6F);
    return config_of(b).softmax_scale;
  };
  EXPECT_FLOAT_EQ(scale(62), 1 / std::sqrt(168.0F));
  EXPECT_FLOAT_EQ(scale(48), 1 / std::sqrt(128.0F));
}

TEST(FamilyConfig, AWindowOfEveryLayerIsTheModels) {
  EXPECT_EQ(config_of(header("phi3").kv_u32("phi3.attention.sliding_window", 100)).n_window, 100);
  const Config linear = config_of(header("qwen3")
                                      .kv_str("qwen3.rope.scaling.type", "linear")
                                      .kv_f32("qwen3.rope.scaling.factor", 4));
  EXPECT_EQ(linear.rope_factors, std::vector<float>(8, 4));
}

INSTANTIATE_TEST_SUITE_P(Gguf, Families,
                         testing::Values("llama2", "llama3", "mistral", "qwen2", "qwen3", "phi3",
                                         "gemma3"),
                         [](const auto& family) { return std::string(family.param); });

}  // namespace
}  // namespace reattn::model
