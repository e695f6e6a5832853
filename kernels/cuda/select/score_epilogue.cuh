// The running picks of the fast scoring kernel: what a lane does with its accumulators of half a tile, 64 keys. Two rows of scores
// lie in the registers of a quad of lanes (wgmma.cuh): 16 columns of each row in each lane. First a warp only looks for scores above
// its rows' thresholds; where there are some it parks all in shared memory, and picks while the next tile multiplies. Picking is rare
// in long scans: its code is kept short, as it is fetched anew nearly every time, and so the lists live in shared memory, too.
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
  __device__ float best() const { return kPicks == 1 ? last() : score_[0]; }
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

// The splits of a row tell each other how good their picks are, so that none collects what another has long beaten. A row has four
// numbers, one for each lane of a quad: at least one score among that lane's columns is at least this, or four of the row are. So four
// of the row are at least the least of them. Picks do not depend on who hears what when: only what cannot be among the row's best is
// ruled out. 0: nothing is known.
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
__device__ inline float greatest(const int32_t (&m)[2]) {
  return fmaxf(__int_as_float(m[0]), __int_as_float(m[1]));
}

// A warp's room in shared memory: the scores of a tile, [16][32 lanes][2 row halves][2], and the lists, [2 row halves][2][32 lanes] of
// 16 bytes. Each lane has its own.
constexpr uint32_t kTileRoom = 64 * 32 * sizeof(float), kListRoom = 2 * 2 * 32 * 16;
constexpr uint32_t kWarpRoom = kTileRoom + kListRoom;
class WarpRoom {
 public:
  __device__ WarpRoom(uint32_t address, uint32_t lane) : at_(address + 16 * lane) {}
  __device__ void park(const float (&d)[32], uint32_t tile_half) const {
#pragma unroll
    for (uint32_t j = 0; j < 8; ++j) {
      asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(at_ + 512 * (8 * tile_half + j)),
                   "f"(d[4 * j]), "f"(d[4 * j + 1]), "f"(d[4 * j + 2]), "f"(d[4 * j + 3])
                   : "memory");
    }
  }
  // The 8 scores of a group, of the 4 that a tile has, and one of them.
  __device__ void group(uint32_t half, uint32_t g, float (&v)[8]) const {
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) {
      asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];"
                   : "=f"(v[2 * j]), "=f"(v[2 * j + 1])
                   : "r"(at_ + 512 * (4 * g + j) + 8 * half)
                   : "memory");
    }
  }
  __device__ float score(uint32_t half, uint32_t g, uint32_t i) const {
    float v;
    asm volatile("ld.shared.f32 %0, [%1];"
                 : "=f"(v)
                 : "r"(at_ + 512 * (4 * g + i / 2) + 8 * half + 4 * (i % 2))
                 : "memory");
    return v;
  }
  template <class List>
  __device__ void store(uint32_t half, const List& list) const {
    static_assert(sizeof(List) == 8 || sizeof(List) == 32);
    uint32_t w[8];
    __builtin_memcpy(w, &list, sizeof(List));
    const uint32_t to = at_ + kTileRoom + 1024 * half;
    if constexpr (sizeof(List) == 8) {
      asm volatile("st.shared.v2.u32 [%0], {%1, %2};" ::"r"(to), "r"(w[0]), "r"(w[1]) : "memory");
    } else {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(to + 512 * i), "r"(w[4 * i]),
                     "r"(w[4 * i + 1]), "r"(w[4 * i + 2]), "r"(w[4 * i + 3])
                     : "memory");
      }
    }
  }
  template <class List>
  __device__ List load(uint32_t half) const {
    uint32_t w[8];
    const uint32_t from = at_ + kTileRoom + 1024 * half;
    if constexpr (sizeof(List) == 8) {
      asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(w[0]), "=r"(w[1]) : "r"(from) : "memory");
    } else {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(w[4 * i]), "=r"(w[4 * i + 1]), "=r"(w[4 * i + 2]), "=r"(w[4 * i + 3])
                     : "r"(from + 512 * i)
                     : "memory");
      }
    }
    List list;
    __builtin_memcpy(&list, w, sizeof(List));
    return list;
  }

 private:
  uint32_t at_;
};

// A parked tile's scores of one row, and what is known of them. Score i of group g is column 32 g + column_of(i).
template <class Room = WarpRoom>
struct ParkedRow {
  Room room;
  uint32_t half;  // of the rows
  TileKeys keys;
  uint32_t lane;
  int32_t top_k;

  __device__ int32_t position(uint32_t g, int i) const {
    return keys.start + static_cast<int32_t>(32 * g) + column_of(i, lane);
  }
  // A group's scores, −inf instead of those that are not of the middle.
  __device__ void valid(uint32_t g, float (&v)[8]) const {
    room.group(half, g, v);
    if (!keys.ragged) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) v[i] = keys.has(position(g, i)) ? v[i] : -INFINITY;
  }
};

__device__ inline float maximum(const float (&v)[8]) {  // NaN left out
  float most = -INFINITY;
#pragma unroll
  for (int i = 0; i < 8; ++i) most = fmaxf(most, v[i]);
  return most;
}

// At least kPicks scores of the row are at least this: of 16 disjoint sets the least maximum, or the greatest of all. `groups`: those that
// were parked.
template <int kPicks, class Row>
__device__ inline float sure_bound(const Row& row, uint32_t groups) {
  float bound = kPicks == 16 ? INFINITY : -INFINITY;
#pragma unroll 1
  for (uint32_t g = 0; g < 4; ++g) {
    float v[8];
    row.valid(g, v);
    const float most = (groups >> g & 1) != 0 ? maximum(v) : -INFINITY;
    bound = kPicks == 16 ? fminf(bound, most) : fmaxf(bound, most);
  }
#pragma unroll
  for (int step = 1; step < 4; step *= 2) {
    const float other = __shfl_xor_sync(~0U, bound, step);
    bound = kPicks == 1 ? fmaxf(bound, other) : fminf(bound, other);
  }
  return bound;
}

// Calls emit(score, position) for all scores above the threshold in the given groups, of all lanes at once and in each lane in ascending
// order; −inf in lanes that have none left.
template <class Row, class Emit>
__device__ inline void each_above(const Row& row, uint32_t groups, float threshold, Emit&& emit) {
#pragma unroll 1
  while (__any_sync(~0U, groups != 0)) {
    const uint32_t g = static_cast<uint32_t>(__ffs(static_cast<int>(groups)) - 1) % 4;
    float v[8];
    row.valid(g, v);
    uint32_t mine = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) mine |= v[i] > threshold ? 1U << i : 0U;
    if (groups == 0) mine = 0;
    groups &= groups - 1;
#pragma unroll 1
    while (__any_sync(~0U, mine != 0)) {
      const auto i = static_cast<uint32_t>(__ffs(static_cast<int>(mine)) - 1) % 8;
      emit(mine != 0 ? row.room.score(row.half, g, i) : -INFINITY, row.position(g, static_cast<int>(i)));
      mine &= mine - 1;
    }
  }
}

// How a row's list takes in all scores above the threshold; they lie in `groups`. Gives the score of the last pick that counts.
// Exact selection of one (of 2 to 4: score_queue.cuh): lists of the lanes, as their insertions need nobody else.
template <int kPicks, bool kBlock1>
struct Picker {
  using List = LaneList<kPicks>;
  template <class Row>
  static __device__ float take(List& list, const Row& row, uint32_t groups, float threshold) {
    each_above(row, groups, threshold, [&](float score, int32_t position) { list.insert(score, position); });
    return list.last();
  }
  static __device__ QuadList<1> picks(const List& list, uint32_t lane) { return list.merged(lane); }
  // What the lane tells the other splits.
  static __device__ float known(const List& list, float threshold) { return fmaxf(list.best(), threshold); }
};

// More picks: one list of the quad, the lanes take turns.
template <>
struct Picker<16, false> {
  using List = QuadList<4>;
  template <class Row>
  static __device__ float take(List& list, const Row& row, uint32_t groups, float threshold) {
    each_above(row, groups, threshold, [&](float score, int32_t position) {
      const Pick pick = score > -INFINITY ? make_pick(score, position) : kNoPick;
      uint32_t who = __ballot_sync(~0U, score > -INFINITY);
      who = (who | who >> 4 | who >> 8 | who >> 12) | (who >> 16 | who >> 20 | who >> 24 | who >> 28);
#pragma unroll 1
      for (int from = 0; from < 4; ++from) {
        if ((who >> from & 1) != 0) list.insert(__shfl_sync(~0U, pick, from, 4), row.lane);
      }
    });
    return list.last(row.top_k);
  }
  static __device__ const List& picks(const List& list, uint32_t) { return list; }
  static __device__ float known(const List&, float threshold) { return threshold; }
};

// block1: the tile is one block, its best key the only candidate.
template <int kPicks>
struct Picker<kPicks, true> {
  using List = QuadList<kPicks == 16 ? 4 : 1>;
  template <class Row>
  static __device__ float take(List& list, const Row& row, uint32_t groups, float threshold) {
    float mine = -INFINITY;
    uint32_t group = 0;  // the first with the lane's greatest; a score that is not in `groups` is no candidate
#pragma unroll 1
    for (uint32_t g = 0; g < 4; ++g) {
      float v[8];
      row.valid(g, v);
      const float most = (groups >> g & 1) != 0 ? maximum(v) : -INFINITY;
      group = most > mine ? g : group;
      mine = fmaxf(mine, most);
    }
    float v[8];
    row.valid(group, v);
    int32_t at = 0;
#pragma unroll
    for (int i = 7; i >= 0; --i) at = v[i] == mine ? row.position(group, i) : at;
    Pick pick = mine > threshold ? make_pick(mine, at) : kNoPick;
    pick = max(pick, __shfl_xor_sync(~0U, pick, 1));
    pick = max(pick, __shfl_xor_sync(~0U, pick, 2));
    list.insert(pick, row.lane);
    return list.last(row.top_k);
  }
  static __device__ const List& picks(const List& list, uint32_t) { return list; }
  static __device__ float known(const List&, float threshold) { return threshold; }
};

// The two rows of a lane.
template <int kPicks, bool kBlock1>
class RunningPicks {
  using P = Picker<kPicks, kBlock1>;

 public:
  __device__ RunningPicks(bool row0, bool row8, uint32_t warp_room, uint32_t lane, int32_t top_k)
      : threshold0(row0 ? -INFINITY : INFINITY), threshold8(row8 ? -INFINITY : INFINITY),
        room_(warp_room, lane), lane_(lane), top_k_(top_k) {
    for (uint32_t half = 0; half < 2; ++half) room_.store(half, typename P::List());
    count_signs();
  }

  // What the other splits have told of the two rows.
  __device__ void hear(uint32_t row0, uint32_t row8) {
#pragma unroll
    for (int step = 1; step < 4; step *= 2) {
      row0 = min(row0, __shfl_xor_sync(~0U, row0, step));
      row8 = min(row8, __shfl_xor_sync(~0U, row8, step));
    }
    threshold0 = fmaxf(threshold0, below(row0));
    threshold8 = fmaxf(threshold8, below(row8));
  }

  // Looks for scores above the thresholds in half a tile, and parks them all where there are some.
  __device__ void look(const float (&d)[32], uint32_t tile_half) {
    int32_t m0[2], m8[2];
    bool hit;
    if (integers_) {
      integer_maxima<0>(d, m0);
      integer_maxima<1>(d, m8);
      hit = max(m0[0], m0[1]) > __float_as_int(threshold0) ||
            max(m8[0], m8[1]) > __float_as_int(threshold8);
    } else {
      float_maxima<0>(d, m0);
      float_maxima<1>(d, m8);
      hit = greatest(m0) > threshold0 || greatest(m8) > threshold8;
    }
    if (!__any_sync(~0U, hit)) return;
    parked_ = true;
    groups_ |= (groups_above(m0, integers_, threshold0) | groups_above(m8, integers_, threshold8) << 4)
               << 2 * tile_half;
    room_.park(d, tile_half);
  }

  // Picks from what was parked of a tile that starts at these keys. tell(row half, what is known) where a threshold may have risen.
  template <class Tell>
  __device__ void take(TileKeys keys, Tell&& tell) {
    if (!parked_) return;
    parked_ = false;
#pragma unroll 1
    for (uint32_t half = 0; half < 2; ++half) {
      const uint32_t groups = groups_ >> 4 * half & 15U;
      if (!__any_sync(~0U, groups != 0)) continue;
      const ParkedRow<> row{room_, half, keys, lane_, top_k_};
      float threshold = half == 0 ? threshold0 : threshold8, least = threshold;
      if (!kBlock1 && first_) least = fmaxf(least, below(ordered(sure_bound<kPicks>(row, groups))));
      auto list = room_.template load<typename P::List>(half);
      threshold = fmaxf(threshold, P::take(list, row, groups, least));
      room_.store(half, list);
      tell(half, P::known(list, threshold));
      threshold0 = half == 0 ? threshold : threshold0;
      threshold8 = half == 0 ? threshold8 : threshold;
    }
    groups_ = 0;
    first_ = false;
    count_signs();
  }
  // The row half's picks, in a list of the quad.
  __device__ auto picks(uint32_t half) const {
    return P::picks(room_.template load<typename P::List>(half), lane_);
  }

  // Only what is greater is a candidate: the score of the last pick that counts, or what another split's list rules out. +inf: the
  // row is not there.
  float threshold0, threshold8;

 private:
  // Floats are ordered as integers are where thresholds are not negative.
  __device__ void count_signs() {
    integers_ = __all_sync(~0U, __float_as_int(threshold0) >= 0 && __float_as_int(threshold8) >= 0) != 0;
  }
  WarpRoom room_;
  uint32_t lane_;
  int32_t top_k_;
  uint32_t groups_ = 0;  // what is parked: groups with scores above the threshold, 4 bits a row half
  bool integers_, parked_ = false, first_ = true;
};

}  // namespace reattn::kernels::cuda
