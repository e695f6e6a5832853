// The running picks of the fast scoring kernel: what a lane does with its accumulators of half a tile, 64 keys. Two rows of scores
// lie in the registers of a quad of lanes (wgmma.cuh): 16 columns of each row in each lane. First a warp only looks for scores above
// its rows' thresholds; if there are any it parks them all in shared memory, lets the next product start, and then picks.
#pragma once

#include "kernels/cuda/prim/async.cuh"

#include "kernels/cuda/select/picks.cuh"

namespace reattn::kernels::cuda {

// Half a tile's keys: the position of the accumulators' column 0, which positions are of the middle, and whether some are not.
struct TileKeys {
  int32_t start, begin, end;
  bool ragged;
  __device__ bool has(int32_t position) const {
    return (position >= begin) & (position < end);  // no branches
  }
};

// Score i of the 16 that a lane has of a row, and its column.
template <int kHalf>
__device__ inline float score_at(const float (&d)[32], int i) {
  return d[4 * (i / 2) + 2 * kHalf + i % 2];
}
__device__ inline int32_t column_of(int i, uint32_t lane) {
  return 8 * (i / 2) + i % 2 + static_cast<int32_t>(2 * (lane % 4));
}

__device__ inline int32_t max3(int32_t a, int32_t b, int32_t c) { return max(max(a, b), c); }

// Maxima of the 2 groups of 8 scores. Floats as integers: right where one is positive, and cheaper; then NaN is the greatest.
template <int kHalf>
__device__ inline void integer_maxima(const float (&d)[32], int32_t (&m)[2]) {
#pragma unroll
  for (int g = 0; g < 2; ++g) {
    const auto bits = [&](int i) { return __float_as_int(score_at<kHalf>(d, 8 * g + i)); };
    m[g] = max3(max3(bits(0), bits(1), bits(2)), max3(bits(3), bits(4), bits(5)), max(bits(6), bits(7)));
  }
}
template <int kHalf>
__device__ inline void float_maxima(const float (&d)[32], int32_t (&m)[2]) {
#pragma unroll
  for (int g = 0; g < 2; ++g) {
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

// Which maxima are greater than the threshold, as bits. A NaN among integers is greater than all: it hides what may lie beside it.
__device__ inline uint32_t groups_above(const int32_t (&m)[2], bool integers, float threshold) {
  uint32_t groups = 0;
#pragma unroll
  for (int g = 0; g < 2; ++g) {
    const bool above = integers ? m[g] > __float_as_int(threshold) : __int_as_float(m[g]) > threshold;
    groups |= above ? 1U << g : 0U;
  }
  return groups;
}

// A warp's scores in shared memory. Each lane has its own: [8][2 row halves][2], 512 bytes apart.
constexpr uint32_t kParkedBytes = 32 * 32 * sizeof(float);
class ParkedTile {
 public:
  __device__ ParkedTile(uint32_t warp_room, uint32_t lane) : at_(warp_room + 16 * lane) {}
  __device__ void park(const float (&d)[32]) const {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(at_ + 512 * j), "f"(d[4 * j]),
                   "f"(d[4 * j + 1]), "f"(d[4 * j + 2]), "f"(d[4 * j + 3])
                   : "memory");
    }
  }
  // The 8 scores of a group of a row half.
  __device__ void group(int half, uint32_t g, float (&v)[8]) const {
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];"
                   : "=f"(v[2 * j]), "=f"(v[2 * j + 1])
                   : "r"(at_ + 512 * (4 * g + j) + 8 * static_cast<uint32_t>(half))
                   : "memory");
    }
  }

 private:
  uint32_t at_;
};

// A parked tile and what is known of it. Score i of group g is column 32 g + column_of(i).
struct Found {
  ParkedTile tile;
  TileKeys keys;
  uint32_t lane;
  int32_t top_k;

  __device__ int32_t position(uint32_t g, int i) const {
    return keys.start + static_cast<int32_t>(32 * g) + column_of(i, lane);
  }
  // Of kCount of a group's scores, those of the middle's keys, NaN left out.
  template <int kFirst, int kCount>
  __device__ float valid_maximum(const float (&v)[8], uint32_t g) const {
    float most = -INFINITY;
#pragma unroll
    for (int i = kFirst; i < kFirst + kCount; ++i) {
      most = fmaxf(most, !keys.ragged | keys.has(position(g, i)) ? v[i] : -INFINITY);
    }
    return most;
  }
};

__device__ inline float greatest(const int32_t (&m)[2]) {
  return fmaxf(__int_as_float(m[0]), __int_as_float(m[1]));
}

// Number i (not known at compile time) of 8.
__device__ inline float select8(const float (&v)[8], uint32_t i) {
  const float a = (i & 1) != 0 ? v[1] : v[0], b = (i & 1) != 0 ? v[3] : v[2];
  const float c = (i & 1) != 0 ? v[5] : v[4], d = (i & 1) != 0 ? v[7] : v[6];
  const float ab = (i & 2) != 0 ? b : a, cd = (i & 2) != 0 ? d : c;
  return (i & 4) != 0 ? cd : ab;
}

// Calls emit(score, position) for all scores above the threshold in the given groups, of all lanes at once and in each lane in ascending
// order; −inf in lanes that have none left.
template <class Emit>
__device__ inline void each_above(const Found& f, int half, uint32_t groups, float threshold, Emit&& emit) {
  while (__any_sync(~0U, groups != 0)) {
    const uint32_t g = (groups & 1) != 0 ? 0 : 1;
    float v[8];
    f.tile.group(half, g, v);
    uint32_t mine = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) mine |= v[i] > threshold ? 1U << i : 0U;
    if (f.keys.ragged) {
#pragma unroll
      for (int i = 0; i < 8; ++i) mine &= ~(f.keys.has(f.position(g, i)) ? 0U : 1U << i);
    }
    if (groups == 0) mine = 0;
    groups &= groups - 1;
    while (__any_sync(~0U, mine != 0)) {
      const auto i = static_cast<uint32_t>(__ffs(static_cast<int>(mine)) - 1) % 8;
      emit(mine != 0 ? select8(v, i) : -INFINITY, f.position(g, static_cast<int>(i)));
      mine &= mine - 1;
    }
  }
}

// At least kPicks scores of the row are at least this: of 4 or 16 disjoint sets the least maximum, or the greatest.
template <int kPicks>
__device__ inline float sure_bound(const Found& f, int half) {
  float bound = kPicks == 16 ? INFINITY : -INFINITY;
#pragma unroll 1
  for (uint32_t g = 0; g < 2; ++g) {
    float v[8];
    f.tile.group(half, g, v);
    const float a = f.valid_maximum<0, 4>(v, g), b = f.valid_maximum<4, 4>(v, g);
    bound = kPicks == 16 ? fminf(bound, fminf(a, b)) : fmaxf(bound, fmaxf(a, b));
  }
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const float other = __shfl_xor_sync(~0U, bound, step);
    bound = kPicks == 1 ? fmaxf(bound, other) : fminf(bound, other);
  }
  return bound;
}

// One row in a quad. Exact selection of at most 4: lists of the lanes, as their insertions need nobody else.
template <int kPicks, bool kBlock1>
class RunningRow {
 public:
  // Takes in all scores above the threshold; they lie in `groups`. Gives the score of the last pick that counts.
  __device__ float take(const Found& f, int half, uint32_t groups, float threshold) {
    each_above(f, half, groups, threshold,
               [&](float score, int32_t position) { list_.insert(score, position); });
    return list_.last();
  }
  __device__ QuadList<1> picks(uint32_t lane) const { return list_.merged(lane); }
 private:
  LaneList<kPicks> list_;
};

// More picks: one list of the quad, the lanes take turns.
template <>
class RunningRow<16, false> {
 public:
  __device__ float take(const Found& f, int half, uint32_t groups, float threshold) {
    each_above(f, half, groups, threshold, [&](float score, int32_t position) {
      const Pick pick = score > -INFINITY ? make_pick(score, position) : kNoPick;
      uint32_t who = __ballot_sync(~0U, score > -INFINITY);
      who = (who | who >> 4 | who >> 8 | who >> 12) | (who >> 16 | who >> 20 | who >> 24 | who >> 28);
#pragma unroll
      for (int from = 0; from < 4; ++from) {
        if ((who >> from & 1) != 0) list_.insert(__shfl_sync(~0U, pick, from, 4), f.lane);
      }
    });
    return list_.last(f.top_k);
  }
  __device__ const QuadList<4>& picks(uint32_t) const { return list_; }
 private:
  QuadList<4> list_;
};

// block1: the tile is one block, the best key of its halves the only candidate.
template <int kPicks>
class RunningRow<kPicks, true> {
 public:
  __device__ void take(const Found& f, int half, const int32_t (&maxima)[2], float threshold) {
    int32_t m[2] = {maxima[0], maxima[1]};
    const bool unsure = f.keys.ragged || isnan(__int_as_float(max(m[0], m[1])));
    if (__any_sync(~0U, unsure)) {
#pragma unroll
      for (uint32_t g = 0; g < 2; ++g) {
        float v[8];
        f.tile.group(half, g, v);
        m[g] = __float_as_int(f.valid_maximum<0, 8>(v, g));
      }
    }
    const float mine = greatest(m);
    float most = fmaxf(mine, __shfl_xor_sync(~0U, mine, 1));
    most = fmaxf(most, __shfl_xor_sync(~0U, most, 2));
    if (most > threshold && mine == most) {
      const uint32_t g = __int_as_float(m[0]) == most ? 0 : 1;
      float v[8];
      f.tile.group(half, g, v);
      int32_t at = INT32_MAX;
#pragma unroll
      for (int i = 7; i >= 0; --i) {
        const int32_t position = f.position(g, i);
        at = (v[i] == most) & (!f.keys.ragged | f.keys.has(position)) ? position : at;
      }
      best_ = max(best_, make_pick(most, at));
    }
    __syncwarp();
  }
  // After the block's second half. Gives the score of the last pick that counts.
  __device__ float insert(uint32_t lane, int32_t top_k) {
    best_ = max(best_, __shfl_xor_sync(~0U, best_, 1));
    best_ = max(best_, __shfl_xor_sync(~0U, best_, 2));
    list_.insert(best_, lane);
    best_ = kNoPick;
    return list_.last(top_k);
  }
  __device__ const auto& picks(uint32_t) const { return list_; }

 private:
  QuadList<kPicks == 16 ? 4 : 1> list_;
  Pick best_ = kNoPick;  // of the block so far; the lane's own
};

// The two rows of a lane.
template <int kPicks, bool kBlock1>
class RunningPicks {
 public:
  __device__ RunningPicks(bool row0, bool row8, uint32_t warp_room, uint32_t lane, int32_t top_k)
      : threshold0(row0 ? -INFINITY : INFINITY), threshold8(row8 ? -INFINITY : INFINITY),
        found_{ParkedTile(warp_room, lane), {}, lane, top_k} {
    count_signs();
  }

  // What the other splits have told of the two rows.
  __device__ void hear(uint32_t row0, uint32_t row8) {
    threshold0 = fmaxf(threshold0, below(row0));
    threshold8 = fmaxf(threshold8, below(row8));
  }

  // Looks for scores above the thresholds, and parks them all where there are some.
  __device__ void look(const float (&d)[32], TileKeys keys) {
    bool hit;
    if (integers_) {
      integer_maxima<0>(d, m0_);
      integer_maxima<1>(d, m8_);
      hit = max(m0_[0], m0_[1]) > __float_as_int(threshold0) ||
            max(m8_[0], m8_[1]) > __float_as_int(threshold8);
    } else {
      float_maxima<0>(d, m0_);
      float_maxima<1>(d, m8_);
      hit = greatest(m0_) > threshold0 || greatest(m8_) > threshold8;
    }
    parked_ = __any_sync(~0U, hit) != 0;
    if (!parked_) return;
    found_.keys = keys;
    found_.tile.park(d);
  }

  // Picks from what was parked, if anything was. True where thresholds may have risen. `second`: the tile's second half.
  __device__ bool take(bool second) {
    if constexpr (kBlock1) {
      if (parked_) {
        row0.take(found_, 0, m0_, threshold0);
        row8.take(found_, 1, m8_, threshold8);
        parked_ = false;
        waits_ = true;
      }
      if (!second || !waits_) return false;
      waits_ = false;
      threshold0 = fmaxf(threshold0, row0.insert(found_.lane, found_.top_k));
      threshold8 = fmaxf(threshold8, row8.insert(found_.lane, found_.top_k));
    } else {
      if (!parked_) return false;
      parked_ = false;
      const uint32_t groups0 = groups_above(m0_, integers_, threshold0);
      const uint32_t groups8 = groups_above(m8_, integers_, threshold8);
      float least0 = threshold0, least8 = threshold8;
      if (__any_sync(~0U, least0 == -INFINITY || least8 == -INFINITY)) {  // at first all are above
        least0 = fmaxf(least0, below(ordered(sure_bound<kPicks>(found_, 0))));
        least8 = fmaxf(least8, below(ordered(sure_bound<kPicks>(found_, 1))));
      }
      if (__any_sync(~0U, groups0 != 0)) threshold0 = fmaxf(threshold0, row0.take(found_, 0, groups0, least0));
      if (__any_sync(~0U, groups8 != 0)) threshold8 = fmaxf(threshold8, row8.take(found_, 1, groups8, least8));
    }
    count_signs();
    return true;
  }

  RunningRow<kPicks, kBlock1> row0, row8;
  // Only what is greater is a candidate: the score of the last pick that counts, or what another split's list rules out. +inf: the
  // row is not there.
  float threshold0, threshold8;

 private:
  // Floats are ordered as integers are where thresholds are not negative.
  __device__ void count_signs() {
    integers_ = __all_sync(~0U, __float_as_int(threshold0) >= 0 && __float_as_int(threshold8) >= 0) != 0;
  }
  Found found_;
  int32_t m0_[2], m8_[2];  // of what is parked
  bool integers_, parked_ = false, waits_ = false;
};

}  // namespace reattn::kernels::cuda
