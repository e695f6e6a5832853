// F8 weights to BF16 in registers, and x in the order that suits them.
//
// Shifted into place, an E4M3 number is a BF16 number 2^-120 times as large, subnormals included. x is
// multiplied with 2^56 in turn, which keeps every sum among f32's normal numbers, and what comes out with
// kF8Unit, 2^64.
#pragma once

#include "kernels/cuda/linear/gemv_parts.cuh"

namespace reattn::kernels::cuda::gemv_parts {

constexpr float kF8Times = 0x1p56f;
static_assert(kF8Times * kF8Unit == 0x1p120f);

// Four neighbours as pairs of BF16: elements 0 and 2, elements 1 and 3.
__device__ inline void unpack_f8(uint32_t four, uint32_t& even, uint32_t& odd) {
  constexpr uint32_t kSigns = 0x80008000u, kSizes = 0x07F007F0u;
  even = (four << 8 & kSigns) | (four << 4 & kSizes);
  odd = (four & kSigns) | (four >> 4 & kSizes);
}

// x of eight weights, likewise: words x and y of four neighbours, z and w of the next four.
__device__ inline void split_for_f8(const Eight& v, uint4& high, uint4& low) {
  const auto pair = [](float a, float b, uint32_t& h, uint32_t& l) {
    split(a * kF8Times, b * kF8Times, h, l);
  };
  pair(v.first.x, v.first.z, high.x, low.x);
  pair(v.first.y, v.first.w, high.y, low.y);
  pair(v.second.x, v.second.z, high.z, low.z);
  pair(v.second.y, v.second.w, high.w, low.w);
}

}  // namespace reattn::kernels::cuda::gemv_parts
