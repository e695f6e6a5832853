// The two scoring kernels: register tiles for many rows, streamed keys for few.
#pragma once

#include <cstdint>

#include "kernels/cpu/select/picks.hpp"
#include "reattn/kernels/select.hpp"

namespace reattn::kernels::cpu {

constexpr int64_t kMaxTileRows = 12;   // rows of a register tile on any target divide this
constexpr int64_t kMaxStreamRows = 8;  // up to here the keys are streamed
// Floats of packed keys held in the nearest cache; the scratch of score_tiles.
constexpr int64_t kPanelFloats = 4096;

struct ScoreRange {
  const ScoreArgs* args;
  int32_t kv_head;
  int64_t row_begin, row_end;  // of the KV head's rows; row v · group + g is voter v, head g
  int64_t key_begin, key_end;  // positions; key_begin starts a block of kBlock1
  const float* q;              // tiles: as pack_queries leaves it; streamed: [rows, head_dim]
  float* panel;                // tiles: [panel_floats(head_dim)] working memory
  RangePicks picks;            // of the rows; tiles: padded to kMaxTileRows
};

inline int64_t panel_floats(int64_t head_dim) {
  const int64_t one_tile = 32 * head_dim;  // the widest target's
  return one_tile > kPanelFloats ? one_tile : kPanelFloats;
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

}  // namespace reattn::kernels::cpu
