// Packing for the fast attention: gathers the set, rotates its keys, and lays keys and values out for the copy engine. It is a role of
// the attention's own blocks: warps that have nothing else to do pack in the order in which it is attended to. Whoever runs takes
// the next unit, so nobody waits for a block that has not started. Where too few blocks read the same keys, a kernel of its own.
#pragma once

#include "kernels/cuda/attend/ptx.hpp"
#include "kernels/cuda/attend/rotate.hpp"
#include "kernels/cuda/attend/sm90.hpp"
#include "kernels/cuda/prim/int8.cuh"

namespace reattn::kernels::cuda::sm90 {

// Where a unit's rows come from: lane i knows of key i.
struct Source {
  const void* k;  // its pages; null beyond the scope
  const void* v;
  uint32_t row;  // of a page: [n_kv_heads, kPageTokens]; kInt8Row with those in int8
};
constexpr uint32_t kInt8Row = 1u << 31;

template <int kHeadDim, bool kInt8>
__device__ Source source_of(const AttendArgs& a, int32_t scope, int32_t kv_head, int32_t first,
                            int32_t lane) {
  const int32_t j = first + lane;
  if (lane >= kUnit || j >= scope) return {};
  constexpr uint32_t kPage = kPageTokens;
  const auto token = static_cast<uint32_t>(device_token(a, scope, j));
  const uint32_t page = token / kPage;
  const bool in_int8 = kInt8 && token < static_cast<uint32_t>(a.int8_end);
  return {(in_int8 ? a.pages.k8 : a.pages.k)[page], (in_int8 ? a.pages.v8 : a.pages.v)[page],
          (static_cast<uint32_t>(kv_head) * kPage + token % kPage) | (in_int8 ? kInt8Row : 0)};
}

template <class P>
__device__ P* from_lane(P* p, int32_t lane) {
  return reinterpret_cast<P*>(__shfl_sync(~0u, reinterpret_cast<unsigned long long>(p), lane));
}

// Pieces c and c + n_pieces / 2 of a row, of 8 elements each. In int8 they are half as long, and low.z is the scale.
struct Pieces {
  uint4 low, high;
};

template <int kHeadDim>
__device__ Pieces load_int8(const void* page, uint32_t row, int32_t n_kv_heads, int32_t c) {
  constexpr int kPieces = kHeadDim / 8;
  const uint2* from = static_cast<const uint2*>(page) + row * kPieces + c;
  const uint2 low = __ldg(from), high = __ldg(from + kPieces / 2);
  // Its scale block is that of the row, in [n_kv_heads, kPageTokens / kScaleBlock].
  static_assert(kPageTokens % kScaleBlock == 0);
  const float scale =
      __ldg(int8_scales(page, n_kv_heads, kHeadDim) + row / static_cast<uint32_t>(kScaleBlock));
  return {{low.x, low.y, __float_as_uint(scale), 0}, {high.x, high.y, 0, 0}};
}
template <int kHeadDim>
__device__ Pieces load_16_bit(const void* page, uint32_t row, int32_t c) {
  constexpr int kPieces = kHeadDim / 8;
  const uint4* from = static_cast<const uint4*>(page) + row * kPieces + c;
  return {__ldg(from), __ldg(from + kPieces / 2)};
}

__device__ inline void unpack_int8(uint4 from, float scale, float2 (&to)[4]) {
  const auto pair = [&](uint32_t word, uint32_t low, uint32_t high) {  // prmt's selectors
    // 2^23 + byte in a float's bits; the byte is without sign, 128 too large.
    constexpr uint32_t kBits = 0x4b000000;
    constexpr float kOffset = 8388608.0f + 128.0f;
    return make_float2((__uint_as_float(__byte_perm(word, kBits, low)) - kOffset) * scale,
                       (__uint_as_float(__byte_perm(word, kBits, high)) - kOffset) * scale);
  };
  const uint32_t x = from.x ^ 0x80808080u, y = from.y ^ 0x80808080u;
  to[0] = pair(x, 0x7440, 0x7441);
  to[1] = pair(x, 0x7442, 0x7443);
  to[2] = pair(y, 0x7440, 0x7441);
  to[3] = pair(y, 0x7442, 0x7443);
}
__device__ inline void unpack_int8(const Pieces& from, RowPart& to) {
  const float scale = __uint_as_float(from.low.z);
  unpack_int8(from.low, scale, to.low);
  unpack_int8(from.high, scale, to.high);
}

// Packs a unit's keys [first, first + kUnit) of the set; `meanwhile` runs while loads are on their way.
// kAhead: loads in flight; kInt8: some keys may be in int8. What is in int8 is rounded once: keys rotated, values as they are.
template <class T, int kHeadDim, int kAhead, bool kInt8, class Meanwhile>
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
    Pieces k[kAhead], v[kAhead];
    Angles angles[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int32_t at = row + i * kRows + lane / kLanes;
      const void* k_page = from_lane(source.k, at);
      const void* v_page = from_lane(source.v, at);
      const uint32_t of_page = __shfl_sync(~0u, source.row, at);
      // A probability of 0 times what lies beyond the scope must be 0.
      k[i] = v[i] = {};
      angles[i] = {};
      if (k_page != nullptr) {
        angles[i] = angles_at<kHeadDim>(s.a.rope, first + at, c);
        if (kInt8 && of_page >= kInt8Row) {
          k[i] = load_int8<kHeadDim>(k_page, of_page - kInt8Row, s.a.pages.n_kv_heads, c);
          v[i] = load_int8<kHeadDim>(v_page, of_page - kInt8Row, s.a.pages.n_kv_heads, c);
        } else {
          k[i] = load_16_bit<kHeadDim>(k_page, of_page, c);
          v[i] = load_16_bit<kHeadDim>(v_page, of_page, c);
        }
      }
    }
    if (row == 0) meanwhile();
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int32_t at = (row + i * kRows) * kPieces;
      RowPart part;
      if (kInt8 && __shfl_sync(~0u, source.row, row + i * kRows + lane / kLanes) >= kInt8Row) {
        unpack_int8(v[i], part);
        v[i] = {pack<T>(part.low, 1.0f), pack<T>(part.high, 1.0f)};
        unpack_int8(k[i], part);
      } else {
        unpack<T>(k[i].low, part.low);
        unpack<T>(k[i].high, part.high);
      }
      to_v[at] = v[i].low;
      to_v[at + kLanes] = v[i].high;
      rotate(part, angles[i], s.a.rope.layout);
      to_k[at] = pack<T>(part.low, 1.0f);
      to_k[at + kLanes] = pack<T>(part.high, 1.0f);
    }
  }
}

// All of it ahead of the attention, a unit a warp. blockIdx.y: sequence.
template <class T, int kHeadDim, bool kInt8>
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
  const Source source = source_of<kHeadDim, kInt8>(s.a, scope, kv_head, first, lane);
  pack_unit<T, kHeadDim, 1, kInt8>(batch, s, source, kv_head, first, lane, [] {});
}

// One warp's part in packing what the blocks of (sequence, KV head, split) read.
template <class T, int kHeadDim, bool kInt8>
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
  Source source = source_of<kHeadDim, kInt8>(s.a, scope, kv_head, first_of(unit), lane);
  uint32_t claimed = claim(), before = n_units;
  while (true) {
    const uint32_t next = __shfl_sync(~0u, claimed, 0);
    Source next_source{};
    pack_unit<T, kHeadDim, kHeadDim / 64, kInt8>(
        batch, s, source, kv_head, first_of(unit), lane, [&] {
          if (before < n_units) publish(before);
          if (next >= n_units) return;
          claimed = claim();
          next_source = source_of<kHeadDim, kInt8>(s.a, scope, kv_head, first_of(next), lane);
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
