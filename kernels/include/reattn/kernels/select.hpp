// The three operations of the selection (method.md steps 3–6): score, vote, expand.
#pragma once

#include "reattn/kernels/kv_append.hpp"

namespace reattn::kernels {

// For each voting query and query head: the top_k middle positions by q·k, both without position.
// Queries T−1, T−1−stride, T−1−2·stride, … vote; row v of `picks` is query T−1−v·stride.
// Equal scores: the earlier position. Exact: sums are f32, picks are ordered best first.
struct ScoreArgs {
  const float* q;           // [n_queries, n_heads, head_dim], without position
  int64_t n_queries;        // T
  int32_t n_heads;          // head h reads KV head h / (n_heads / n_kv_heads)
  KvPages pages;
  int64_t middle_begin;     // first middle position
  int64_t middle_end;       // one past the last; middle_end > middle_begin
  int32_t top_k;            // 1 … kMaxTopK
  int32_t vote_stride;      // ≥ 1
  bool block1;              // only the best position of each kBlock1 positions (counted from
                            // middle_begin, the last block ragged) is a candidate
  int32_t* picks;           // [n_voters, n_heads, top_k] absolute positions; −1 where candidates ran out
  // Positions below are scored in int8 from pages.k8 (a multiple of kScaleBlock), the rest as the pages hold them; 0: all of them.
  // A query row's own scale is s = max|q| / 127, its int8 numbers q / s rounded to nearest, ties to even; a score is
  // float(int32 dot product) · (scale of the key's block · s).
  int64_t int8_end = 0;
};
constexpr int64_t n_voters(int64_t n_queries, int32_t stride) {
  return (n_queries + stride - 1) / stride;
}

// The n_anchors positions with most votes, most voted first; ties: the earlier position.
struct VoteArgs {
  const int32_t* picks;     // [n_picks] absolute positions or −1
  int64_t n_picks;
  int64_t middle_begin, middle_end;
  int32_t n_anchors;
  int32_t* anchors;         // [n_anchors] absolute positions
  int32_t* votes;           // [n_anchors]
  int32_t* n_found;         // how many of n_anchors were filled
};

// The union of the anchors' spans [a − ⌊span/2⌋, a + span − ⌊span/2⌋ − 1], clamped to the middle, ascending.
struct ExpandArgs {
  const int32_t* anchors;   // [*n_anchors]
  const int32_t* n_anchors;
  int32_t span;             // ≥ 1
  int64_t middle_begin, middle_end;
  int32_t* positions;       // room for n_anchors · span
  int32_t* n_positions;
};

}  // namespace reattn::kernels
