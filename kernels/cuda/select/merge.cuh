// Device code that joins what the blocks of the scan found.
#pragma once

#include "kernels/cuda/select/scan.cuh"

namespace reattn::kernels::cuda {

// The partial lists of one row of picks, top_k keys each.
struct RowLists {
  const PickKey* first;
  int32_t n, stride;
};

template <int kKeys, int kColumns>
__device__ inline RowLists find_lists(const ScanBatch& b, int32_t sequence, int32_t voter, int32_t head) {
  const int32_t kv_head = head / b.group, column = voter * b.group + head % b.group;
  const ScanSequence& s = b.sequences[sequence];
  const int32_t n_tiles = (s.end + kKeys - 1) / kKeys - s.begin / kKeys;
  const int32_t in_sequence = kv_head * b.n_column_blocks + column / kColumns;
  const int32_t unit = sequence * b.n_kv_heads * b.n_column_blocks + in_sequence;
  const int32_t first_tile = s.first_tile + in_sequence * n_tiles;
  const int32_t first_share = share_of(b, first_tile);
  const int64_t first = (static_cast<int64_t>(first_share) + unit) * kColumns + column % kColumns;
  return {b.partials + first * b.top_k, share_of(b, first_tile + n_tiles - 1) - first_share + 1,
          kColumns * b.top_k};
}

// The best of a row where top_k is at most 4, by one warp; all lanes get them.
__device__ inline void best_four(const RowLists& row, int32_t k, PickKey (&best)[4]) {
  constexpr int32_t kAtOnce = 3;  // lists of a lane
  for (int32_t base = threadIdx.x % kWarp; base < row.n; base += kAtOnce * kWarp) {
    PickKey lists[kAtOnce][4] = {};
#pragma unroll
    for (int32_t l = 0; l < kAtOnce; ++l) {
      const int32_t i = base + l * kWarp;
      const PickKey* list = row.first + static_cast<int64_t>(i) * row.stride;
      if (i >= row.n) continue;
      if (k == 4) {
        const auto low = reinterpret_cast<const ulonglong2*>(list)[0];
        const auto high = reinterpret_cast<const ulonglong2*>(list)[1];
        lists[l][0] = low.x;
        lists[l][1] = low.y;
        lists[l][2] = high.x;
        lists[l][3] = high.y;
      } else {
        for (int32_t j = 0; j < 3; ++j) {
          if (j < k) lists[l][j] = list[j];
        }
      }
    }
#pragma unroll
    for (int32_t l = 0; l < kAtOnce; ++l) join_four(best, lists[l]);
  }
  join_lanes<1>(best);
}

// Key i of the four, without indexing registers.
__device__ inline PickKey nth(const PickKey (&keys)[4], int32_t i) {
  const PickKey low = i % 2 == 0 ? keys[0] : keys[1], high = i % 2 == 0 ? keys[2] : keys[3];
  return i < 2 ? low : high;
}

}  // namespace reattn::kernels::cuda
