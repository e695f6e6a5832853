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

// Of the page of position t; `table` is p.k8 or p.v8: int8 [n_kv_heads, kPageTokens, head_dim], and behind it
// float [n_kv_heads, kPageTokens / kScaleBlock].
inline int8_t* int8_page(void* const* table, int64_t t) {
  return static_cast<int8_t*>(table[t / kPageTokens]);
}
inline float& int8_scale_of(const KvPages& p, void* const* table, int32_t kv_head, int64_t t) {
  auto* scales =
      reinterpret_cast<float*>(int8_page(table, t) + p.n_kv_heads * kPageTokens * p.head_dim);
  return scales[kv_head * (kPageTokens / kScaleBlock) + t % kPageTokens / kScaleBlock];
}
inline int8_t* int8_page(const KvPages& p, int64_t t) {
  return int8_page(p.k8, t);
}
inline float& int8_scale_of(const KvPages& p, int32_t kv_head, int64_t t) {
  return int8_scale_of(p, p.k8, kv_head, t);
}
// Element i of token t's row.
inline float int8_element(const KvPages& p, void* const* table, int32_t kv_head, int64_t t,
                          int32_t i) {
  const int64_t at = (kv_head * kPageTokens + t % kPageTokens) * p.head_dim + i;
  return static_cast<float>(int8_page(table, t)[at]) * int8_scale_of(p, table, kv_head, t);
}

}  // namespace reattn::kernels::reference
