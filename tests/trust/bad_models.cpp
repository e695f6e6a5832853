// Whole models of which one number, one tensor or one weight is wrong.
#include <cstring>
#include <limits>

#include "tests/support/tiny_llama.hpp"
#include "tests/trust/bad_files.hpp"

namespace reattn::test {
namespace {

using kernels::DType;

constexpr reattn_status F = REATTN_E_FORMAT;
constexpr reattn_status U = REATTN_E_UNSUPPORTED;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

const TinyLlamaOptions kSmall{.n_layers = 1, .n_vocab = 260};

GgufBuilder with(std::string_view key, const RawValue& v) {
  GgufBuilder b = tiny_llama_builder(kSmall);
  return b.without_kv(key).kv_raw(key, v.type, v.payload);
}

void add_hyper_parameters(BadFiles& out) {
  const auto add = [&](const std::string& key, const RawValue& v, reattn_status expected = F) {
    out.add(key + "-" + v.name, expected, [=] { return with("llama." + key, v).bytes(); });
  };
  for (const char* key :
       {"block_count", "embedding_length", "feed_forward_length", "context_length",
        "attention.head_count", "attention.head_count_kv", "vocab_size"}) {
    add(key, u32_value("0", 0));
    add(key, i32_value("negative", -1));
    add(key, u32_value("2^32-1", ~0u));
    add(key, u64_value("2^63", uint64_t{1} << 63));
    add(key, u64_value("2^64-1", ~uint64_t{0}));
    add(key, f32_value("float", 4));
    add(key, f32_value("nan", kNan));
    add(key, str_value("string", "4"));
    add(key, {"bool", 7, raw(uint8_t{1})});
  }
  for (const char* key :
       {"block_count", "embedding_length", "feed_forward_length", "context_length",
        "attention.head_count", "attention.layer_norm_rms_epsilon"}) {
    out.add(std::string(key) + "-missing", F, [=] {
      return tiny_llama_builder(kSmall).without_kv(std::string("llama.") + key).bytes();
    });
  }
  out.add("attention.head_count_kv-missing", F, [] {
    return tiny_llama_builder(kSmall).without_kv("llama.attention.head_count_kv").bytes();
  });
  add("block_count", u32_value("one-more", 2));
  add("block_count", u32_value("1025", 1025));
  add("embedding_length", u32_value("other", 32), U);  // heads of another size than RoPE turns
  add("embedding_length", u32_value("no-multiple-of-heads", 63));
  add("feed_forward_length", u32_value("other", 95));
  add("attention.head_count", u32_value("no-multiple-of-kv", 3));
  add("attention.head_count", u32_value("5000", 5000));
  add("attention.head_count_kv", u32_value("3", 3));
  add("attention.head_count_kv", u32_value("8", 8));
  add("vocab_size", u32_value("one-less", 259));
  add("vocab_size", u32_value("one-more", 261));
  add("attention.key_length", u32_value("0", 0));
  add("attention.key_length", u32_value("odd", 15));
  add("attention.key_length", u32_value("2000", 2000));
  add("attention.key_length", u32_value("other", 8), U);
  add("attention.value_length", u32_value("other", 8), U);
  add("rope.dimension_count", u32_value("0", 0), U);
  add("rope.dimension_count", u32_value("half", 8), U);
  add("rope.dimension_count", u64_value("2^64-1", ~uint64_t{0}), U);
  add("rope.dimension_count", str_value("string", "16"));
  add("rope.scaling.type", str_value("yarn", "yarn"), U);
  add("expert_count", u32_value("8", 8), U);
  for (const char* key : {"attention.layer_norm_rms_epsilon", "rope.freq_base"}) {
    add(key, f32_value("negative", -1));
    add(key, f32_value("nan", kNan));
    add(key, f32_value("inf", kInf));
    add(key, f32_value("minus-inf", -kInf));
    add(key, f32_value("1e30", 1e30f));
    add(key, u32_value("integer", 1));
    add(key, str_value("string", "1e-5"));
    add(key, array_value("array", 6, 1, raw(1e-5f)));
  }
  add("rope.freq_base", f32_value("0", 0));
  add("rope.freq_base", f32_value("half", 0.5f));
  for (const char* name : {"", "gpt-unheard-of", "llama\n", "LLAMA"}) {
    out.add(std::string("architecture-") + (*name ? name : "empty"), U,
            [=] { return with("general.architecture", str_value("", name)).bytes(); });
  }
  out.add("architecture-nul", U, [] {
    return with("general.architecture", str_value("", {"llama\0", 6})).bytes();
  });
  out.add("architecture-bad-utf8", U,
          [] { return with("general.architecture", str_value("", "\xFF\xFE")).bytes(); });
  out.add("architecture-number", F,
          [] { return with("general.architecture", u32_value("", 1)).bytes(); });
  out.add("architecture-missing", F,
          [] { return tiny_llama_builder(kSmall).without_kv("general.architecture").bytes(); });
  out.add("name-number", F, [] { return with("general.name", u32_value("", 1)).bytes(); });
}

struct Tensor {
  const char* name;
  std::vector<int64_t> shape;
};

void add_tensors(BadFiles& out) {
  const Tensor tensors[] = {
      {"token_embd.weight", {64, 260}},  {"blk.0.attn_norm.weight", {64}},
      {"blk.0.attn_q.weight", {64, 64}}, {"blk.0.attn_k.weight", {64, 32}},
      {"blk.0.attn_v.weight", {64, 32}}, {"blk.0.attn_output.weight", {64, 64}},
      {"blk.0.ffn_norm.weight", {64}},   {"blk.0.ffn_gate.weight", {64, 96}},
      {"blk.0.ffn_up.weight", {64, 96}}, {"blk.0.ffn_down.weight", {96, 64}},
      {"output_norm.weight", {64}}};
  for (const Tensor& t : tensors) {
    const std::string name = t.name;
    const auto rest = [name] { return tiny_llama_builder(kSmall).without_tensor(name); };
    const auto with_shape = [=](const std::vector<int64_t>& shape) {
      return rest().tensor_zeros(name, shape, DType::kF32).bytes();
    };
    const auto with_number = [=, shape = t.shape](float x, bool last) {
      size_t n = 1;
      for (const int64_t d : shape) n *= static_cast<size_t>(d);
      Bytes data(n * sizeof(float));
      std::memcpy(&data[last ? data.size() - sizeof x : 0], &x, sizeof x);
      return rest().tensor(name, shape, DType::kF32, std::move(data)).bytes();
    };
    out.add(name + "-missing", F, [=] { return rest().bytes(); });
    out.add(name + "-renamed", F, [=, shape = t.shape] {
      return rest().tensor_zeros(name + "s", shape, DType::kF32).bytes();
    });
    auto wider = t.shape, longer = t.shape, deeper = t.shape;
    wider[0] += 1;
    longer.back() += 1;
    deeper.push_back(2);
    out.add(name + "-wider", F, [=] { return with_shape(wider); });
    if (t.shape.size() > 1) out.add(name + "-longer", F, [=] { return with_shape(longer); });
    out.add(name + "-of-one-more-dimension", F, [=] { return with_shape(deeper); });
    out.add(name + "-of-one", F, [=] { return with_shape({1}); });
    out.add(name + "-of-integers", U, [=, shape = t.shape] {
      return rest()
          .tensor_raw(name, shape, 26,
                      Bytes(static_cast<size_t>(shape[0]) * 4 * static_cast<size_t>(shape.back())))
          .bytes();
    });
    out.add(name + "-nan-first", F, [=] { return with_number(kNan, false); });
    out.add(name + "-nan-last", F, [=] { return with_number(kNan, true); });
    out.add(name + "-inf", F, [=] { return with_number(kInf, true); });
    out.add(name + "-minus-inf", F, [=] { return with_number(-kInf, false); });
  }
  for (const char* name : {"blk.1.attn_q.weight", "blk.0.attn_q.weights", "blk.-1.attn_q.weight",
                           "blk.4294967296.attn_q.weight", "unheard.of", "../output.weight"}) {
    out.add(std::string("extra-tensor-") + name, F, [=] {
      return tiny_llama_builder(kSmall).tensor_zeros(name, {64, 64}, DType::kF32).bytes();
    });
  }
  out.add("a-norm-in-blocks", U, [] {
    return tiny_llama_builder(kSmall)
        .without_tensor("output_norm.weight")
        .tensor_zeros("output_norm.weight", {64}, DType::kQ8_0)
        .bytes();
  });

  struct Scale {
    const char* name;
    DType type;
    size_t at, block;  // byte of a half, bytes of a block
  };
  constexpr Scale kScales[] = {
      {"Q8_0-scale", DType::kQ8_0, 0, 34}, {"Q4_0-scale", DType::kQ4_0, 0, 18},
      {"Q4_1-scale", DType::kQ4_1, 0, 20}, {"Q4_1-minimum", DType::kQ4_1, 2, 20},
      {"F16", DType::kF16, 0, 2},          {"BF16", DType::kBF16, 0, 2}};
  for (const Scale& s : kScales) {
    const bool is_bf16 = s.type == DType::kBF16;
    const std::pair<const char*, uint16_t> numbers[] = {
        {"nan", uint16_t(is_bf16 ? 0x7FC0 : 0x7E00)},
        {"inf", uint16_t(is_bf16 ? 0x7F80 : 0x7C00)},
        {"minus-inf", uint16_t(is_bf16 ? 0xFF80 : 0xFC00)}};
    for (const auto& [name, bits] : numbers) {
      for (const bool last : {false, true}) {
        out.add(std::string(s.name) + "-" + name + (last ? "-last" : "-first"), F,
                [s, bits = bits, last] {
                  Bytes data(64 * 64 / static_cast<size_t>(s.block > 2 ? 32 : 1) * s.block);
                  std::memcpy(&data[(last ? data.size() - s.block : 0) + s.at], &bits, sizeof bits);
                  return tiny_llama_builder(kSmall)
                      .without_tensor("blk.0.attn_q.weight")
                      .tensor("blk.0.attn_q.weight", {64, 64}, s.type, std::move(data))
                      .bytes();
                });
      }
    }
  }
  for (int i = 0; i < 32; ++i) {
    out.add("cut-at-" + std::to_string(i) + "-of-32", F, [i] {
      Bytes all = tiny_llama(kSmall);
      all.resize(all.size() * static_cast<size_t>(i) / 32);
      return all;
    });
  }
  out.add("cut-by-one-byte", F, [] {
    Bytes all = tiny_llama(kSmall);
    all.pop_back();
    return all;
  });
  out.add("a-byte-too-many", F, [] { return joined(tiny_llama(kSmall), Bytes(1)); });
  out.add("twice-in-one-file", F, [] { return joined(tiny_llama(kSmall), tiny_llama(kSmall)); });
}

}  // namespace

void add_bad_models(BadFiles& out) {
  out.family("model/", BadFile::Use::kModel);
  add_hyper_parameters(out);
  add_tensors(out);
}

}  // namespace reattn::test
