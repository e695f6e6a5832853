// The running picks of the fast scoring kernel: what a lane does with its accumulators of one tile.
#pragma once

#include "kernels/cuda/select/picks.cuh"

namespace reattn::kernels::cuda {

// A quad of lanes shares two rows of the accumulators (wgmma.cuh) and holds each row's sorted list: rank r is slot r % kSlots of
// the quad's lane r / kSlots, so a list has room for 4 · kSlots picks, of which the first top_k count.
template <int kSlots>
class QuadList {
  static_assert(kSlots == 1 || kSlots == 4);

 public:
  __device__ explicit QuadList(bool there) : threshold(there ? -INFINITY : INFINITY) {
#pragma unroll
    for (int s = 0; s < kSlots; ++s) held_[s] = kNoPick;
  }
  // All lanes of a quad give the same pick, or kNoPick. All lanes of the warp call it.
  __device__ void insert(Pick pick, uint32_t lane, int32_t top_k) {
    Pick better = __shfl_up_sync(~0U, held_[kSlots - 1], 1, 4);
    if (lane % 4 == 0) better = ~Pick{0};
#pragma unroll
    for (int s = kSlots - 1; s >= 0; --s) {
      const Pick above = s > 0 ? held_[s > 0 ? s - 1 : 0] : better;
      if (pick > held_[s]) held_[s] = pick > above ? above : pick;
    }
    const int32_t last = top_k - 1;
    uint32_t score = static_cast<uint32_t>(held_[0] >> 32);
    if constexpr (kSlots == 4) {  // not by index: that would move the list to local memory
      const Pick even = (last & 2) != 0 ? held_[2] : held_[0];
      const Pick odd = (last & 2) != 0 ? held_[3] : held_[1];
      score = static_cast<uint32_t>(((last & 1) != 0 ? odd : even) >> 32);
    }
    score = __shfl_sync(~0U, score, last / kSlots, 4);
    if (threshold < INFINITY) threshold = from_ordered(score);
  }
  __device__ Pick at(int slot) const { return held_[slot]; }

  float threshold;  // score of the last pick that counts: only greater ones are candidates; +inf: the row is not there

 private:
  Pick held_[kSlots];
};

__device__ inline int32_t max3(int32_t a, int32_t b, int32_t c) { return max(max(a, b), c); }

// Maxima of the 4 groups of 8 numbers of row half `kHalf`, the floats taken as integers: right where one is positive.
template <int kHalf>
__device__ inline void group_maxima(const float (&d)[64], int32_t (&m)[4]) {
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    const float* x = d + 16 * g + 2 * kHalf;
    const auto bits = [&](int i) { return __float_as_int(x[4 * (i / 2) + i % 2]); };
    m[g] = max3(max3(bits(0), bits(1), bits(2)), max3(bits(3), bits(4), bits(5)), max(bits(6), bits(7)));
  }
}
template <int kHalf>
__device__ inline float float_maximum(const float (&d)[64]) {
  float m = -INFINITY;
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    m = fmaxf(m, fmaxf(d[4 * j + 2 * kHalf], d[4 * j + 2 * kHalf + 1]));
  }
  return m;
}

// Number i (not known at compile time) of 8.
__device__ inline float select8(const float (&v)[8], uint32_t i) {
  const float a = (i & 1) != 0 ? v[1] : v[0], b = (i & 1) != 0 ? v[3] : v[2];
  const float c = (i & 1) != 0 ? v[5] : v[4], d = (i & 1) != 0 ? v[7] : v[6];
  const float ab = (i & 2) != 0 ? b : a, cd = (i & 2) != 0 ? d : c;
  return (i & 4) != 0 ? cd : ab;
}

// The keys of a tile: the position of the accumulators' column 0, and which positions are of the middle.
struct TileKeys {
  int32_t start, begin, end;
  __device__ bool has(int32_t position) const { return position >= begin && position < end; }
};

// Inserts all that is greater than the threshold. `bound`: nothing below it can be among the row's best any more.
template <int kHalf, int kSlots>
__device__ inline void insert_all(const float (&d)[64], QuadList<kSlots>& list, TileKeys keys,
                                  float bound, uint32_t lane, int32_t top_k) {
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    float v[8];
    uint32_t mine = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      v[i] = d[16 * g + 4 * (i / 2) + 2 * kHalf + i % 2];
      if (v[i] > list.threshold && v[i] >= bound) mine |= 1U << i;
    }
    while (const uint32_t who = __ballot_sync(~0U, mine != 0)) {
      const uint32_t i = static_cast<uint32_t>(__ffs(static_cast<int>(mine)) - 1);
      const int32_t position =
          keys.start + static_cast<int32_t>(32 * g + 8 * ((i >> 1) & 3) + 2 * (lane % 4) + (i & 1));
      const Pick pick = mine != 0 && keys.has(position) ? make_pick(select8(v, i), position) : kNoPick;
      // The quad's first lane that has something left gives it.
      const uint32_t quad = who >> (lane & 28U) & 15U;
      const int from = quad != 0 ? __ffs(static_cast<int>(quad)) - 1 : 0;
      if (static_cast<uint32_t>(from) == lane % 4) mine &= mine - 1;
      list.insert(__shfl_sync(~0U, pick, from, 4), lane, top_k);
    }
  }
}

// block1: the tile is one block, its best key the only candidate.
template <int kHalf, int kSlots>
__device__ inline void insert_best(const float (&d)[64], QuadList<kSlots>& list, TileKeys keys,
                                   uint32_t lane, int32_t top_k) {
  Pick best = kNoPick;
#pragma unroll
  for (int j = 0; j < 16; ++j) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const float score = d[4 * j + 2 * kHalf + e];
      const int32_t position = keys.start + 8 * j + static_cast<int32_t>(2 * (lane % 4)) + e;
      if (score > list.threshold && keys.has(position)) best = max(best, make_pick(score, position));
    }
  }
  best = max(best, __shfl_xor_sync(~0U, best, 1));
  best = max(best, __shfl_xor_sync(~0U, best, 2));
  list.insert(best, lane, top_k);
}

// What 4 numbers, one of each lane of the quad, prove: the row has 4 scores that are at least this.
__device__ inline float quad_bound(float score, bool sure) {
  if (!sure || isnan(score)) score = -INFINITY;
  score = fminf(score, __shfl_xor_sync(~0U, score, 1));
  return fminf(score, __shfl_xor_sync(~0U, score, 2));
}

template <int kSlots, bool kBlock1>
class RunningPicks {
 public:
  __device__ RunningPicks(bool row0, bool row8, uint32_t lane, int32_t top_k)
      : list0(row0), list8(row8), lane_(lane), top_k_(top_k) {
    count_signs();
  }

  // `ragged`: some keys are not of the middle.
  __device__ void take(const float (&d)[64], TileKeys keys, bool ragged) {
    float most0, most8;
    if (positive_) {  // floats ≥ 0 are ordered as integers are
      int32_t m[4];
      group_maxima<0>(d, m);
      most0 = __int_as_float(max(max3(m[0], m[1], m[2]), m[3]));
      group_maxima<1>(d, m);
      most8 = __int_as_float(max(max3(m[0], m[1], m[2]), m[3]));
    } else {
      most0 = float_maximum<0>(d);
      most8 = float_maximum<1>(d);
    }
    const bool hit = most0 > list0.threshold || most8 > list8.threshold;
    if (__any_sync(~0U, hit)) {
      if constexpr (kBlock1) {
        insert_best<0>(d, list0, keys, lane_, top_k_);
        insert_best<1>(d, list8, keys, lane_, top_k_);
      } else {
        const bool sure = !ragged && top_k_ <= 4;
        insert_all<0>(d, list0, keys, quad_bound(most0, sure), lane_, top_k_);
        insert_all<1>(d, list8, keys, quad_bound(most8, sure), lane_, top_k_);
      }
      count_signs();
    }
  }

  QuadList<kSlots> list0, list8;  // of the lane's two rows

 private:
  __device__ void count_signs() {
    positive_ = __all_sync(~0U, list0.threshold >= 0 && list8.threshold >= 0) != 0;
  }
  uint32_t lane_;
  int32_t top_k_;
  bool positive_;
};

}  // namespace reattn::kernels::cuda
