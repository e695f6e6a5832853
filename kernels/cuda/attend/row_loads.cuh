// How attention for few queries copies rows of a page into shared memory, and reads them there as floats.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace reattn::kernels::cuda {

template <int kBytes>
__device__ inline void copy_async(void* to, const void* from) {
  const auto at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(at), "l"(from), "n"(kBytes)
                 : "memory");
  }
}
__device__ inline void wait_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Four elements of a page as floats.
template <class T>
__device__ inline float4 load_four(const T* at) {
  if constexpr (sizeof(T) == 4) {
    return *reinterpret_cast<const float4*>(at);
  } else {
    const uint2 raw = *reinterpret_cast<const uint2*>(at);
    if constexpr (std::is_same_v<T, __half>) {
      const float2 a = __half22float2(reinterpret_cast<const __half2&>(raw.x));
      const float2 b = __half22float2(reinterpret_cast<const __half2&>(raw.y));
      return make_float4(a.x, a.y, b.x, b.y);
    } else {
      return make_float4(__uint_as_float(raw.x << 16), __uint_as_float(raw.x & 0xffff0000u),
                         __uint_as_float(raw.y << 16), __uint_as_float(raw.y & 0xffff0000u));
    }
  }
}

// Four numbers of an int8 row. A byte with its sign flipped, put behind the exponent of 2^23, is 2^23 + 128 + the number.
__device__ inline float4 widen_four(uint32_t raw) {
  raw ^= 0x80808080u;
  const auto number = [&](uint32_t selector) {
    return __uint_as_float(__byte_perm(raw, 0x4b000000u, selector)) - 8388736.0f;
  };
  return make_float4(number(0x7440), number(0x7441), number(0x7442), number(0x7443));
}
__device__ inline float4 load_four(const int8_t* at) {
  return widen_four(*reinterpret_cast<const uint32_t*>(at));
}

template <class T>
__device__ inline void load_eight(float (&to)[8], const T* at) {
  float4 low, high;
  if constexpr (sizeof(T) == 4) {
    low = load_four(at);
    high = load_four(at + 4);
  } else {
    const uint4 raw = *reinterpret_cast<const uint4*>(at);
    low = load_four(reinterpret_cast<const T*>(&raw));
    high = load_four(reinterpret_cast<const T*>(&raw) + 4);
  }
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ inline void load_eight(float (&to)[8], const int8_t* at) {
  const uint2 raw = *reinterpret_cast<const uint2*>(at);
  const float4 low = widen_four(raw.x), high = widen_four(raw.y);
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

}  // namespace reattn::kernels::cuda
