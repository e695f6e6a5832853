// Writes a step's keys and values into the paged cache. Keys stay without position.
#pragma once

#include "reattn/kernels/types.hpp"

namespace reattn::kernels {

// The cache of one sequence in one layer. Token t is row t % kPageTokens of page t / kPageTokens;
// a page of keys or of values is [n_kv_heads, kPageTokens, head_dim].
struct KvPages {
  void* const* k;           // [n_pages]
  void* const* v;           // [n_pages]
  DType dtype;              // kF32, kF16 or kBF16
  int32_t n_kv_heads;
  int32_t head_dim;
};

struct KvAppendArgs {
  const float* k;           // [n_new, n_kv_heads, head_dim]
  const float* v;           // [n_new, n_kv_heads, head_dim]
  int64_t n_new;
  int64_t begin;            // position of the first new token
  KvPages pages;            // written at [begin, begin + n_new)
};

}  // namespace reattn::kernels
