// The best scores so far and their positions: as one number each, in ordered fours, in lists spread over lanes.
#pragma once

#include "kernels/cuda/select/block.cuh"

namespace reattn::kernels::cuda {

// A score and its position as one number: the greater comes first, which is the greater score, then the earlier position. 0: none.
using PickKey = unsigned long long;

__device__ inline PickKey pick_key(float score, int32_t position) {
  const uint32_t bits = __float_as_uint(score + 0.0f);  // −0 is 0
  const uint32_t ordered = bits ^ (bits >> 31 != 0 ? 0xffffffffu : 0x80000000u);
  return score > -INFINITY ? static_cast<PickKey>(ordered) << 32 | ~static_cast<uint32_t>(position) : 0;
}
__device__ inline float pick_score(PickKey key) {
  const auto ordered = static_cast<uint32_t>(key >> 32);
  return key == 0 ? -INFINITY
                  : __uint_as_float(ordered ^ (ordered >> 31 != 0 ? 0x80000000u : 0xffffffffu));
}
__device__ inline int32_t pick_position(PickKey key) {  // −1: none
  return key == 0 ? -1 : static_cast<int32_t>(~static_cast<uint32_t>(key));
}

// Puts four keys in descending order; where they fall and then rise, or the other way round, less does.
__device__ inline void order(PickKey& a, PickKey& b) {
  const PickKey low = min(a, b);
  a = max(a, b);
  b = low;
}
__device__ inline void order_four(PickKey (&k)[4]) {
  order(k[0], k[1]);
  order(k[2], k[3]);
  order(k[0], k[2]);
  order(k[1], k[3]);
  order(k[1], k[2]);
}
__device__ inline void order_bitonic(PickKey (&k)[4]) {
  order(k[0], k[2]);
  order(k[1], k[3]);
  order(k[0], k[1]);
  order(k[2], k[3]);
}
// The best four of two ordered lists of four, ordered.
__device__ inline void join_four(PickKey (&k)[4], const PickKey (&other)[4]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) k[i] = max(k[i], other[3 - i]);
  order_bitonic(k);
}
// The best four of the lanes that differ in the bits from kFirst on.
template <int kFirst>
__device__ inline void join_lanes(PickKey (&k)[4]) {
#pragma unroll
  for (int distance = kFirst; distance < kWarp; distance *= 2) {
    PickKey other[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) other[i] = __shfl_xor_sync(kAllLanes, k[i], distance);
    join_four(k, other);
  }
}

// The best of one column that a warp has seen, in order, spread over the 8 lanes of the column: lane g holds entries g and, where
// kPerLane is 2, 8 + g. Later positions are offered later.
template <int kPerLane>
struct ColumnList {
  float score[kPerLane];
  int32_t position[kPerLane];

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      score[i] = -INFINITY;
      position[i] = -1;
    }
  }
  // Puts a pick behind what is not smaller. All 8 lanes bring the same; −∞ changes nothing.
  __device__ void insert(float new_score, int32_t new_position, int32_t lane) {
    const bool is_first = lane < 4;  // g = lane / 4
    const float low_s = score[0];
    const int32_t low_p = position[0];
#pragma unroll
    for (int i = kPerLane - 1; i >= 0; --i) {
      float before_s = __shfl_up_sync(kAllLanes, score[i], 4);
      int32_t before_p = __shfl_up_sync(kAllLanes, position[i], 4);
      if (i == 1) {
        const float wrapped_s = __shfl_sync(kAllLanes, low_s, lane + 28);
        const int32_t wrapped_p = __shfl_sync(kAllLanes, low_p, lane + 28);
        if (is_first) {
          before_s = wrapped_s;
          before_p = wrapped_p;
        }
      }
      const bool takes_new = (i == 0 && is_first) || before_s >= new_score;
      if (score[i] < new_score) {
        score[i] = takes_new ? new_score : before_s;
        position[i] = takes_new ? new_position : before_p;
      }
    }
  }
  // The score of entry k − 1.
  __device__ float last_score(int32_t k, int32_t lane) const {
    const int32_t from = (k - 1) % 8 * 4 + lane % 4;
    float s = __shfl_sync(kAllLanes, score[0], from);
    if constexpr (kPerLane == 2) {
      const float high = __shfl_sync(kAllLanes, score[1], from);
      if (k > 8) s = high;
    }
    return s;
  }
};

}  // namespace reattn::kernels::cuda
