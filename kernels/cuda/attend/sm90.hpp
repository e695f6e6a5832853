// What the stages of the fast attention share: the sequences of one launch, and where their packed rows lie.
#pragma once

#include "kernels/cuda/attend/attend.hpp"

namespace reattn::kernels::cuda::sm90 {

constexpr int32_t kBatch = 16;  // sequences of one launch

// Packed rows are of head_dim 16-bit numbers and numbered from the start of the scratch: q [n_kv_heads, n_queries, group],
// rotated and scaled by scale · log2(e); keys, rotated, and values [n_kv_heads, capacity] each.
struct Sequence {
  AttendArgs a;
  int32_t q_row, k_row, v_row;  // where each of the three begins
  int32_t capacity;             // positions, the bound of the scope rounded up to tiles
  int32_t first_item;           // of the attention's grid: (KV head, split, tile) of this sequence
  int32_t n_tiles;              // tiles of query rows of one KV head
  int32_t part_row;             // first of its rows among the partial results' rows
};

struct Batch {
  Sequence sequences[kBatch];
  int32_t n = 0;
  int32_t n_splits = 1;  // parts the keys are cut into
  int32_t n_items = 0;
  int32_t n_part_rows = 0;
  void* rows = nullptr;         // packed
  float* part_out = nullptr;    // [n_splits, n_part_rows, head_dim], where n_splits > 1
  float2* part_norm = nullptr;  // [n_splits, n_part_rows]: the largest score and the sum
};

// Keys of one tile; packed keys and values are filled up with zeros to whole tiles.
template <int kHeadDim>
struct Tiling;
template <>
struct Tiling<64> {
  static constexpr int kKeys = 128, kWarpgroups = 3, kStages = 4;
};
template <>
struct Tiling<128> {
  static constexpr int kKeys = 128, kWarpgroups = 2, kStages = 2;
};

// Packs what the attention reads.
template <int kHeadDim>
void gather(Context& ctx, const Batch& batch);

}  // namespace reattn::kernels::cuda::sm90
