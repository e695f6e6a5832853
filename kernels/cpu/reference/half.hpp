// IEEE half precision and bfloat16 in plain integer arithmetic, and the element access to cache pages
// built on them.
#pragma once

#include <bit>
#include <cstdint>

#include "reattn/kernels/half.hpp"
#include "reattn/kernels/kv_append.hpp"

namespace reattn::kernels::reference {

using kernels::bf16_to_float;
using kernels::half_to_float;

// Rounds to nearest, ties to even; NaN stays NaN, what is too large becomes infinite.
inline uint16_t float_to_half(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 65536 and more
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal halves; rounding up may carry into infinity
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  } else {  // subnormal halves: the addition rounds at 2^-24, the last place of a float near 0.5
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<uint32_t>(sum) - 0x3f000000u;
  }
  return static_cast<uint16_t>(sign | half);
}

// Rounds to nearest, ties to even; NaN stays NaN.
inline uint16_t float_to_bf16(float f) {
  const uint32_t bits = std::bit_cast<uint32_t>(f);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// Index of element 0 of token t's row within the pages of `kv_head`: the page, and the offset
// inside it.
inline int64_t row_offset(const KvPages& p, int32_t kv_head, int64_t t) {
  return (kv_head * kPageTokens + t % kPageTokens) * p.head_dim;
}

// Element i of token t's row; `table` is p.k or p.v.
inline float page_element(const KvPages& p, void* const* table, int32_t kv_head, int64_t t,
                          int32_t i) {
  const void* page = table[t / kPageTokens];
  const int64_t at = row_offset(p, kv_head, t) + i;
  if (p.dtype == DType::kF32) return static_cast<const float*>(page)[at];
  const uint16_t bits = static_cast<const uint16_t*>(page)[at];
  return p.dtype == DType::kBF16 ? bf16_to_float(bits) : half_to_float(bits);
}

inline void set_page_element(const KvPages& p, void* const* table, int32_t kv_head, int64_t t,
                             int32_t i, float value) {
  void* page = table[t / kPageTokens];
  const int64_t at = row_offset(p, kv_head, t) + i;
  if (p.dtype == DType::kF32) {
    static_cast<float*>(page)[at] = value;
  } else {
    static_cast<uint16_t*>(page)[at] =
        p.dtype == DType::kBF16 ? float_to_bf16(value) : float_to_half(value);
  }
}

}  // namespace reattn::kernels::reference
