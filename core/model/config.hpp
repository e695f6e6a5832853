// A decoder described by data: what distinguishes one model family from another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/gguf.hpp"
#include "core/io/json.hpp"
#include "core/model/family.hpp"
#include "core/model/hf_family.hpp"
#include "reattn/kernels/attend.hpp"

namespace reattn::model {

// What files may ask for.
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxWidth = 1 << 20;  // of any vector in the model
inline constexpr int64_t kMaxVocab = 1 << 24;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 1024;

struct Config {
  std::string architecture;  // general.architecture of a GGUF file
  std::string name;          // general.name, may be empty; of a folder its last part
  int64_t n_layers = 0;
  int64_t n_embd = 0;
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t n_ff = 0;
  int64_t n_vocab = 0;
  int64_t n_window = 0;  // trained context length
  float norm_eps = 0;
  double rope_freq_base = 0;
  kernels::RopeLayout rope_layout = kernels::RopeLayout::kInterleaved;
  bool tied_embeddings = false;  // the output matrix is the embedding table
  float softmax_scale = 0;       // 1/sqrt(head_dim), of most
  Family family;                 // of `architecture`
  const HfFamily* hf = nullptr;  // null: the tensors are named and laid out as in GGUF files
  float embedding_scale = 1;
  std::vector<float>
      rope_factors;  // [head_dim / 2] that the frequencies are divided by; empty: none
  // Layers that see the last n_sliding tokens only, with a RoPE base of their own; 0: there are none.
  int64_t n_sliding = 0;

  bool slides(int64_t layer) const {
    return n_sliding > 0 && (layer + 1) % family.global_every != 0;
  }
};

// Reads and checks the hyper-parameters. Throws Error(kUnsupported) for an unknown architecture and
// Error(kFormat) naming the key that is missing, contradictory or out of its bounds.
Config config_from_gguf(const io::Gguf& file);
// The same of a folder as Hugging Face's library saves it, from its config.json (hf_config.cpp).
Config config_from_folder(const std::string& folder, const io::JsonObject& config);

// Of a model that no file describes: throws Error(kArg) naming the number that is out of the bounds files have too.
void check_shape(const Config& config);

}  // namespace reattn::model
