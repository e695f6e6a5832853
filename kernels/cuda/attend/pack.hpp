// Packing for the fast attention: gathers the set, rotates its keys, and lays keys and values out for the copy engine. It is a role of
// the attention's own blocks: warps that have nothing else to do pack in the order in which it is attended to. Whoever runs takes
// the next unit, so nobody waits for a block that has not started. Where too few blocks read the same keys, a kernel of its own.
#pragma once

#include "kernels/cuda/attend/ptx.hpp"
#include "kernels/cuda/attend/rotate.hpp"
#include "kernels/cuda/attend/sm90.hpp"

namespace reattn::kernels::cuda::sm90 {

// Where a unit's rows come from: lane i knows of key i.
struct Source {
  const uint4* k;  // null beyond the scope
  const uint4* v;
};

template <int kHeadDim>
__device__ Source source_of(const AttendArgs& a, int32_t scope, int32_t kv_head, int32_t first,
                            int32_t lane) {
  const int32_t j = first + lane;
  if (lane >= kUnit || j >= scope) return {nullptr, nullptr};
  constexpr uint32_t kPage = kPageTokens;
  const auto token = static_cast<uint32_t>(device_token(a, scope, j));
  const uint32_t piece = (static_cast<uint32_t>(kv_head) * kPage + token % kPage) * (kHeadDim / 8);
  return {static_cast<const uint4*>(a.pages.k[token / kPage]) + piece,
          static_cast<const uint4*>(a.pages.v[token / kPage]) + piece};
}

__device__ inline const uint4* from_lane(const uint4* p, int32_t lane) {
  return reinterpret_cast<const uint4*>(
      __shfl_sync(~0u, reinterpret_cast<unsigned long long>(p), lane));
}

// Packs a unit's keys [first, first + kUnit) of the set; `meanwhile` runs while loads are on their way.
// kAhead: loads in flight.
template <class T, int kHeadDim, int kAhead, class Meanwhile>
__device__ void pack_unit(const Batch& batch, const Sequence& s, const Source& source,
                          int32_t kv_head, int32_t first, int32_t lane, Meanwhile&& meanwhile) {
  constexpr int kPieces = kHeadDim / 8;
  constexpr int kLanes = kPieces / 2;  // of one row
  constexpr int kRows = 32 / kLanes;   // at once
  const int32_t c = lane % kLanes;
  auto* to_k = static_cast<uint4*>(batch.rows) +
               (s.k_row + int64_t{kv_head} * s.capacity + first + lane / kLanes) * kPieces + c;
  uint4* to_v = to_k + int64_t{s.v_row - s.k_row} * kPieces;
#pragma unroll 1
  for (int32_t row = 0; row < kUnit; row += kRows * kAhead) {
    uint4 k[kAhead][2], v[kAhead][2];
    Angles angles[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int32_t at = row + i * kRows + lane / kLanes;
      const uint4* from_k = from_lane(source.k, at);
      const uint4* from_v = from_lane(source.v, at);
      // A probability of 0 times what lies beyond the scope must be 0.
      k[i][0] = k[i][1] = v[i][0] = v[i][1] = make_uint4(0, 0, 0, 0);
      angles[i] = {};
      if (from_k != nullptr) {
        k[i][0] = __ldg(from_k + c);
        k[i][1] = __ldg(from_k + kLanes + c);
        v[i][0] = __ldg(from_v + c);
        v[i][1] = __ldg(from_v + kLanes + c);
        angles[i] = angles_at<kHeadDim>(s.a.rope, first + at, c);
      }
    }
    if (row == 0) meanwhile();
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int32_t at = (row + i * kRows) * kPieces;
      to_v[at] = v[i][0];
      to_v[at + kLanes] = v[i][1];
      RowPart part;
      unpack<T>(k[i][0], part.low);
      unpack<T>(k[i][1], part.high);
      rotate(part, angles[i], s.a.rope.layout);
      to_k[at] = pack<T>(part.low, 1.0f);
      to_k[at + kLanes] = pack<T>(part.high, 1.0f);
    }
  }
}

// All of it ahead of the attention, a unit a warp. blockIdx.y: sequence.
template <class T, int kHeadDim>
__global__ void __launch_bounds__(256, 4) sm90_pack_kernel(const __grid_constant__ Batch batch) {
  constexpr int64_t kKeys = Tiling<kHeadDim>::kKeys;
  const Sequence& s = batch.sequences[blockIdx.y];
  if (!s.packed) return;
  const auto scope = static_cast<int32_t>(device_scope(s.a));
  const int32_t lane = static_cast<int32_t>(threadIdx.x) % 32;
  const int64_t unit = int64_t{blockIdx.x} * 8 + threadIdx.x / 32;
  const auto kv_head = static_cast<int32_t>(unit / (s.capacity / kUnit));
  const auto first = static_cast<int32_t>(unit % (s.capacity / kUnit)) * kUnit;
  if (kv_head >= s.a.pages.n_kv_heads || first >= (scope + kKeys - 1) / kKeys * kKeys) return;
  const Source source = source_of<kHeadDim>(s.a, scope, kv_head, first, lane);
  pack_unit<T, kHeadDim, 1>(batch, s, source, kv_head, first, lane, [] {});
}

// One warp's part in packing what the blocks of (sequence, KV head, split) read.
template <class T, int kHeadDim>
__device__ void pack_keys(const Batch& batch, int32_t sequence, int32_t kv_head, int32_t split,
                          int32_t lane) {
  constexpr int kKeys = Tiling<kHeadDim>::kKeys;
  const Sequence& s = batch.sequences[sequence];
  const auto scope = static_cast<int32_t>(device_scope(s.a));
  const int2 tiles = tiles_of_split<kHeadDim>(scope, split, batch.n_splits);
  const uint32_t n_units = static_cast<uint32_t>(tiles.y - tiles.x) * (kKeys / kUnit);
  uint32_t* claims =
      batch.claims + (sequence * s.a.pages.n_kv_heads + kv_head) * batch.n_splits + split;
  uint32_t* flags = batch.flags + s.first_flag + kv_head * (s.capacity / kKeys) + tiles.x;
  const auto claim = [&] { return lane == 0 ? atomicAdd(claims, 1u) : 0u; };
  const auto first_of = [&](uint32_t unit) {
    return tiles.x * kKeys + static_cast<int32_t>(unit) * kUnit;
  };
  const auto publish = [&](uint32_t unit) {
    fence_proxy_async_global();
    __syncwarp();
    if (lane == 0) add_release(flags + unit / (kKeys / kUnit), 1);
  };

  uint32_t unit = __shfl_sync(~0u, claim(), 0);
  if (unit >= n_units) return;
  Source source = source_of<kHeadDim>(s.a, scope, kv_head, first_of(unit), lane);
  uint32_t claimed = claim(), before = n_units;
  while (true) {
    const uint32_t next = __shfl_sync(~0u, claimed, 0);
    Source next_source{};
    pack_unit<T, kHeadDim, kHeadDim / 64>(batch, s, source, kv_head, first_of(unit), lane, [&] {
      if (before < n_units) publish(before);
      if (next >= n_units) return;
      claimed = claim();
      next_source = source_of<kHeadDim>(s.a, scope, kv_head, first_of(next), lane);
    });
    if (next >= n_units) {
      publish(unit);
      return;
    }
    before = unit;
    unit = next;
    source = next_source;
  }
}

// Waits until tiles are packed. One warp.
template <int kHeadDim>
class PackedTiles {
 public:
  __device__ PackedTiles(const Batch& batch, const Sequence& s, int32_t kv_head, int32_t begin,
                         int32_t end, int32_t lane)
      : flags_(batch.flags + s.first_flag + kv_head * (s.capacity / kKeys)),
        ready_(s.packed ? end : begin),
        end_(end),
        lane_(lane) {}

  __device__ void wait(int32_t tile) {
    if (tile < ready_) return;
    while (tile >= ready_) {
      const int32_t at = ready_ + lane_;
      const bool packed = at < end_ && load_acquire(flags_ + at) == kKeys / kUnit;
      const uint32_t missing = ~__ballot_sync(~0u, packed);
      ready_ += missing == 0 ? 32 : __ffs(static_cast<int>(missing)) - 1;
    }
    __syncwarp();
    fence_proxy_async_global();
  }

 private:
  static constexpr int kKeys = Tiling<kHeadDim>::kKeys;
  const uint32_t* flags_;
  int32_t ready_, end_, lane_;
};

}  // namespace reattn::kernels::cuda::sm90
