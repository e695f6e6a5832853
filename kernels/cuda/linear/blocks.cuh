// GGUF's element types on the device, as floats equal to the reference's.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "reattn/kernels/error.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cuda {

// Calls f(std::integral_constant<DType, t>{}) for t that expands() is true for.
template <class F>
void with_dtype(DType t, F&& f) {
  switch (t) {
    case DType::kF32:
      return f(std::integral_constant<DType, DType::kF32>{});
    case DType::kF16:
      return f(std::integral_constant<DType, DType::kF16>{});
    case DType::kBF16:
      return f(std::integral_constant<DType, DType::kBF16>{});
    case DType::kQ8_0:
      return f(std::integral_constant<DType, DType::kQ8_0>{});
    case DType::kQ4_0:
      return f(std::integral_constant<DType, DType::kQ4_0>{});
    case DType::kQ4_1:
      return f(std::integral_constant<DType, DType::kQ4_1>{});
    default:
      break;
  }
  fail(ErrorCode::kUnsupported, "no kernel reads weights of type ", dtype_info(t).name);
}

__device__ inline uint16_t load16(const uint8_t* p) {
  return *reinterpret_cast<const uint16_t*>(p);
}
__device__ inline float half_bits(uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
__device__ inline float bf16_bits(uint16_t bits) {
  return __uint_as_float(uint32_t{bits} << 16);
}

// Elements [8 * i, 8 * i + n) of consecutive elements that start at `data`, 2-byte aligned; n up to
// 8, and 8 where t is a block type.
template <DType t>
__device__ void load_eight(const uint8_t* data, int64_t i, int n, float (&out)[8]) {
  if constexpr (t == DType::kF32 || t == DType::kF16 || t == DType::kBF16) {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (j >= n) break;
      if constexpr (t == DType::kF32) {
        const uint8_t* p = data + 4 * (8 * i + j);
        out[j] = __uint_as_float(load16(p) | uint32_t{load16(p + 2)} << 16);
      } else {
        const uint16_t bits = load16(data + 2 * (8 * i + j));
        out[j] = t == DType::kF16 ? half_bits(bits) : bf16_bits(bits);
      }
    }
  } else {
    constexpr DTypeInfo kInfo = dtype_info(t);
    const uint8_t* block = data + i / 4 * kInfo.block_bytes;
    const int eighth = static_cast<int>(i % 4);  // of 8 elements each
    const float d = half_bits(load16(block));
    const uint8_t* q =
        block + (t == DType::kQ4_1 ? 4 : 2) + (t == DType::kQ8_0 ? eighth : eighth % 2) * 8;
    const float m = t == DType::kQ4_1 ? half_bits(load16(block + 2)) : 0.0F;
#pragma unroll
    for (int j = 0; j < 8; j += 2) {
      const uint16_t pair = load16(q + j);
#pragma unroll
      for (int b = 0; b < 2; ++b) {
        const int byte = pair >> (8 * b) & 255;
        const int nibble = eighth < 2 ? byte & 15 : byte >> 4;
        if constexpr (t == DType::kQ8_0) {
          out[j + b] = __fmul_rn(d, static_cast<float>(static_cast<int8_t>(byte)));
        } else if constexpr (t == DType::kQ4_0) {
          out[j + b] = __fmul_rn(d, static_cast<float>(nibble - 8));
        } else {
          out[j + b] = __fadd_rn(__fmul_rn(d, static_cast<float>(nibble)), m);
        }
      }
    }
  }
}

}  // namespace reattn::kernels::cuda
