// A pick as one number, so that comparing picks is comparing numbers: the score, ordered, above the position, reversed. The
// greater is the better; equal scores: the earlier position. No two picks of a row are equal, so no order of insertion matters.
#pragma once

#include <cstdint>

namespace reattn::kernels::cuda {

using Pick = uint64_t;
constexpr Pick kNoPick = uint64_t{0x007fffff} << 32;  // −inf at position −1: worse than any pick

// Floats as unsigned numbers of the same order. −0 becomes +0, as they are equal. Not for NaN.
__device__ inline uint32_t ordered(float score) {
  const int32_t bits = __float_as_int(score + 0.0F);
  return static_cast<uint32_t>(bits ^ ((bits >> 31) | INT32_MIN));
}
__device__ inline float from_ordered(uint32_t o) {
  const auto bits = static_cast<int32_t>(o);
  return __int_as_float(bits ^ (~(bits >> 31) | INT32_MIN));
}

__device__ inline Pick make_pick(float score, int32_t position) {
  return static_cast<uint64_t>(ordered(score)) << 32 | static_cast<uint32_t>(~position);
}
// What can be picked at all: neither NaN nor −inf.
__device__ inline bool pickable(float score) { return score > -INFINITY; }
__device__ inline float pick_score(Pick p) { return from_ordered(static_cast<uint32_t>(p >> 32)); }
__device__ inline int32_t pick_position(Pick p) { return static_cast<int32_t>(~static_cast<uint32_t>(p)); }

// A warp's list: lane r holds the pick of rank r. All lanes give the same `pick`.
__device__ inline void insert_in_warp(Pick& held, Pick pick, uint32_t lane) {
  const Pick better = __shfl_up_sync(~0U, held, 1);
  if (pick > held) held = lane > 0 && pick > better ? better : pick;
}
// Offers one pick of each lane to the warp's list of top_k ≤ 32; `last` is the list's rank top_k − 1.
__device__ inline void offer_to_warp(Pick& held, Pick& last, Pick mine, int32_t top_k,
                                     uint32_t lane) {
  while (const uint32_t who = __ballot_sync(~0U, mine > last)) {
    const int from = __ffs(static_cast<int>(who)) - 1;
    const Pick pick = __shfl_sync(~0U, mine, from);
    if (lane == static_cast<uint32_t>(from)) mine = 0;
    insert_in_warp(held, pick, lane);
    last = __shfl_sync(~0U, held, top_k - 1);
  }
}

}  // namespace reattn::kernels::cuda
