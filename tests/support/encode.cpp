// F32 values as the element types of GGUF, rounded to nearest.
#include "tests/support/encode.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace reattn::test {
namespace {

using kernels::DType;

uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// Finite values of half range; subnormal halves included.
uint16_t to_f16(float x) {
  const auto sign = static_cast<uint16_t>(std::signbit(x) ? 0x8000 : 0);
  const float a = std::min(std::fabs(x), 65504.0f);
  if (a == 0) return sign;
  const int exponent = std::max(std::ilogb(a), -14);
  // In units of the last of 10 fraction bits; 1024 to 2048 for normal numbers.
  const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(a, 10 - exponent)));
  return static_cast<uint16_t>(sign + (static_cast<uint32_t>(exponent + 14) << 10) + units);
}

template <class T>
std::byte* put(std::byte* p, T v) {
  std::memcpy(p, &v, sizeof v);
  return p + sizeof v;
}

std::byte* put_nibbles(std::byte* p, const float* x, float lowest, float step) {
  const auto level = [&](float v) {
    return static_cast<uint8_t>(std::clamp(std::nearbyint((v - lowest) / step), 0.0f, 15.0f));
  };
  for (int i = 0; i < 16; ++i) {
    const int both = step == 0 ? 0 : level(x[i]) | level(x[i + 16]) << 4;
    p = put(p, static_cast<uint8_t>(both));
  }
  return p;
}

std::byte* put_block(DType dtype, std::byte* p, const float* x) {
  const auto [low, high] = std::minmax_element(x, x + 32);
  const float largest = std::max(std::fabs(*low), std::fabs(*high));
  switch (dtype) {
    case DType::kQ8_0: {
      const float d = largest / 127;
      p = put(p, to_f16(d));
      for (int i = 0; i < 32; ++i) {
        p = put(p, static_cast<int8_t>(d == 0 ? 0 : std::nearbyint(x[i] / d)));
      }
      return p;
    }
    case DType::kQ4_0: {
      const float d = largest / 8;
      return put_nibbles(put(p, to_f16(d)), x, -8 * d, d);
    }
    case DType::kQ4_1: {
      const float d = (*high - *low) / 15;
      return put_nibbles(put(put(p, to_f16(d)), to_f16(*low)), x, *low, d);
    }
    default:
      throw std::logic_error("not a block type");
  }
}

}  // namespace

std::vector<std::byte> encode(DType dtype, const std::vector<float>& values) {
  const auto info = kernels::dtype_info(dtype);
  std::vector<std::byte> out(values.size() / info.block_elements * info.block_bytes);
  std::byte* p = out.data();
  for (size_t i = 0; i < values.size(); i += info.block_elements) {
    switch (dtype) {
      case DType::kF32:
        p = put(p, values[i]);
        break;
      case DType::kF16:
        p = put(p, to_f16(values[i]));
        break;
      case DType::kBF16:
        p = put(p, to_bf16(values[i]));
        break;
      default:
        p = put_block(dtype, p, &values[i]);
    }
  }
  return out;
}

}  // namespace reattn::test
