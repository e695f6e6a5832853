// The running picks of the fast int8 scoring kernel. A tile is looked through as integers; a row's greatest sum alone becomes a score,
// to be compared with the threshold: scores rise with sums, and so the test is exact. Sums are parked where there are picks, and become
// scores as they are picked from. All else is as in score_epilogue.cuh.
#pragma once

#include "kernels/cuda/select/score_epilogue.cuh"

namespace reattn::kernels::cuda {

// float(sum), exact below 2^22, and 2^22 > 260 · 127²: adding integers moves the last digits of 1.5 · 2^23.
__device__ inline float sum_as_float(int32_t sum) {
  return __int_as_float(0x4b400000 + sum) - 12582912.0F;
}

// What sums of one row are multiplied by: the key block's scale · the row's. block1's tiles may lie in two blocks of keys; the second
// begins at group `change` of 32 columns.
template <bool kBlock1>
struct SumScales {
  float first, second;
  uint32_t change;
  __device__ float of(uint32_t g) const { return kBlock1 && g >= change ? second : first; }
  __device__ SumScales times(float row) const { return {first * row, second * row, change}; }
};

// Sum i of the 16 that a lane has of a row.
template <int kHalf>
__device__ inline int32_t sum_at(const int32_t (&d)[32], int i) {
  return d[4 * (i / 2) + 2 * kHalf + i % 2];
}
template <int kHalf>
__device__ inline void sum_maxima(const int32_t (&d)[32], int32_t (&m)[2]) {
#pragma unroll
  for (int g = 0; g < 2; ++g) {
    const auto sum = [&](int i) { return sum_at<kHalf>(d, 8 * g + i); };
    m[g] = max3(max3(sum(0), sum(1), sum(2)), max3(sum(3), sum(4), sum(5)), max(sum(6), sum(7)));
  }
}

// Of the two rows, each of the 2 groups of 8 sums in half a tile.
struct SumMaxima {
  int32_t row0[2], row8[2];
  __device__ explicit SumMaxima(const int32_t (&d)[32]) {
    sum_maxima<0>(d, row0);
    sum_maxima<1>(d, row8);
  }
};

// Parked sums, read as scores of one row.
template <bool kBlock1>
struct SumRoom {
  WarpRoom room;
  SumScales<kBlock1> scales;
  __device__ void group(uint32_t half, uint32_t g, float (&v)[8]) const {
    room.group(half, g, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = sum_as_float(__float_as_int(v[i])) * scales.of(g);
  }
  __device__ float score(uint32_t half, uint32_t g, uint32_t i) const {
    return sum_as_float(__float_as_int(room.score(half, g, i))) * scales.of(g);
  }
};

// The two rows of a lane.
template <int kPicks, bool kBlock1>
class RunningSumPicks {
  using P = Picker<kPicks, kBlock1>;
  using Scales = SumScales<kBlock1>;

 public:
  __device__ RunningSumPicks(bool row0, bool row8, uint32_t warp_room, uint32_t lane, int32_t top_k)
      : threshold0_(row0 ? -INFINITY : INFINITY), threshold8_(row8 ? -INFINITY : INFINITY),
        room_(warp_room, lane), lane_(lane), top_k_(top_k) {
    for (uint32_t half = 0; half < 2; ++half) room_.store(half, typename P::List());
  }

  // What the other splits have told of the two rows.
  __device__ void hear(uint32_t row0, uint32_t row8) {
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      row0 = min(row0, __shfl_xor_sync(~0U, row0, step));
      row8 = min(row8, __shfl_xor_sync(~0U, row8, step));
    }
    threshold0_ = fmaxf(threshold0_, below(row0));
    threshold8_ = fmaxf(threshold8_, below(row8));
  }

  // Looks for scores above the thresholds in half a tile, and parks all sums where there are some.
  __device__ void look(const int32_t (&d)[32], uint32_t tile_half, const Scales& row0,
                       const Scales& row8) {
    int32_t m0[2], m8[2];
    sum_maxima<0>(d, m0);
    sum_maxima<1>(d, m8);
    const bool hit = above(m0, tile_half, row0, threshold0_) | above(m8, tile_half, row8, threshold8_);
    if (!__any_sync(~0U, hit)) return;
    parked_ = true;
#pragma unroll
    for (uint32_t g = 0; g < 2; ++g) {
      const uint32_t at = 2 * tile_half + g;
      groups_ |= (sum_as_float(m0[g]) * row0.of(at) > threshold0_ ? 1U : 0U) << at;
      groups_ |= (sum_as_float(m8[g]) * row8.of(at) > threshold8_ ? 1U : 0U) << (4 + at);
    }
    float bits[32];
#pragma unroll
    for (int i = 0; i < 32; ++i) bits[i] = __int_as_float(d[i]);
    room_.park(bits, tile_half);
  }

  __device__ bool parked() const { return parked_; }
  // Picks from what was parked of a tile of these keys and scales. tell(row half, what is known) where a threshold may have risen.
  template <class Tell>
  __device__ void take(TileKeys keys, const Scales& row0, const Scales& row8, Tell&& tell) {
    parked_ = false;
#pragma unroll 1
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t groups = groups_ >> 4 * half & 15U;
      if (!__any_sync(~0U, groups != 0)) continue;
      const Scales scales{half == 0 ? row0.first : row8.first, half == 0 ? row0.second : row8.second,
                          row0.change};
      const ParkedRow<SumRoom<kBlock1>> row{{room_, scales}, half, keys, lane_, top_k_};
      float threshold = half == 0 ? threshold0_ : threshold8_, least = threshold;
      if (!kBlock1 && first_) least = fmaxf(least, below(ordered(sure_bound<kPicks>(row, groups))));
      auto list = room_.template load<typename P::List>(half);
      threshold = fmaxf(threshold, P::take(list, row, groups, least));
      room_.store(half, list);
      tell(half, P::known(list, threshold));
      threshold0_ = half == 0 ? threshold : threshold0_;
      threshold8_ = half == 0 ? threshold8_ : threshold;
    }
    groups_ = 0;
    first_ = false;
  }
  // The row half's picks, in a list of the quad.
  __device__ auto picks(uint32_t half) const {
    return P::picks(room_.template load<typename P::List>(half), lane_);
  }

 private:
  // Whether a score of half a tile is greater, by the greatest sum. Where the scale is infinite 0 gives NaN, and is not: lesser sums give
  // −inf then, and there is nothing to pick.
  static __device__ bool above(const int32_t (&m)[2], uint32_t tile_half, const Scales& row,
                               float threshold) {
    if constexpr (!kBlock1) return sum_as_float(max(m[0], m[1])) * row.first > threshold;
    return (sum_as_float(m[0]) * row.of(2 * tile_half) > threshold) |
           (sum_as_float(m[1]) * row.of(2 * tile_half + 1) > threshold);
  }

  // Only what is greater is a candidate: the score of the last pick that counts, or what another split's list rules out. +inf: the
  // row is not there.
  float threshold0_, threshold8_;
  WarpRoom room_;
  uint32_t lane_;
  int32_t top_k_;
  uint32_t groups_ = 0;  // what is parked: groups with scores above the threshold, 4 bits a row half
  bool parked_ = false, first_ = true;
};

}  // namespace reattn::kernels::cuda
