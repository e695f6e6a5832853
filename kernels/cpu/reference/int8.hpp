// Numbers as int8 with a scale of their own: the largest becomes 127.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "reattn/kernels/kv_append.hpp"

namespace reattn::kernels::reference {

inline float int8_scale(float most) {
  return most / 127.0f;
}

// To nearest, ties to even; NaN (also of 0 / 0) becomes 0.
inline int8_t to_int8(float x, float scale) {
  const float r = std::nearbyint(x / scale);
  return std::isnan(r) ? int8_t{0} : static_cast<int8_t>(std::clamp(r, -127.0f, 127.0f));
}

// int8 [n_kv_heads, kPageTokens, head_dim] of the page of position t, and float [n_kv_heads, kPageTokens / kScaleBlock] behind it.
inline int8_t* int8_page(const KvPages& p, int64_t t) {
  return static_cast<int8_t*>(p.k8[t / kPageTokens]);
}
inline float* int8_scales(const KvPages& p, int64_t t) {
  return reinterpret_cast<float*>(int8_page(p, t) + p.n_kv_heads * kPageTokens * p.head_dim);
}
inline float& int8_scale_of(const KvPages& p, int32_t kv_head, int64_t t) {
  return int8_scales(p, t)[kv_head * (kPageTokens / kScaleBlock) + t % kPageTokens / kScaleBlock];
}

}  // namespace reattn::kernels::reference
