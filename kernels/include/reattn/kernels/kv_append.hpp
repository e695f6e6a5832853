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
  // [n_pages] keys once more, for scoring in int8; null where none are kept. A page is int8 [n_kv_heads, kPageTokens, head_dim],
  // then float [n_kv_heads, kPageTokens / kScaleBlock]: key ≈ int8 · scale of its block.
  void* const* k8 = nullptr;
  // [n_pages] values likewise; null unless the cache is in int8. Then pages of k and v may be missing (null) where all positions are
  // below the int8_end of whoever reads them.
  void* const* v8 = nullptr;
};

// Fills pages.k8 at [begin, end) from pages.k, and pages.v8 from pages.v where there is one, block by block of kScaleBlock positions of one KV head: scale = max|k| / 127 (0 where
// all are 0), int8 = k / scale rounded to nearest, ties to even. A NaN counts for nothing in the maximum and becomes 0.
struct QuantizeKeysArgs {
  KvPages pages;            // k8 is not null
  int64_t begin, end;       // multiples of kScaleBlock; written keys
};

// Fills pages.k and v at [begin, end) from k8 and v8: int8 · scale, rounded to the pages' type.
struct RestoreRowsArgs {
  KvPages pages;            // k8 and v8 are not null
  int64_t begin, end;
};

struct KvAppendArgs {
  const float* k;           // [n_new, n_kv_heads, head_dim]
  const float* v;           // [n_new, n_kv_heads, head_dim]
  int64_t n_new;
  int64_t begin;            // position of the first new token
  KvPages pages;            // written at [begin, begin + n_new)
};

}  // namespace reattn::kernels
