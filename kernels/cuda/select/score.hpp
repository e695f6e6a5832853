// What the scoring kernels share: how the work of a list of sequences is cut, and who is launched for it.
#pragma once

#include <span>

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/select.hpp"

namespace reattn::kernels::cuda {

constexpr int32_t kScoreTile = 128;  // keys of one tile; block1's block
constexpr int32_t kMostScoreSplits = 64;

// One sequence as the kernels see it. The rows of a KV head are (voter, head of the group), the head running fastest; they are cut
// into row tiles, the keys into splits of whole tiles. One thread block takes one row tile of one KV head and one split: an item.
struct ScoreSequence {
  const float* q;  // [n_queries, n_heads, head_dim]
  void* const* pages;
  void* const* pages8;  // KvPages.k8; null where int8_end is 0
  int32_t* picks;       // [n_voters, n_heads, top_k]
  uint64_t*
      partial;  // [n_kv_heads, n_rows, n_lists, top_k] picks (picks.cuh), best first; null where n_lists is 1
  uint32_t*
      thresholds;  // [n_kv_heads, n_rows, 4] what the splits tell each other (score_epilogue.cuh); null where n_lists is 1
  int64_t n_queries;
  int32_t n_heads, n_kv_heads, head_dim, group;
  int32_t top_k, vote_stride;
  int32_t begin, end;  // of the middle
  int32_t int8_end;    // positions below are scored in int8
  int32_t origin;      // position of the first tile's first key
  int32_t n_tiles, n_rows, n_row_tiles, n_splits;
  // Lists of picks of a row: those of its splits, from first_list on, and those of another sequence that has the rest of the keys.
  int32_t first_list, n_lists;
};

// Up to 16 sequences of the same dtype, heads, head_dim and selection.
struct ScoreBatch {
  static constexpr int32_t kMax = 16;
  ScoreSequence sequences[kMax];
  int32_t n;
  // Items run: split, KV head, sequence, row tile, the last fastest: what the first splits find, those that start later know from the
  // start. Per KV head; where a split's begin:
  int32_t items_per_head, first_of_split[kMostScoreSplits + 1];
  DType dtype;
  bool block1;
};

// Whether any position is scored in int8.
inline bool scores_int8(const ScoreArgs& a) {
  return a.int8_end > a.middle_begin;
}

enum class ScoreKernel { kAuto, kGeneral };
// As score(); kGeneral never takes the fast kernel (for tests).
void score_with(Context&, std::span<const ScoreArgs>, ScoreKernel);

void launch_score_general(Context&, const ScoreBatch&);
constexpr int32_t kGeneralRows = 8;  // of a row tile

bool fits_score_sm90(const Context&, const ScoreArgs&);
int32_t score_sm90_rows(const ScoreArgs&);  // of a row tile
void launch_score_sm90(Context&, const ScoreBatch&);

// Of the positions in int8, which must be all.
bool fits_score_sm90_int8(const Context&, const ScoreArgs&);
int32_t score_sm90_int8_rows(const ScoreArgs&);
void launch_score_sm90_int8(Context&, const ScoreBatch&);

// From the partial lists of all splits to the picks.
void launch_score_merge(Context&, const ScoreBatch&);

}  // namespace reattn::kernels::cuda
