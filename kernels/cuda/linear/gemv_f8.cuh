// F8 weights as F16 in registers, and x in the two F16 parts they are multiplied with.
//
// Every E4M3 number is an F16 number. x is not: it is multiplied with the power of two that brings the largest of
// its row to 2^14 ... 2^15, and what rounding leaves of it is in the second part. 22 bits are kept, more than
// weights are worth.
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/linear/gemv_parts.cuh"

namespace reattn::kernels::cuda::gemv_parts {

// Two neighbours to a register.
__device__ inline uint32_t unpack_two(uint32_t two) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint32_t out;
  asm("{.reg .b16 low;\n cvt.u16.u32 low, %1;\n cvt.rn.f16x2.e4m3x2 %0, low;}"
      : "=r"(out)
      : "r"(two));
  return out;
#else  // shifted into place it is 2^-8 times as large, subnormals included
  const uint32_t spread = (two & 0xFFu) << 8 | (two & 0xFF00u) << 16;
  const uint32_t bits = (spread & 0x80008000u) | (spread >> 1 & 0x3F803F80u);
  const __half2 v = __hmul2(*reinterpret_cast<const __half2*>(&bits), __float2half2_rn(256.0F));
  return *reinterpret_cast<const uint32_t*>(&v);
#endif
}

__device__ inline void mma_f16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                               uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// By how much a row is multiplied whose largest number is `most`, and what undoes it.
struct PowerOfTwo {
  float times, back;
  __device__ explicit PowerOfTwo(float most) {
    const uint32_t exponent = max(__float_as_uint(most) >> 23 & 255u, 15u);
    times = __uint_as_float((268 - exponent) << 23);
    back = __uint_as_float((exponent - 14) << 23);
  }
};

__device__ inline float largest(const Eight& v, float most) {
  for (const float f : {v.first.x, v.first.y, v.first.z, v.first.w, v.second.x, v.second.y,
                        v.second.z, v.second.w}) {
    most = fmaxf(most, fabsf(f));
  }
  return most;
}

__device__ inline void split_f16(float x0, float x1, uint32_t& high, uint32_t& low) {
  const __half2 h = __floats2half2_rn(x0, x1);
  const __half2 l = __floats2half2_rn(x0 - __low2float(h), x1 - __high2float(h));
  high = *reinterpret_cast<const uint32_t*>(&h);
  low = *reinterpret_cast<const uint32_t*>(&l);
}
__device__ inline void split_f16(const Eight& v, float times, uint4& high, uint4& low) {
  split_f16(v.first.x * times, v.first.y * times, high.x, low.x);
  split_f16(v.first.z * times, v.first.w * times, high.y, low.y);
  split_f16(v.second.x * times, v.second.y * times, high.z, low.z);
  split_f16(v.second.z * times, v.second.w * times, high.w, low.w);
}

}  // namespace reattn::kernels::cuda::gemv_parts
