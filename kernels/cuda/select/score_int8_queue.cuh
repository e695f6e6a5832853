// The running picks of the fast int8 scoring kernel where a row keeps at most 4. What is above a row's threshold goes into a small queue
// of the lane, 8 sums of one row as they lie in the accumulators, and is picked from when some lane of the warp has enough of them: a hit
// costs a few instructions, and picking, rare, runs for all lanes at once while products run. Thresholds lag behind, which is slower
// only: what is queued in vain is not picked. The first tiles are gone through twice, the first time for a bound only: they would be full
// of picks.
#pragma once

#include "kernels/cuda/select/score_int8_epilogue.cuh"

namespace reattn::kernels::cuda {

// A warp's room in shared memory: the places of each lane's queue, [kSumPlaces][2][32 lanes] of 16 bytes, what is known of each,
// [kSumPlaces][32 lanes] of 8 bytes, and the lists, [2 row halves][2][32 lanes] of 16 bytes.
constexpr uint32_t kSumPlaces = 7, kSumPlace = 1024, kSumInfo = 256;
constexpr uint32_t kSumQueue = kSumPlaces * kSumPlace;
constexpr uint32_t kSumRoom = kSumQueue + kSumPlaces * kSumInfo + kListRoom;
// Half a tile adds at most 4; so many are enough.
constexpr uint32_t kSumsEnough = 4;
static_assert(kSumsEnough + 3 <= kSumPlaces);

template <int kPicks>
class QueuedSumPicks {
  static_assert(kPicks == 1 || kPicks == 4);
  using List = LaneList<kPicks>;

 public:
  __device__ QueuedSumPicks(bool row0, bool row8, uint32_t warp_room, uint32_t lane,
                            int32_t begin, int32_t end)
      : threshold0_(row0 ? -INFINITY : INFINITY), threshold8_(row8 ? -INFINITY : INFINITY),
        sums_(warp_room + 16 * lane), info_(warp_room + kSumQueue + 8 * lane), next_(sums_),
        lane_(lane), begin_(begin), end_(end) {
    for (uint32_t half = 0; half < 2; ++half) store(half, List());
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

  // Until settle() is called sums are looked at for a bound only: four scores of the row, or one where one counts, are at least the
  // least, or the greatest, of what the quad's lanes have met.
  template <class Tell>
  __device__ void settle(Tell&& tell) {
    float bound0 = best0_, bound8 = best8_;
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      const float other0 = __shfl_xor_sync(~0U, bound0, step);
      const float other8 = __shfl_xor_sync(~0U, bound8, step);
      bound0 = kPicks == 1 ? fmaxf(bound0, other0) : fminf(bound0, other0);
      bound8 = kPicks == 1 ? fmaxf(bound8, other8) : fminf(bound8, other8);
    }
    threshold0_ = fmaxf(threshold0_, below(ordered(bound0)));
    threshold8_ = fmaxf(threshold8_, below(ordered(bound8)));
    tell(0U, best0_);
    tell(1U, best8_);
    bounding_ = false;
  }

  // Queues what is above the thresholds in a tile whose first column is at position `start`, a multiple of 32: its halves, and their
  // maxima.
  template <class Tell>
  __device__ void look(const int32_t (&d)[2][32], const SumMaxima (&m)[2], int32_t start,
                       float scale0, float scale8, Tell&& tell) {
    if (bounding_) {
      meet(m[0], start, scale0, scale8);
      meet(m[1], start + 64, scale0, scale8);
      return;
    }
    const int32_t most0 = max3(max(m[0].row0[0], m[0].row0[1]), m[1].row0[0], m[1].row0[1]);
    const int32_t most8 = max3(max(m[0].row8[0], m[0].row8[1]), m[1].row8[0], m[1].row8[1]);
    const bool hit = (score(most0, scale0) > threshold0_) | (score(most8, scale8) > threshold8_);
    if (!__any_sync(~0U, hit)) return;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (half == 1 && enough_) pick(tell);
      const int32_t at = start + 64 * half;
      queue<0, 0>(d[half], at, scale0, score(m[half].row0[0], scale0) > threshold0_);
      queue<0, 1>(d[half], at, scale0, score(m[half].row0[1], scale0) > threshold0_);
      queue<1, 0>(d[half], at, scale8, score(m[half].row8[0], scale8) > threshold8_);
      queue<1, 1>(d[half], at, scale8, score(m[half].row8[1], scale8) > threshold8_);
      enough_ = __any_sync(~0U, next_ >= sums_ + kSumsEnough * kSumPlace) != 0;
    }
  }

  // After each look, with products under way.
  template <class Tell>
  __device__ void take(Tell&& tell) {
    if (enough_) pick(tell);
  }
  // Picks from the queues. tell(row half, what is known) where a threshold may have risen.
  template <class Tell>
  __device__ void pick(Tell&& tell) {
    const uint32_t mine = (next_ - sums_) / kSumPlace, most = __reduce_max_sync(~0U, mine);
#pragma unroll 1
    for (uint32_t at = 0; at < most; ++at) {
      const uint32_t from = sums_ + at * kSumPlace;
      int32_t v[8], place;
      float scale;
      load4(from, v[0], v[1], v[2], v[3]);
      load4(from + 512, v[4], v[5], v[6], v[7]);
      asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];"
                   : "=r"(place), "=f"(scale)
                   : "r"(info_ + at * kSumInfo)
                   : "memory");
      const uint32_t half = at < mine ? place & 1 : 0;
      const float threshold = half == 0 ? threshold0_ : threshold8_;
      uint32_t above = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) above |= score(v[i], scale) > threshold ? 1U << i : 0U;
      if (at >= mine) above = 0;
      const int32_t start = (place & ~1) + static_cast<int32_t>(2 * (lane_ % 4));
      auto list = load(half);
#pragma unroll 1
      while (__any_sync(~0U, above != 0)) {
        const auto i = static_cast<uint32_t>(__ffs(static_cast<int>(above)) - 1) % 8;
        int32_t sum;
        asm volatile("ld.shared.b32 %0, [%1];"
                     : "=r"(sum)
                     : "r"(from + 512 * (i / 4) + 4 * (i % 4))
                     : "memory");
        const int32_t position = start + static_cast<int32_t>(8 * (i / 2) + i % 2);
        const bool there = above != 0 && position >= begin_ && position < end_;
        list.insert(there ? score(sum, scale) : -INFINITY, position);
        above &= above - 1;
      }
      store(half, list);
    }
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      const List list = load(half);
      float& threshold = half == 0 ? threshold0_ : threshold8_;
      threshold = fmaxf(threshold, list.last());
      tell(half, fmaxf(list.best(), threshold));
    }
    next_ = sums_;
    enough_ = false;
  }

  // The row half's picks, in a list of the quad.
  __device__ QuadList<1> picks(uint32_t half) const { return load(half).merged(lane_); }

 private:
  static __device__ float score(int32_t sum, float scale) { return sum_as_float(sum) * scale; }
  // Groups of which some columns may not be of the middle count for nothing.
  __device__ void meet(const SumMaxima& m, int32_t start, float scale0, float scale8) {
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      if (start + 32 * g < begin_ || start + 32 * g + 32 > end_) continue;
      best0_ = fmaxf(best0_, score(m.row0[g], scale0));
      best8_ = fmaxf(best8_, score(m.row8[g], scale8));
    }
  }

  template <int kHalf, int kGroup>
  __device__ void queue(const int32_t (&d)[32], int32_t start, float scale, bool hit) {
    const auto v = [&](int i) { return sum_at<kHalf>(d, 8 * kGroup + i); };
    const uint32_t info = info_ + (next_ - sums_) / (kSumPlace / kSumInfo);
    asm volatile(
        "{ .reg .pred p; setp.ne.u32 p, %2, 0; "
        "@p st.shared.v4.b32 [%0], {%5, %6, %7, %8}; "
        "@p st.shared.v4.b32 [%0 + 512], {%9, %10, %11, %12}; "
        "@p st.shared.v2.b32 [%1], {%3, %4}; "
        "@p add.u32 %0, %0, %13; }"
        : "+r"(next_)
        : "r"(info), "r"(static_cast<uint32_t>(hit)), "r"((start + 32 * kGroup) | kHalf), "f"(scale), "r"(v(0)),
          "r"(v(1)), "r"(v(2)), "r"(v(3)), "r"(v(4)), "r"(v(5)), "r"(v(6)), "r"(v(7)), "n"(kSumPlace)
        : "memory");
  }

  static __device__ void load4(uint32_t from, int32_t& a, int32_t& b, int32_t& c, int32_t& d) {
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a), "=r"(b), "=r"(c), "=r"(d)
                 : "r"(from)
                 : "memory");
  }
  __device__ WarpRoom lists() const {  // of which only the lists are used
    return WarpRoom(sums_ - 16 * lane_ + kSumRoom - kListRoom - kTileRoom, lane_);
  }
  __device__ void store(uint32_t half, const List& list) const { lists().store(half, list); }
  __device__ List load(uint32_t half) const { return lists().template load<List>(half); }

  // Only what is greater is a candidate: the score of the last pick that counts, or what another split's list rules out. +inf: the
  // row is not there.
  float threshold0_, threshold8_;
  float best0_ = -INFINITY, best8_ = -INFINITY;  // of the lane's columns
  uint32_t sums_, info_;                         // the lane's first place
  uint32_t next_;                                // its next one
  uint32_t lane_;
  int32_t begin_, end_;  // of the middle
  bool enough_ = false, bounding_ = true;
};

}  // namespace reattn::kernels::cuda
