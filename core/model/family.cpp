#include "core/model/family.hpp"

#include <array>

namespace reattn::model {
namespace {

using kernels::Activation;
using kernels::RopeLayout;

constexpr std::array kFamilies = {
    // Llama 2, 3, 3.1, 3.2, Mistral, SmolLM2. Their files hold the rows of Q and K permuted for interleaved pairs.
    Family{.architecture = "llama",
           .rope_layout = RopeLayout::kInterleaved,
           .qkv_bias = Bias::kOptional},
    Family{.architecture = "internlm2", .rope_layout = RopeLayout::kInterleaved},
    Family{.architecture = "qwen2", .qkv_bias = Bias::kRequired},
    Family{.architecture = "qwen3", .qk_norm = true},
    Family{.architecture = "phi3", .fused_qkv = true, .fused_gate_up = true},
    Family{.architecture = "gemma3",
           .qk_norm = true,
           .post_norms = true,
           .activation = Activation::kGelu,
           .scales_embeddings = true,
           .global_every = 6,
           .sliding_rope_freq_base = 10000,
           .n_layers_scaled_by_width = 62},  // 27B
};

}  // namespace

std::span<const Family> families() {
  return kFamilies;
}

const Family* find_family(std::string_view architecture) {
  for (const Family& f : kFamilies) {
    if (f.architecture == architecture) return &f;
  }
  return nullptr;
}

std::string family_names() {
  std::string out;
  for (size_t i = 0; i < kFamilies.size(); ++i) {
    if (i > 0) out += i + 1 < kFamilies.size() ? ", " : " and ";
    out += "'" + std::string(kFamilies[i].architecture) + "'";
  }
  return out;
}

}  // namespace reattn::model
