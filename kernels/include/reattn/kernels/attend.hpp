// Gather, RoPE and attention over a selected set (method.md steps 7 and 8).
#pragma once

#include "reattn/kernels/kv_append.hpp"

namespace reattn::kernels {

enum class RopeLayout : int32_t {
  kInterleaved,             // pairs (0,1), (2,3), …: GGUF llama files
  kHalves,                  // pairs (i, i + head_dim/2)
};

// Angles of contiguous positions; frequency scaling is already in the table.
struct RopeTable {
  const float* cos;         // [n_positions, head_dim / 2]
  const float* sin;         // [n_positions, head_dim / 2]
  int64_t n_positions;      // ≥ the scope
  RopeLayout layout;
};

// The set is: positions [0, n_global), then `recalled`, then [local_begin, n_tokens), in that order. It gets
// the contiguous positions 0 … M−1; the n_queries queries get the last ones, causal, bottom right
// aligned: query i sees the first M − n_queries + i + 1 of the set. Plain full attention is n_global 0, local_begin 0.
struct AttendArgs {
  const float* q;           // [n_queries, n_heads, head_dim], without position
  int64_t n_queries;
  int32_t n_heads;
  KvPages pages;
  int64_t n_tokens;         // in the cache, this step's included
  int64_t n_global;
  const int32_t* recalled;  // [*n_recalled] ascending, inside [n_global, local_begin)
  const int32_t* n_recalled;  // may be null: nothing recalled
  int64_t local_begin;
  RopeTable rope;
  float scale;              // softmax scale, normally 1/sqrt(head_dim)
  float* out;               // [n_queries, n_heads, head_dim]
  // Keys and values at positions below are those of pages.k8 and v8, int8 · scale (a multiple of kScaleBlock); 0: none.
  int64_t int8_end = 0;
};

}  // namespace reattn::kernels
