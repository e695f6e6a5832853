// The running picks of the fast scoring kernel: what a lane does with its accumulators of one tile. Two rows of scores lie in the
// registers of a quad of lanes (wgmma.cuh): 32 columns of each row in each lane.
#pragma once

#include "kernels/cuda/select/picks.cuh"

namespace reattn::kernels::cuda {

// The keys of a tile: the position of the accumulators' column 0, which positions are of the middle, and whether some are not.
struct TileKeys {
  int32_t start, begin, end;
  bool ragged;
  __device__ bool has(int32_t position) const { return position >= begin && position < end; }
};

// Score i of the 32 that a lane has of a row, and its column in the tile.
template <int kHalf>
__device__ inline float score_at(const float (&d)[64], int i) {
  return d[4 * (i / 2) + 2 * kHalf + i % 2];
}
__device__ inline int32_t column_of(int i, uint32_t lane) {
  return 8 * (i / 2) + i % 2 + static_cast<int32_t>(2 * (lane % 4));
}

__device__ inline int32_t max3(int32_t a, int32_t b, int32_t c) { return max(max(a, b), c); }

// Maxima of the 4 groups of 8 scores. Floats as integers: right where one is positive, and cheaper; then NaN is the greatest.
template <int kHalf>
__device__ inline void integer_maxima(const float (&d)[64], int32_t (&m)[4]) {
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    const auto bits = [&](int i) { return __float_as_int(score_at<kHalf>(d, 8 * g + i)); };
    m[g] = max3(max3(bits(0), bits(1), bits(2)), max3(bits(3), bits(4), bits(5)), max(bits(6), bits(7)));
  }
}
template <int kHalf>
__device__ inline void float_maxima(const float (&d)[64], int32_t (&m)[4]) {
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    float most = -INFINITY;
#pragma unroll
    for (int i = 0; i < 8; ++i) most = fmaxf(most, score_at<kHalf>(d, 8 * g + i));
    m[g] = __float_as_int(most);
  }
}

// A row's list sorted over its quad: rank r is slot r % kSlots of the quad's lane r / kSlots, room for 4 · kSlots picks, of which the
// first top_k count.
template <int kSlots>
class QuadList {
  static_assert(kSlots == 1 || kSlots == 4);

 public:
  __device__ QuadList() {
#pragma unroll
    for (int s = 0; s < kSlots; ++s) held_[s] = kNoPick;
  }
  // All lanes of a quad give the same pick, or kNoPick. All lanes of the warp call it.
  __device__ void insert(Pick pick, uint32_t lane) {
    Pick better = __shfl_up_sync(~0U, held_[kSlots - 1], 1, 4);
    if (lane % 4 == 0) better = ~Pick{0};
#pragma unroll
    for (int s = kSlots - 1; s >= 0; --s) {
      const Pick above = s > 0 ? held_[s > 0 ? s - 1 : 0] : better;
      if (pick > held_[s]) held_[s] = pick > above ? above : pick;
    }
  }
  // Score of the last pick that counts.
  __device__ float last(int32_t top_k) const {
    const int32_t rank = top_k - 1;
    auto score = static_cast<uint32_t>(held_[0] >> 32);
    if constexpr (kSlots == 4) {  // not by index: that would move the list to local memory
      const Pick even = (rank & 2) != 0 ? held_[2] : held_[0];
      const Pick odd = (rank & 2) != 0 ? held_[3] : held_[1];
      score = static_cast<uint32_t>(((rank & 1) != 0 ? odd : even) >> 32);
    }
    return from_ordered(__shfl_sync(~0U, score, rank / kSlots, 4));
  }
  __device__ Pick at(int slot) const { return held_[slot]; }

 private:
  Pick held_[kSlots];
};

// A lane's own best of its columns of a row, sorted; positions come in ascending order, so equal scores stay behind.
template <int kPicks>
class LaneList {
  static_assert(kPicks == 1 || kPicks == 4);

 public:
  __device__ LaneList() {
#pragma unroll
    for (int s = 0; s < kPicks; ++s) {
      score_[s] = -INFINITY;
      position_[s] = -1;
    }
  }
  // −inf: nothing.
  __device__ void insert(float score, int32_t position) {
#pragma unroll
    for (int s = kPicks - 1; s >= 0; --s) {
      const bool beats = score > score_[s], beats_above = s > 0 && score > score_[s > 0 ? s - 1 : 0];
      const float above = score_[s > 0 ? s - 1 : 0];
      const int32_t position_above = position_[s > 0 ? s - 1 : 0];
      score_[s] = beats_above ? above : beats ? score : score_[s];
      position_[s] = beats_above ? position_above : beats ? position : position_[s];
    }
  }
  // The score of rank kPicks − 1 in the quad's four lists together.
  __device__ float last() const {
    if constexpr (kPicks == 1) {
      const float most = fmaxf(score_[0], __shfl_xor_sync(~0U, score_[0], 1));
      return fmaxf(most, __shfl_xor_sync(~0U, most, 2));
    } else {
      float t[4];
      best_with<1>(score_, t);
      order(t[0], t[2]);
      order(t[1], t[3]);
      order(t[0], t[1]);
      order(t[2], t[3]);
      float u[4];
      best_with<2>(t, u);
      return fminf(fminf(u[0], u[1]), fminf(u[2], u[3]));
    }
  }
  __device__ QuadList<1> merged(uint32_t lane) const {
    QuadList<1> list;
#pragma unroll
    for (int s = 0; s < kPicks; ++s) {
      const Pick mine = score_[s] > -INFINITY ? make_pick(score_[s], position_[s]) : kNoPick;
      for (int from = 0; from < 4; ++from) list.insert(__shfl_sync(~0U, mine, from, 4), lane);
    }
    return list;
  }

 private:
  // The 4 best of two sorted lists, rising and then falling.
  template <int kLane>
  static __device__ void best_with(const float (&mine)[4], float (&out)[4]) {
#pragma unroll
    for (int s = 0; s < 4; ++s) out[s] = fmaxf(mine[s], __shfl_xor_sync(~0U, mine[3 - s], kLane));
  }
  static __device__ void order(float& a, float& b) {
    const float most = fmaxf(a, b);
    b = fminf(a, b);
    a = most;
  }
  float score_[kPicks];
  int32_t position_[kPicks];
};

// The splits of a row tell each other how good their last pick is, so that none collects what another has long beaten. Picks do not
// depend on who hears what when: only what cannot be among the row's best is ruled out. 0: nothing is known.
__device__ inline uint32_t heard(const uint32_t* at) {
  uint32_t o;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(o) : "l"(at) : "memory");
  return o;
}
__device__ inline void tell(uint32_t* at, float threshold) {
  asm volatile("red.relaxed.gpu.global.max.u32 [%0], %1;" ::"l"(at), "r"(ordered(threshold)) : "memory");
}
// An equal score at an earlier position may still win: the threshold is what lies below. Two steps, as −0 equals 0; NaN where nothing
// is known.
__device__ inline float below(uint32_t o) { return from_ordered(o - 2); }

// Number i (not known at compile time) of 4 or 8.
__device__ inline float select4(float a, float b, float c, float d, uint32_t i) {
  const float ab = (i & 1) != 0 ? b : a, cd = (i & 1) != 0 ? d : c;
  return (i & 2) != 0 ? cd : ab;
}
__device__ inline float select8(const float (&v)[8], uint32_t i) {
  const float low = select4(v[0], v[1], v[2], v[3], i), high = select4(v[4], v[5], v[6], v[7], i);
  return (i & 4) != 0 ? high : low;
}

// Which maxima are greater than the threshold, as bits. A NaN among integers is greater than all: it hides what may lie beside it.
__device__ inline uint32_t groups_above(const int32_t (&m)[4], bool integers, float threshold) {
  uint32_t groups = 0;
#pragma unroll
  for (int g = 0; g < 4; ++g) {
    const bool above = integers ? m[g] > __float_as_int(threshold) : __int_as_float(m[g]) > threshold;
    groups |= above ? 1U << g : 0U;
  }
  return groups;
}

// Calls emit(score, position) for all scores above the threshold, of all lanes at once and in each lane in ascending order; −inf in
// lanes that have none left. False where no lane had one.
template <int kHalf, class Emit>
__device__ inline bool each_above(const float (&d)[64], const int32_t (&m)[4], bool integers, TileKeys keys,
                                  float threshold, uint32_t lane, Emit&& emit) {
  uint32_t groups = groups_above(m, integers, threshold);
  bool some = false;
  while (__any_sync(~0U, groups != 0)) {
    const uint32_t g = (groups & 1) != 0 ? 0 : (groups & 2) != 0 ? 1 : (groups & 4) != 0 ? 2 : 3;
    float v[8];
    uint32_t mine = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      v[i] = select4(score_at<kHalf>(d, i), score_at<kHalf>(d, 8 + i), score_at<kHalf>(d, 16 + i),
                     score_at<kHalf>(d, 24 + i), g);
      mine |= v[i] > threshold ? 1U << i : 0U;
    }
    const int32_t first = keys.start + static_cast<int32_t>(32 * g) + column_of(0, lane);
    if (keys.ragged) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (!keys.has(first + column_of(i, 0))) mine &= ~(1U << i);
      }
    }
    if (groups == 0) mine = 0;
    groups &= groups - 1;
    while (__any_sync(~0U, mine != 0)) {
      const auto i = static_cast<uint32_t>(__ffs(static_cast<int>(mine)) - 1) % 8;
      emit(mine != 0 ? select8(v, i) : -INFINITY, first + static_cast<int32_t>(8 * (i / 2) + i % 2));
      mine &= mine - 1;
      some = true;
    }
  }
  return some;
}

// One row in a quad. `collect` is called where a score may be greater than the threshold; what it found may wait for `settle`, which
// has the time of the next tile's product. Exact selection of at most 4: lists of the lanes, as their insertions need nobody else.
template <int kPicks, bool kBlock1>
class RunningRow {
 public:
  template <int kHalf>
  __device__ bool collect(const float (&d)[64], const int32_t (&m)[4], bool integers, TileKeys keys,
                          float threshold, uint32_t lane, int32_t) {
    bool again = false;  // the last of each lane waits
    return each_above<kHalf>(d, m, integers, keys, threshold, lane, [&](float score, int32_t position) {
      if (again) list_.insert(score_, position_);
      again = true;
      score_ = score;
      position_ = position;
    });
  }
  __device__ float settle(uint32_t, int32_t) {
    list_.insert(score_, position_);
    return list_.last();
  }
  __device__ QuadList<1> picks(uint32_t lane) const { return list_.merged(lane); }
  // At least top_k scores of the row are at least this, given what is surely the row's own in each lane.
  static __device__ float bound(const int32_t (&m)[4]) {
    float most = fmaxf(fmaxf(__int_as_float(m[0]), __int_as_float(m[1])),
                       fmaxf(__int_as_float(m[2]), __int_as_float(m[3])));
    for (int step = 1; step < 4; step *= 2) {
      const float other = __shfl_xor_sync(~0U, most, step);
      most = kPicks == 1 ? fmaxf(most, other) : fminf(most, other);
    }
    return most;
  }

 private:
  LaneList<kPicks> list_;
  float score_ = 0;  // what waits
  int32_t position_ = 0;
};

// More picks: one list of the quad, the lanes take turns.
template <>
class RunningRow<16, false> {
 public:
  template <int kHalf>
  __device__ bool collect(const float (&d)[64], const int32_t (&m)[4], bool integers, TileKeys keys,
                          float threshold, uint32_t lane, int32_t top_k) {
    return each_above<kHalf>(d, m, integers, keys, threshold, lane, [&](float score, int32_t position) {
      const Pick pick = score > -INFINITY ? make_pick(score, position) : kNoPick;
      const uint32_t who = __ballot_sync(~0U, score > -INFINITY) >> (lane & 28U) & 15U;
#pragma unroll
      for (int from = 0; from < 4; ++from) {
        if (!__any_sync(~0U, (who >> from & 1) != 0)) continue;
        list_.insert(__shfl_sync(~0U, pick, from, 4), lane);
      }
    });
  }
  __device__ float settle(uint32_t, int32_t top_k) { return list_.last(top_k); }
  __device__ const QuadList<4>& picks(uint32_t) const { return list_; }
  static __device__ float bound(const int32_t (&m)[4]) {
    float least = fminf(fminf(__int_as_float(m[0]), __int_as_float(m[1])),
                        fminf(__int_as_float(m[2]), __int_as_float(m[3])));
    least = fminf(least, __shfl_xor_sync(~0U, least, 1));
    return fminf(least, __shfl_xor_sync(~0U, least, 2));
  }

 private:
  QuadList<4> list_;
};

// block1: the tile is one block, its best key the only candidate.
template <int kPicks>
class RunningRow<kPicks, true> {
 public:
  template <int kHalf>
  __device__ bool collect(const float (&d)[64], const int32_t (&m)[4], bool integers, TileKeys keys,
                          float threshold, uint32_t lane, int32_t) {
    if (!__any_sync(~0U, groups_above(m, integers, threshold) != 0)) return false;
    float most = -INFINITY;  // NaN left out
    if (keys.ragged) {
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        if (keys.has(keys.start + column_of(i, lane))) most = fmaxf(most, score_at<kHalf>(d, i));
      }
    } else {
#pragma unroll
      for (int i = 0; i < 32; ++i) most = fmaxf(most, score_at<kHalf>(d, i));
    }
    most = fmaxf(most, __shfl_xor_sync(~0U, most, 1));
    most = fmaxf(most, __shfl_xor_sync(~0U, most, 2));
    const bool hit = most > threshold;
    if (!__any_sync(~0U, hit)) return false;
    int32_t column = INT32_MAX;
#pragma unroll
    for (int i = 31; i >= 0; --i) {
      const int32_t at = column_of(i, lane);
      if (score_at<kHalf>(d, i) == most && (!keys.ragged || keys.has(keys.start + at))) column = at;
    }
    score_ = hit ? most : -INFINITY;
    position_ = keys.start + column;  // of nothing where no score of the lane equals the greatest
    nowhere_ = column == INT32_MAX;
    return true;
  }
  __device__ float settle(uint32_t lane, int32_t top_k) {
    Pick pick = score_ > -INFINITY && !nowhere_ ? make_pick(score_, position_) : kNoPick;
    pick = max(pick, __shfl_xor_sync(~0U, pick, 1));
    pick = max(pick, __shfl_xor_sync(~0U, pick, 2));
    list_.insert(pick, lane);
    return list_.last(top_k);
  }
  __device__ const auto& picks(uint32_t) const { return list_; }
  static __device__ float bound(const int32_t (&)[4]) { return -INFINITY; }

 private:
  QuadList<kPicks == 16 ? 4 : 1> list_;
  float score_ = 0;  // what waits
  int32_t position_ = 0;
  bool nowhere_ = false;
};

// The two rows of a lane.
template <int kPicks, bool kBlock1>
class RunningPicks {
 public:
  __device__ RunningPicks(bool row0, bool row8, uint32_t lane, int32_t top_k)
      : threshold0(row0 ? -INFINITY : INFINITY), threshold8(row8 ? -INFINITY : INFINITY), lane_(lane),
        top_k_(top_k) {
    count_signs();
  }

  // What the other splits have told of the two rows.
  __device__ void hear(uint32_t row0, uint32_t row8) {
    threshold0 = fmaxf(threshold0, below(row0));
    threshold8 = fmaxf(threshold8, below(row8));
  }

  // Looks through a tile's scores, with as little as can be done while the accumulators are needed.
  __device__ void collect(const float (&d)[64], TileKeys keys) {
    int32_t m0[4], m8[4];
    bool hit;
    if (integers_) {
      integer_maxima<0>(d, m0);
      integer_maxima<1>(d, m8);
      hit = max(max3(m0[0], m0[1], m0[2]), m0[3]) > __float_as_int(threshold0) ||
            max(max3(m8[0], m8[1], m8[2]), m8[3]) > __float_as_int(threshold8);
    } else {
      float_maxima<0>(d, m0);
      float_maxima<1>(d, m8);
      hit = (groups_above(m0, false, threshold0) | groups_above(m8, false, threshold8)) != 0;
    }
    if (!__any_sync(~0U, hit)) return;
    float least0 = threshold0, least8 = threshold8;
    if (!kBlock1 && __any_sync(~0U, least0 == -INFINITY || least8 == -INFINITY)) {  // the first tile
      if (keys.ragged) {
        valid_maxima<0>(d, keys, m0);
        valid_maxima<1>(d, keys, m8);
      }
      least0 = fmaxf(least0, below(ordered(RunningRow<kPicks, kBlock1>::bound(m0))));
      least8 = fmaxf(least8, below(ordered(RunningRow<kPicks, kBlock1>::bound(m8))));
    }
    waits0_ = row0.template collect<0>(d, m0, integers_, keys, least0, lane_, top_k_);
    waits8_ = row8.template collect<1>(d, m8, integers_, keys, least8, lane_, top_k_);
  }

  // Takes in what was collected. True where thresholds may have risen.
  __device__ bool settle() {
    const bool any = waits0_ || waits8_;
    if (waits0_) threshold0 = fmaxf(threshold0, row0.settle(lane_, top_k_));
    if (waits8_) threshold8 = fmaxf(threshold8, row8.settle(lane_, top_k_));
    if (any) count_signs();
    waits0_ = waits8_ = false;
    return any;
  }

  RunningRow<kPicks, kBlock1> row0, row8;
  // Only what is greater is a candidate: the score of the last pick that counts, or what another split's list rules out. +inf: the
  // row is not there.
  float threshold0, threshold8;

 private:
  template <int kHalf>
  __device__ void valid_maxima(const float (&d)[64], TileKeys keys, int32_t (&m)[4]) const {
#pragma unroll
    for (int g = 0; g < 4; ++g) {
      float most = -INFINITY;
#pragma unroll
      for (int i = 8 * g; i < 8 * g + 8; ++i) {
        if (keys.has(keys.start + column_of(i, lane_))) most = fmaxf(most, score_at<kHalf>(d, i));
      }
      m[g] = __float_as_int(most);
    }
  }
  // Floats are ordered as integers are where thresholds are not negative.
  __device__ void count_signs() {
    integers_ = __all_sync(~0U, __float_as_int(threshold0) >= 0 && __float_as_int(threshold8) >= 0) != 0;
  }
  uint32_t lane_;
  int32_t top_k_;
  bool integers_, waits0_ = false, waits8_ = false;
};

}  // namespace reattn::kernels::cuda
