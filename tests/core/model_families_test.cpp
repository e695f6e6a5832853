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
#include "core/io/safetensors.hpp"
#include "core/model/decoder.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/gguf_builder.hpp"
#include "tests/support/safetensors_builder.hpp"

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

std::string path_of(const std::string& family) {
  return REATTN_TEST_DATA "/families/" + family;
}

Config folder_config(const std::string& folder) {
  const io::Json json = io::read_json(folder + "/config.json");
  return config_from_folder(folder, io::JsonObject(json, folder + "/config.json"));
}

// A model that attends to everything, and its cache.
class Reader {
 public:
  Reader(const io::Tensors& tensors, const Config& config)
      : config_(config), weights_(tensors, config_, WeightType::kAuto, device_, {}) {
    settings_.selection = select::Selection::kFull;
    settings_.kv_dtype = kernels::DType::kF32;
    settings_.chunk = 32;
    rope_ = std::make_shared<Rope>(device_, config_, config_.n_window);
    decoder_ = std::make_unique<Decoder>(device_, config_, weights_, rope_, settings_);
    forget();
  }
  Reader(Reader&&) = delete;  // the decoder refers to it

  static Reader of_gguf(const std::string& path) {
    const io::Gguf file = io::Gguf::open(path);
    return {file, config_from_gguf(file)};
  }
  static Reader of_folder(const std::string& path) {
    return {io::Safetensors::open(path), folder_config(path)};
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

 private:
  Config config_;
  select::Settings settings_;
  std::shared_ptr<kernels::Device> device_ = kernels::make_cpu_device(1);
  kernels::Stream stream_;
  Weights weights_;
  std::shared_ptr<const Rope> rope_;
  std::unique_ptr<Decoder> decoder_;
  std::unique_ptr<cache::KvCache> cache_;
  int64_t n_tokens_ = 0;
};

// Within `tolerance` of the largest logit.
void expect_near(const std::vector<float>& got, const std::vector<float>& want, float tolerance) {
  ASSERT_EQ(got.size(), want.size());
  float size = 0;
  for (const float x : want) size = std::max(size, std::fabs(x));
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance * size) << i;
}

constexpr const char* kFamilies[] = {"llama2", "llama3", "mistral", "qwen2",
                                     "qwen3",  "phi3",   "gemma3"};

// A family, and whether its folder is read or its GGUF file.
class Families : public testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  static std::string name() { return std::get<0>(GetParam()); }

  Golden golden_{io::Gguf::open(path_of(name()) + ".gguf")};
  Reader model_ = std::get<1>(GetParam()) ? Reader::of_folder(path_of(name()))
                                          : Reader::of_gguf(path_of(name()) + ".gguf");
};

TEST_P(Families, LogitsAreThoseOfTransformers) {
  const std::span prompt(golden_.prompt);
  ASSERT_EQ(prompt.size(), 150u);
  expect_near(model_.read(prompt.first(kShort)), golden_.logits_short, 1e-3F);
  model_.forget();
  expect_near(model_.read(prompt), golden_.logits_long, 1e-3F);
}

TEST_P(Families, GreedyTokensAreThoseOfTransformers) {
  ASSERT_EQ(golden_.greedy.size(), 64u);
  std::vector<float> logits = model_.read(std::span(golden_.prompt).first(kShort));
  std::vector<int32_t> tokens;
  while (true) {
    const auto best = std::max_element(logits.begin(), logits.end());
    tokens.push_back(static_cast<int32_t>(best - logits.begin()));
    if (tokens.size() == golden_.greedy.size()) break;
    logits = model_.read({&tokens.back(), 1});
  }
  EXPECT_EQ(tokens, golden_.greedy);
}

// But for rounding: a GGUF file has Llama's rows permuted, and Llama 3's factors in float32.
TEST(Formats, OfTheSameWeightsGiveTheSameLogits) {
  for (const char* family : kFamilies) {
    SCOPED_TRACE(family);
    const std::string path = path_of(family);
    const Golden golden(io::Gguf::open(path + ".gguf"));
    Reader gguf = Reader::of_gguf(path + ".gguf"), folder = Reader::of_folder(path);
    expect_near(folder.read(golden.prompt), gguf.read(golden.prompt), 1e-5F);
  }
}

// Its code is not part of the library: what its folders hold is written here from Llama's tensors, under InternLM2's names and with
// Q, K and V in one matrix, as its authors lay them out: for each key head its queries, then itself, then its value.
TEST(Formats, AnInternLm2FolderIsALlamaOfOtherNames) {
  const test::TemporaryDirectory folder;
  const io::Safetensors llama = io::Safetensors::open(path_of("llama2"));
  const auto bytes_of = [&](const std::string& name) {
    std::vector<std::byte> out(llama.get_tensor(name).n_bytes);
    llama.read_tensor(llama.get_tensor(name), out);
    return out;
  };
  test::SafetensorsBuilder b;
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::vector<int64_t> shape = llama.get_tensor(from + ".weight").shape;
    std::reverse(shape.begin(), shape.end());
    b.tensor(to + ".weight", "F16", shape, bytes_of(from + ".weight"));
  };
  copy("model.embed_tokens", "model.tok_embeddings");
  copy("model.norm", "model.norm");
  copy("lm_head", "output");
  constexpr size_t kHeads = 4, kKeyHeads = 2, kHeadBytes = 8 * 32 * 2;
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    copy(layer + "input_layernorm", layer + "attention_norm");
    copy(layer + "post_attention_layernorm", layer + "ffn_norm");
    copy(layer + "self_attn.o_proj", layer + "attention.wo");
    copy(layer + "mlp.gate_proj", layer + "feed_forward.w1");
    copy(layer + "mlp.up_proj", layer + "feed_forward.w3");
    copy(layer + "mlp.down_proj", layer + "feed_forward.w2");
    const auto q = bytes_of(layer + "self_attn.q_proj.weight");
    const auto k = bytes_of(layer + "self_attn.k_proj.weight");
    const auto v = bytes_of(layer + "self_attn.v_proj.weight");
    std::vector<std::byte> qkv;
    const auto append = [&](const std::vector<std::byte>& from, size_t head) {
      const auto begin = from.begin() + static_cast<ptrdiff_t>(head * kHeadBytes);
      qkv.insert(qkv.end(), begin, begin + kHeadBytes);
    };
    for (size_t head = 0; head < kKeyHeads; ++head) {
      for (size_t i = 0; i < kHeads / kKeyHeads; ++i) append(q, head * kHeads / kKeyHeads + i);
      append(k, head);
      append(v, head);
    }
    b.tensor(layer + "attention.wqkv.weight", "F16", {64, 32}, std::move(qkv));
  }
  test::write_file(folder.file("model.safetensors"), b.bytes());
  const std::string config = R"({"architectures": ["InternLM2ForCausalLM"], "auto_map": {},
    "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 32, "vocab_size": 64,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "rms_norm_eps": 1e-05, "hidden_act": "silu", "bias": false, "rope_theta": 10000,
    "rope_scaling": {"type": "dynamic", "factor": 2.0}, "tie_word_embeddings": false})";
  test::write_file(folder.file("config.json"), std::as_bytes(std::span(config)));

  const Golden golden(io::Gguf::open(path_of("llama2.gguf")));
  Reader internlm2 = Reader::of_folder(folder.path());
  expect_near(internlm2.read(golden.prompt), golden.logits_long, 1e-3F);
  EXPECT_EQ(folder_config(folder.path()).architecture, "internlm2");
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
                         testing::Combine(testing::ValuesIn(kFamilies), testing::Values(false)),
                         [](const auto& family) { return std::string(std::get<0>(family.param)); });
INSTANTIATE_TEST_SUITE_P(Folder, Families,
                         testing::Combine(testing::ValuesIn(kFamilies), testing::Values(true)),
                         [](const auto& family) { return std::string(std::get<0>(family.param)); });

}  // namespace
}  // namespace reattn::model
