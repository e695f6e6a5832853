// E4M3 numbers (OCP 8-bit floating point: no infinities, 448 the largest), and rows of them with a scale.
#pragma once

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstdint>

namespace reattn::kernels::reference {

inline constexpr float kF8Most = 448.0f;

// To nearest, ties to even; what is too large becomes the largest.
inline uint8_t float_to_f8(float x) {
  const uint8_t sign = std::signbit(x) ? 128 : 0;
  if (std::isnan(x)) return sign | 127;
  const float size = std::min(std::fabs(x), kF8Most);
  int exponent = 0;
  std::frexp(size, &exponent);  // size = fraction · 2^exponent, a half at least
  exponent = size > 0 ? std::max(exponent - 1, -6) : -6;
  const auto eighths = static_cast<int>(std::nearbyint(std::ldexp(size, 3 - exponent)));
  return sign | static_cast<uint8_t>(((exponent + 7) << 3) + eighths - 8);
}

inline float f8_to_float(uint8_t bits) {
  const int exponent = bits >> 3 & 15, eighths = bits & 7;
  float size = exponent == 0 ? std::ldexp(static_cast<float>(eighths), -9)
                             : std::ldexp(static_cast<float>(8 + eighths), exponent - 10);
  if ((bits & 127) == 127) size = NAN;
  return bits & 128 ? -size : size;
}

// n numbers; their scale.
inline float quantize_row(const float* x, int64_t n, uint8_t* out) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) most = std::fmax(most, std::fabs(x[i]));
  const float scale = most / kF8Most;
  const bool normal = scale >= FLT_MIN;
  const float inverse = normal ? kF8Most / most : 1.0f;
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_f8(x[i] * inverse);
  return normal ? scale : 1.0f;
}

}  // namespace reattn::kernels::reference
