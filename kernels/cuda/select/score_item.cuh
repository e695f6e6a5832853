// Which item of a batch a thread block works on, and where its rows are.
#pragma once

#include "kernels/cuda/select/picks.cuh"
#include "kernels/cuda/select/score.hpp"

namespace reattn::kernels::cuda {

struct ScoreItem {
  int32_t sequence, kv_head, split;
  int32_t row;                // the row tile's first
  int32_t tile, tile_end;     // of the split

  __device__ ScoreItem(const ScoreBatch& b, int32_t item, int32_t rows_per_tile) {
    const int32_t n_kv_heads = b.sequences[0].n_kv_heads;
    split = 0;
    while (item >= n_kv_heads * b.first_of_split[split + 1]) ++split;
    item -= n_kv_heads * b.first_of_split[split];
    const int32_t n = b.first_of_split[split + 1] - b.first_of_split[split];
    kv_head = item / n;
    item -= kv_head * n;
    sequence = 0;
    while (b.sequences[sequence].n_splits <= split || item >= b.sequences[sequence].n_row_tiles) {
      if (b.sequences[sequence].n_splits > split) item -= b.sequences[sequence].n_row_tiles;
      ++sequence;
    }
    const ScoreSequence& s = b.sequences[sequence];
    row = item * rows_per_tile;
    tile = static_cast<int32_t>(static_cast<int64_t>(s.n_tiles) * split / s.n_splits);
    tile_end = static_cast<int32_t>(static_cast<int64_t>(s.n_tiles) * (split + 1) / s.n_splits);
  }
};

// Row `row` of a KV head: its query vector, and its number in `picks`.
__device__ inline const float* score_query(const ScoreSequence& s, int32_t kv_head, int32_t row) {
  const int32_t voter = row / s.group, head = kv_head * s.group + row % s.group;
  const int64_t query = s.n_queries - 1 - static_cast<int64_t>(voter) * s.vote_stride;
  return s.q + (query * s.n_heads + head) * s.head_dim;
}
__device__ inline int64_t picks_row(const ScoreSequence& s, int32_t kv_head, int32_t row) {
  return static_cast<int64_t>(row / s.group) * s.n_heads + kv_head * s.group + row % s.group;
}

// Stores the pick of one rank of a row: as a position, or for the merge where there are several lists.
__device__ inline void store_pick(const ScoreSequence& s, const ScoreItem& item, int32_t row,
                                  int32_t rank, Pick pick) {
  if (s.n_lists == 1) {
    s.picks[picks_row(s, item.kv_head, row) * s.top_k + rank] = pick_position(pick);
  } else {
    const int64_t at = static_cast<int64_t>(item.kv_head) * s.n_rows + row;
    s.partial[(at * s.n_lists + s.first_list + item.split) * s.top_k + rank] = pick;
  }
}

}  // namespace reattn::kernels::cuda
