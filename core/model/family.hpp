// What distinguishes the model families, as data.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "reattn/kernels/attend.hpp"
#include "reattn/kernels/linear.hpp"

namespace reattn::model {

enum class Bias : int32_t { kNone, kOptional, kRequired };

struct Family {
  std::string_view architecture;  // general.architecture of a GGUF file
  kernels::RopeLayout rope_layout = kernels::RopeLayout::kHalves;
  Bias qkv_bias = Bias::kNone;
  bool fused_qkv = false;      // one matrix of the rows of q, k and v
  bool fused_gate_up = false;  // one matrix, ffn_up, of the rows of gate and up
  bool qk_norm = false;        // RMSNorm of each query and key head
  bool post_norms = false;     // RMSNorm of what attention and MLP add
  kernels::Activation activation = kernels::Activation::kSilu;
  bool scales_embeddings = false;  // by sqrt(n_embd)
  // Every n-th layer sees the whole context, the others a sliding window, with a RoPE base of their own; 0: all layers are alike.
  int64_t global_every = 0;
  double sliding_rope_freq_base = 0;
  // The size of so many layers scales scores by 1/sqrt(n_embd / n_heads), which its files do not say.
  int64_t n_layers_scaled_by_width = 0;
};

std::span<const Family> families();
// Null for an architecture that is not among them.
const Family* find_family(std::string_view architecture);
// "'llama', 'qwen2' and 'qwen3'"
std::string family_names();

}  // namespace reattn::model
