// The scoring kernels: register tiles for many rows, streamed keys for few, and integer tiles for int8 keys.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/select/picks.hpp"
#include "reattn/kernels/select.hpp"

namespace reattn::kernels::cpu {

constexpr int64_t kMaxTileRows = 12;   // rows of a register tile on any target divide this
constexpr int64_t kMaxStreamRows = 8;  // up to here the keys are streamed
constexpr int64_t kInt8Rows = 4;       // rows of a panel of int8 queries
// Floats of packed keys held in the nearest cache; the scratch of score_tiles.
constexpr int64_t kPanelFloats = 4096;

// Queries of one task in int8, padded to kInt8Rows; how words hold them is the target's own (words-inl.hpp).
struct Int8Queries {
  int32_t* words;  // [rows / kInt8Rows, words of a row, kInt8Rows]
  float* scales;   // [rows], 0: padding
  int32_t* sums;   // [rows] where sums of products begin
};

struct ScoreRange {
  const ScoreArgs* args;
  int32_t kv_head;
  int64_t row_begin, row_end;    // of the KV head's rows; row v · group + g is voter v, head g
  int64_t key_begin, key_end;    // positions
  int64_t task_begin, task_end;  // of the task: the first starts a block of kBlock1
  const float* q;                // tiles: as pack_queries leaves it; streamed: [rows, head_dim]
  Int8Queries q8;
  float* panel;      // [panel_floats(head_dim)] working memory
  int32_t* bounds;   // [rows] working memory of score_int8
  RangePicks picks;  // of the rows; padded to kMaxTileRows

  // The end of the kBlock1 positions that `key` is one of.
  int64_t block_end(int64_t key) const { return key + kBlock1 - (key - task_begin) % kBlock1; }
  bool ends_block(int64_t end) const {
    return (end - task_begin) % kBlock1 == 0 || end == task_end;
  }
};

constexpr int64_t kMaxTileCols = 32;  // of the widest target

// Words of 32 bits that an int8 row takes at most.
inline int64_t max_words(int64_t head_dim) {
  return (head_dim + 1) / 2;
}
inline int64_t panel_floats(int64_t head_dim) {
  const int64_t one_tile = kMaxTileCols * head_dim;
  const int64_t int8_block = (kScaleBlock + kMaxTileCols) * max_words(head_dim);
  return std::max({one_tile, kPanelFloats, int8_block});
}

inline const float* query_row(const ScoreArgs& a, int32_t kv_head, int64_t row) {
  const int64_t group = a.n_heads / a.pages.n_kv_heads;
  const int64_t query = a.n_queries - 1 - row / group * a.vote_stride;
  return a.q + (query * a.n_heads + kv_head * group + row % group) * a.pages.head_dim;
}

// Packs rows for score_tiles; rows up to the next multiple of kMaxTileRows become zero.
void pack_queries(const ScoreArgs& a, int32_t kv_head, int64_t row_begin, int64_t row_end,
                  float* out);
void score_tiles(const ScoreRange& range);
void score_streamed(const ScoreRange& range);

// Of kScaleBlock keys at a time, all of them below int8_end. `numbers` is working memory of int8_scratch bytes.
void pack_queries_int8(const ScoreArgs& a, int32_t kv_head, int64_t row_begin, int64_t row_end,
                       Int8Queries to, int8_t* numbers);
inline size_t int8_scratch(int64_t head_dim) {
  return static_cast<size_t>((head_dim + 63) / 64 * 64 + 4 * max_words(head_dim));
}
void score_int8(const ScoreRange& range);

}  // namespace reattn::kernels::cpu
