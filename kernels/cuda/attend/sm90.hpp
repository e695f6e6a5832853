// What the roles of the fast attention share: the sequences of one launch, and where their packed rows lie.
#pragma once

#include "kernels/cuda/attend/attend.hpp"

namespace reattn::kernels::cuda::sm90 {

constexpr int32_t kBatch = 16;  // sequences of one launch

// Packed rows are of head_dim 16-bit numbers and numbered from the start of the scratch: rotated keys, and values,
// [n_kv_heads, capacity] each.
struct Sequence {
  AttendArgs a;
  int32_t k_row, v_row;  // where the two begin
  int32_t capacity;      // positions, the bound of the scope rounded up to tiles
  int32_t first_item;    // of the attention's grid: (KV head, split, tile) of this sequence
  int32_t n_tiles;       // tiles of query rows of one KV head
  int32_t part_row;      // first of its rows among the partial results' rows
  int32_t first_flag;    // of its [n_kv_heads, capacity / kKeys] flags
  bool packed;           // ahead of the attention
};

struct Batch {
  Sequence sequences[kBatch];
  int32_t n = 0;
  int32_t n_splits = 1;  // parts the keys are cut into
  int32_t n_items = 0;
  int32_t n_part_rows = 0;
  void* rows = nullptr;  // packed
  uint32_t* claims =
      nullptr;  // [n, n_kv_heads, n_splits]: units of keys that somebody packs, or has; from 0
  uint32_t* flags = nullptr;    // units of each tile that are packed; from 0
  float* part_out = nullptr;    // [n_splits, n_part_rows, head_dim], where n_splits > 1
  float2* part_norm = nullptr;  // [n_splits, n_part_rows]: the largest score and the sum
};

// Tiles of keys, warpgroups of 64 query rows each, tiles in flight; registers of a thread of the warpgroups that multiply and of the
// one that fetches and packs; whether the attention's own blocks pack (for 64 columns the registers that takes cost more than a
// kernel of its own). Packed keys and values are filled up with zeros to whole tiles.
template <int kHeadDim>
struct Tiling;
template <>
struct Tiling<64> {
  static constexpr int kKeys = 128, kWarpgroups = 3, kStages = 4;
  static constexpr int kConsumerRegisters = 160, kProducerRegisters = 32;
  static constexpr bool kPacks = false;
};
template <>
struct Tiling<128> {
  static constexpr int kKeys = 128, kWarpgroups = 2, kStages = 2;
  static constexpr int kConsumerRegisters = 192, kProducerRegisters = 120;
  static constexpr bool kPacks = true;
};
constexpr int kUnit = 16;  // keys that one warp packs at a time

#if defined(__CUDACC__)
// The tiles of keys of one part.
template <int kHeadDim>
__device__ int2 tiles_of_split(int64_t scope, int32_t split, int32_t n_splits) {
  constexpr int64_t kKeys = Tiling<kHeadDim>::kKeys;
  const int64_t n = (scope + kKeys - 1) / kKeys;
  return make_int2(static_cast<int32_t>(n * split / n_splits),
                   static_cast<int32_t>(n * (split + 1) / n_splits));
}
#endif

}  // namespace reattn::kernels::cuda::sm90
