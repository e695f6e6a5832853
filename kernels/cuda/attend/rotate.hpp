// RoPE on 16 elements of a row at a time, for rows of 16-bit numbers that are moved in pieces of 16 bytes.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "reattn/kernels/attend.hpp"

namespace reattn::kernels::cuda {

template <class T>
struct PairOf;
template <>
struct PairOf<__half> {
  using Type = __half2;
};
template <>
struct PairOf<__nv_bfloat16> {
  using Type = __nv_bfloat162;
};

__device__ inline float2 widened(__half2 x) {
  return __half22float2(x);
}
__device__ inline float2 widened(__nv_bfloat162 x) {
  return __bfloat1622float2(x);
}
__device__ inline void round_to(__half2& to, float2 x) {
  to = __float22half2_rn(x);
}
__device__ inline void round_to(__nv_bfloat162& to, float2 x) {
  to = __float22bfloat162_rn(x);
}

template <class T>
__device__ void unpack(uint4 from, float2 (&to)[4]) {
  const auto* pairs = reinterpret_cast<const typename PairOf<T>::Type*>(&from);
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = widened(pairs[i]);
}
template <class T>
__device__ uint4 pack(const float2 (&from)[4], float factor) {
  uint4 to;
  auto* pairs = reinterpret_cast<typename PairOf<T>::Type*>(&to);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    round_to(pairs[i], make_float2(from[i].x * factor, from[i].y * factor));
  }
  return to;
}

// Part c of a row: its elements [8c, 8c + 8) and the same in its second half, so that in either layout it is 8 whole pairs.
struct RowPart {
  float2 low[4], high[4];
};
struct Angles {
  float4 cos[2], sin[2];
};

template <int kHeadDim>
__device__ Angles angles_at(const RopeTable& rope, int64_t position, int32_t c) {
  constexpr int kHalf = kHeadDim / 2;
  const bool interleaved = rope.layout == RopeLayout::kInterleaved;
  const int64_t first = position * kHalf + (interleaved ? 4 * c : 8 * c);
  const int32_t second = interleaved ? kHalf / 2 : 4;
  const auto* cos = reinterpret_cast<const float4*>(rope.cos + first);
  const auto* sin = reinterpret_cast<const float4*>(rope.sin + first);
  return {{__ldg(cos), __ldg(cos + second / 4)}, {__ldg(sin), __ldg(sin + second / 4)}};
}

__device__ inline void rotate(float& even, float& odd, float c, float s) {
  const float x = even, y = odd;
  even = x * c - y * s;
  odd = x * s + y * c;
}

__device__ inline void rotate(RowPart& e, const Angles& angles, RopeLayout layout) {
  if (layout == RopeLayout::kInterleaved) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float2* x = half == 0 ? e.low : e.high;
      const float4 c = angles.cos[half], s = angles.sin[half];
      rotate(x[0].x, x[0].y, c.x, s.x);
      rotate(x[1].x, x[1].y, c.y, s.y);
      rotate(x[2].x, x[2].y, c.z, s.z);
      rotate(x[3].x, x[3].y, c.w, s.w);
    }
  } else {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float4 c = angles.cos[half], s = angles.sin[half];
      rotate(e.low[2 * half].x, e.high[2 * half].x, c.x, s.x);
      rotate(e.low[2 * half].y, e.high[2 * half].y, c.y, s.y);
      rotate(e.low[2 * half + 1].x, e.high[2 * half + 1].x, c.z, s.z);
      rotate(e.low[2 * half + 1].y, e.high[2 * half + 1].y, c.w, s.w);
    }
  }
}

}  // namespace reattn::kernels::cuda
