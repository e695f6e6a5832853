// Device code of the expansion by one block: anchors are sorted, and each adds what its predecessor has not covered.
#pragma once

#include "kernels/cuda/select/block.cuh"

namespace reattn::kernels::cuda {

struct ExpandSequence {
  const int32_t* anchors;
  const int32_t* n_anchors;
  int32_t* positions;
  int32_t* n_positions;
  uint32_t* bitmap;      // [(end − begin + 31) / 32] used by very many anchors only
  int32_t begin, end;    // the middle
  int32_t span;
};

// What an anchor adds to those before it in order: [begin, end).
struct Addition {
  int64_t begin, end;
  __device__ int32_t length() const { return static_cast<int32_t>(max(end - begin, int64_t{0})); }
};

__device__ inline Addition addition(const ExpandSequence& s, int32_t anchor, bool has_previous,
                             int32_t previous) {
  const int64_t from = static_cast<int64_t>(anchor) - s.span / 2;
  int64_t covered = s.begin;
  if (has_previous) covered = max(covered, static_cast<int64_t>(previous) - s.span / 2 + s.span);
  return {max(from, covered), min(from + s.span, static_cast<int64_t>(s.end))};
}

__device__ inline void write_addition(const ExpandSequence& s, int64_t begin, int32_t length, int32_t slot) {
  for (int32_t i = threadIdx.x % kWarp; i < length; i += kWarp) {
    s.positions[slot + i] = static_cast<int32_t>(begin + i);
  }
}

// Up to kPer · blockDim.x anchors; anchors and slots: [kPer · blockDim.x] of shared memory.
template <int kPer>
__device__ void expand_sorted(const ExpandSequence& s, int32_t n_anchors, int32_t* anchors, int32_t* slots) {
  __shared__ int32_t warp_sums[kWarp + 1];
  const int32_t me = threadIdx.x, n_threads = blockDim.x;
  int32_t keys[kPer];
#pragma unroll
  for (int r = 0; r < kPer; ++r) {
    const int32_t i = me * kPer + r;
    keys[r] = i < n_anchors ? s.anchors[i] : INT32_MAX;
  }
  block_sort<false>(keys, next_power_of_two(n_anchors), anchors);
#pragma unroll
  for (int r = 0; r < kPer; ++r) anchors[me * kPer + r] = keys[r];
  __syncthreads();
  const auto added = [&](int32_t i) {
    return addition(s, anchors[i], i > 0, i > 0 ? anchors[i - 1] : 0);
  };
  int32_t total = 0;
  for (int32_t base = 0; base < n_anchors; base += n_threads) {
    const int32_t i = base + me;
    const Prefix prefix = block_prefix(i < n_anchors ? added(i).length() : 0, warp_sums);
    if (i < n_anchors) slots[i] = total + prefix.before;
    total += prefix.total;
  }
  if (me == 0) *s.n_positions = total;
  __syncthreads();
  for (int32_t i = me / kWarp; i < n_anchors; i += n_threads / kWarp) {
    const Addition a = added(i);
    write_addition(s, a.begin, a.length(), slots[i]);
  }
}

}  // namespace reattn::kernels::cuda
