// Numbers as int8 with a scale of their own, bit for bit as kernels/cpu/reference/int8.hpp, and where a page keeps them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

__device__ inline float int8_scale(float most) { return __fdiv_rn(most, 127.0F); }

// To nearest, ties to even; the conversion saturates, and NaN (also of 0 / 0) becomes 0.
__device__ inline int32_t to_int8(float x, float scale) {
  return max(-127, min(127, __float2int_rn(__fdiv_rn(x, scale))));
}

// [n_kv_heads, kPageTokens / kScaleBlock], behind the numbers of a page of KvPages.k8.
__host__ __device__ inline float* int8_scales(const void* page, int32_t n_kv_heads, int32_t head_dim) {
  return reinterpret_cast<float*>(static_cast<char*>(const_cast<void*>(page)) +
                                  int64_t{n_kv_heads} * kPageTokens * head_dim);
}
__host__ __device__ inline int32_t int8_scale_index(int32_t kv_head, int64_t position) {
  return kv_head * static_cast<int32_t>(kPageTokens / kScaleBlock) +
         static_cast<int32_t>(position % kPageTokens / kScaleBlock);
}

}  // namespace reattn::kernels::cuda
