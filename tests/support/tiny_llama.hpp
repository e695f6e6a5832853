// A complete small random Llama model as a GGUF file, for tests of everything above the file layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reattn/kernels/types.hpp"
#include "tests/support/gguf_builder.hpp"

namespace reattn::test {

struct TinyLlamaOptions {
  int64_t n_layers = 2;
  int64_t n_embd = 64;  // a multiple of 32 for block types, as n_heads * head_dim and n_ff
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t head_dim = 16;
  int64_t n_ff = 96;
  int64_t n_vocab = 300;  // at least 260: 4 special tokens, 256 bytes, then merges
  int64_t context_length = 512;
  float rope_base = 10000.0f;
  kernels::DType dtype = kernels::DType::kF32;  // of the matrices; norms are always F32
  std::optional<kernels::DType> embd_dtype;     // default: Q8_0 for 4-bit dtype, else dtype
  bool tied = true;                             // output projection = token embedding
  uint64_t seed = 1;
};

// Ids of the special tokens: each model has <|endoftext|>, <|im_start|>, <|im_end|> and <|pad|>.
inline constexpr int32_t kTinyEndOfText = 0;
inline constexpr int32_t kTinyImStart = 1;
inline constexpr int32_t kTinyImEnd = 2;
inline constexpr int32_t kTinyPad = 3;

// Same options, same bytes. Weights are normal with deviation 1 / sqrt(n_in) (queries and keys
// somewhat more, so that attention is not flat), norms near 1. The tokenizer is byte-level BPE in
// GPT-2's byte alphabet ("smollm" pre-tokenizer), the chat template is of SmolLM2's kind.
std::vector<std::byte> tiny_llama(const TinyLlamaOptions& options = {});

// The same before it is written, to break something in it.
GgufBuilder tiny_llama_builder(const TinyLlamaOptions& options = {});

// The same tokenizer and chat template as the files of a folder: tokenizer.json, tokenizer_config.json.
std::string tiny_tokenizer_json(int64_t n_vocab);
std::string tiny_tokenizer_config_json();

}  // namespace reattn::test
