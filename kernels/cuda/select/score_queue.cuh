// The running picks of the fast scoring kernel where a row keeps 2 to 4, of all keys: what is above the rows' thresholds goes into
// small queues of the lanes, 8 scores of one row as they lie in the accumulators, and is picked from when some lane has enough of them: a
// hit costs few instructions, and picking, rare, runs for all lanes at once while products run. Before the first picking thresholds rise by
// the maxima of what was queued. That they lag behind is slower only: what is queued in vain is not picked.
#pragma once

#include "kernels/cuda/select/score_epilogue.cuh"

namespace reattn::kernels::cuda {

// The middle, and where its first tile starts.
struct Middle {
  int32_t origin, begin, end;
};

// A warp's room in shared memory: 8 places of each lane's queue, [8][2][32 lanes] of 16 bytes, their tags, [8][32 lanes] of 2 bytes,
// and the lists, [2 row halves][2][32 lanes] of 16 bytes.
constexpr uint32_t kQueuePlaces = 8, kQueueScores = kQueuePlaces * 1024, kQueueTags = kQueuePlaces * 64;
constexpr uint32_t kQueueRoom = kQueueScores + kQueueTags + kListRoom;
// Half a tile adds at most 4; so many make the lane's queue full.
constexpr uint32_t kFullQueue = 4;
static_assert(kFullQueue <= kQueuePlaces - 3);
constexpr int32_t kQueueTiles = 8000;  // fit into tags: 13 bits
// In so many of its first tiles an item's thresholds rise by maxima: later it is not worth its instructions in every hit.
constexpr int32_t kRaisingTiles = 2;

class QueuedPicks {
  using List = LaneList<4>;

 public:
  // The item begins with this tile.
  __device__ QueuedPicks(bool row0, bool row8, uint32_t warp_room, uint32_t lane, Middle middle,
                         int32_t tile)
      : threshold0_(row0 ? -INFINITY : INFINITY), threshold8_(row8 ? -INFINITY : INFINITY),
        scores_(warp_room + 16 * lane), tags_(warp_room + kQueueScores + 2 * lane), lane_(lane),
        base_(tile), raised_until_(tile + kRaisingTiles), middle_(middle) {
    for (uint32_t half = 0; half < 2; ++half) store(half, List());
    empty();
    count_signs();
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
  // Before the first tile.
  __device__ void hear_first(uint32_t row0, uint32_t row8) {
    hear(row0, row8);
    count_signs();
  }

  // Queues what is above the thresholds in half a tile.
  __device__ void look(const float (&d)[32], int32_t tile, uint32_t tile_half) {
    int32_t m0[2], m8[2];
    bool hit;
    if (integers_) {
      integer_maxima<0>(d, m0);
      integer_maxima<1>(d, m8);
      hit = max(m0[0], m0[1]) > __float_as_int(threshold0_) ||
            max(m8[0], m8[1]) > __float_as_int(threshold8_);
    } else {
      float_maxima<0>(d, m0);
      float_maxima<1>(d, m8);
      hit = greatest(m0) > threshold0_ || greatest(m8) > threshold8_;
    }
    if (!__any_sync(~0U, hit)) return;
    if (tile < raised_until_) raise(m0, m8, start_of(tile) + static_cast<int32_t>(64 * tile_half));
    const uint32_t tag = static_cast<uint32_t>(tile - base_) << 3 | tile_half << 2;
    // NaN among integers hides what may lie beside it.
    queue_group<0, 0>(d, tag, !(__int_as_float(m0[0]) <= threshold0_));
    queue_group<0, 1>(d, tag, !(__int_as_float(m0[1]) <= threshold0_));
    queue_group<1, 0>(d, tag, !(__int_as_float(m8[0]) <= threshold8_));
    queue_group<1, 1>(d, tag, !(__int_as_float(m8[1]) <= threshold8_));
    full_ |= __any_sync(~0U, next_tag_ >= tags_ + 64 * kFullQueue) != 0;
  }

  // Picks from the queues if one is full. After each look, or two of them that began with none full. `tile`: no earlier one follows.
  template <class Tell>
  __device__ void take(int32_t tile, Tell&& tell) {
    if (full_ || tile - base_ >= kQueueTiles) pick(tile, tell);
  }
  // Picks from the queues. tell(row half, what is known) where a threshold may have risen.
  template <class Tell>
  __device__ void pick(int32_t tile, Tell&& tell) {
    const uint32_t mine = next_tag_ - tags_, most = __reduce_max_sync(~0U, mine);
    uint64_t above0 = 0, above8 = 0;  // 8 bits a place
#pragma unroll 1
    for (uint32_t at = 0; at < most; at += 64) {
      float v[8];
      load4(scores_ + 16 * at, v[0], v[1], v[2], v[3]);
      load4(scores_ + 16 * at + 512, v[4], v[5], v[6], v[7]);
      const bool is8 = (tag_at(at) & 1) != 0;
      const float threshold = is8 ? threshold8_ : threshold0_;
      uint32_t above = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) above |= v[i] > threshold ? 1U << i : 0U;
      if (at >= mine) above = 0;
      const uint64_t moved = static_cast<uint64_t>(above) << (at / 8);
      above0 |= is8 ? 0 : moved;
      above8 |= is8 ? moved : 0;
    }
#pragma unroll 1
    for (uint32_t half = 0; half < 2; ++half) {
      uint64_t above = half == 0 ? above0 : above8;
      auto list = load(half);
#pragma unroll 1
      while (__any_sync(~0U, above != 0)) {
        const auto bit = static_cast<uint32_t>(__ffsll(static_cast<long long>(above)) - 1) % 64;
        const uint32_t place = bit / 8, i = bit % 8, tag = tag_at(64 * place);
        float score;
        asm volatile("ld.shared.f32 %0, [%1];"
                     : "=f"(score)
                     : "r"(scores_ + 1024 * place + 512 * (i / 4) + 4 * (i % 4))
                     : "memory");
        const auto column = static_cast<int32_t>(32 * (tag >> 1 & 3) + 8 * (i / 2) + i % 2 + 2 * (lane_ % 4));
        const int32_t position = start_of(base_ + static_cast<int32_t>(tag >> 3)) + column;
        if (above == 0 || position < middle_.begin || position >= middle_.end) score = -INFINITY;
        above &= above - 1;
        list.insert(score, position);
      }
      store(half, list);
      const float last = list.last();
      threshold0_ = half == 0 ? fmaxf(threshold0_, last) : threshold0_;
      threshold8_ = half == 0 ? threshold8_ : fmaxf(threshold8_, last);
      most0_ = half == 0 ? fmaxf(most0_, list.best()) : most0_;
      most8_ = half == 0 ? most8_ : fmaxf(most8_, list.best());
    }
    base_ = tile;
    empty();
    count_signs();
    tell_known(tell);
  }
  // tell(row half, what is known).
  template <class Tell>
  __device__ void tell_known(Tell&& tell) const {
    tell(0, fmaxf(most0_, threshold0_));
    tell(1, fmaxf(most8_, threshold8_));
  }

  // The row half's picks, in a list of the quad.
  __device__ QuadList<1> picks(uint32_t half) const { return load(half).merged(lane_); }

 private:
  __device__ int32_t start_of(int32_t tile) const { return middle_.origin + tile * 128; }
  __device__ void empty() {
    next_ = scores_;
    next_tag_ = tags_;
    full_ = false;
  }
  // Floats are ordered as integers are where thresholds are not negative.
  __device__ void count_signs() {
    integers_ = __all_sync(~0U, __float_as_int(threshold0_) >= 0 && __float_as_int(threshold8_) >= 0) != 0;
  }
  // Raises the thresholds by the maxima of half a tile that starts at a position: each lane of a quad knows the best of its own
  // columns, and four of the row are at least the least of these. Columns that may not be of the middle are left out.
  __device__ void raise(const int32_t (&m0)[2], const int32_t (&m8)[2], int32_t start) {
    float new0 = -INFINITY, new8 = -INFINITY;
#pragma unroll
    for (int g = 0; g < 2; ++g) {
      const bool inside = start + 32 * g >= middle_.begin && start + 32 * g + 32 <= middle_.end;
      new0 = fmaxf(new0, inside ? __int_as_float(m0[g]) : -INFINITY);
      new8 = fmaxf(new8, inside ? __int_as_float(m8[g]) : -INFINITY);
    }
    most0_ = fmaxf(most0_, new0);
    most8_ = fmaxf(most8_, new8);
    threshold0_ = fmaxf(threshold0_, below(ordered(quad_least(most0_))));
    threshold8_ = fmaxf(threshold8_, below(ordered(quad_least(most8_))));
    if (!integers_) count_signs();
  }
  static __device__ float quad_least(float x) {
    x = fminf(x, __shfl_xor_sync(~0U, x, 1));
    return fminf(x, __shfl_xor_sync(~0U, x, 2));
  }

  template <int kHalf, int kGroup>
  __device__ void queue_group(const float (&d)[32], uint32_t tag, bool hit) {
    const auto v = [&](int i) { return score_at<kHalf>(d, 8 * kGroup + i); };
    asm volatile(
        "{ .reg .pred p; setp.ne.u32 p, %2, 0; "
        "@p st.shared.v4.f32 [%0], {%4, %5, %6, %7}; "
        "@p st.shared.v4.f32 [%0 + 512], {%8, %9, %10, %11}; "
        "@p st.shared.u16 [%1], %3; "
        "@p add.u32 %0, %0, 1024; "
        "@p add.u32 %1, %1, 64; }"
        : "+r"(next_), "+r"(next_tag_)
        : "r"(static_cast<uint32_t>(hit)), "h"(static_cast<uint16_t>(tag | kGroup << 1 | kHalf)), "f"(v(0)),
          "f"(v(1)), "f"(v(2)), "f"(v(3)), "f"(v(4)), "f"(v(5)), "f"(v(6)), "f"(v(7))
        : "memory");
  }

  // A group of 32 columns: bits 1 and 2; the row half: bit 0; then the tile since the last picking.
  __device__ uint32_t tag_at(uint32_t at) const {
    uint16_t tag;
    asm volatile("ld.shared.u16 %0, [%1];" : "=h"(tag) : "r"(tags_ + at) : "memory");
    return tag;
  }
  static __device__ void load4(uint32_t from, float& a, float& b, float& c, float& d) {
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(a), "=f"(b), "=f"(c), "=f"(d)
                 : "r"(from)
                 : "memory");
  }
  __device__ WarpRoom lists() const {  // of which only the lists are used
    return WarpRoom(scores_ - 16 * lane_ + kQueueScores + kQueueTags - kTileRoom, lane_);
  }
  __device__ void store(uint32_t half, const List& list) const { lists().store(half, list); }
  __device__ List load(uint32_t half) const { return lists().template load<List>(half); }

  // Only what is greater is a candidate: the score of the last pick that counts, or what another split's list rules out. +inf: the
  // row is not there.
  float threshold0_, threshold8_;
  uint32_t scores_, tags_;      // the lane's first place
  uint32_t next_, next_tag_;    // its next one
  uint32_t lane_;
  int32_t base_;                // the tile that tags count from
  int32_t raised_until_;
  Middle middle_;
  float most0_ = -INFINITY, most8_ = -INFINITY;  // at least one score of the lane's columns is at least this
  bool integers_, full_;
};

}  // namespace reattn::kernels::cuda
