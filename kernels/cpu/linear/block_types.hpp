// What the types of blocks have in common and apart, for the kernels that read them in place.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/reference/levels.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels::cpu {

// Kernels go through rows in blocks of 32: a super-block of 256 is eight of them, its groups.
constexpr size_t kBlock = 32;

// f.operator()<t>() for a type of blocks.
template <class F>
void with_block_type(DType t, F&& f) {
  switch (t) {
    case DType::kQ8_0:
      return f.template operator()<DType::kQ8_0>();
    case DType::kQ4_0:
      return f.template operator()<DType::kQ4_0>();
    case DType::kQ4_1:
      return f.template operator()<DType::kQ4_1>();
    case DType::kQ5_0:
      return f.template operator()<DType::kQ5_0>();
    case DType::kQ5_1:
      return f.template operator()<DType::kQ5_1>();
    case DType::kIQ4_NL:
      return f.template operator()<DType::kIQ4_NL>();
    case DType::kQ4_K:
      return f.template operator()<DType::kQ4_K>();
    case DType::kQ5_K:
      return f.template operator()<DType::kQ5_K>();
    case DType::kQ6_K:
      return f.template operator()<DType::kQ6_K>();
    default:
      break;
  }
}

constexpr bool is_super_block(DType t) {
  return dtype_info(t).block_elements == 256;
}

constexpr bool has_minimum(DType t) {
  return t == DType::kQ4_1 || t == DType::kQ5_1 || t == DType::kQ4_K || t == DType::kQ5_K;
}

// Whether 32 bits before the nibbles hold the fifth bits.
constexpr bool has_fifth_bits(DType t) {
  return t == DType::kQ5_0 || t == DType::kQ5_1;
}

// Bytes before the integers of a block of 32.
constexpr size_t scale_bytes(DType t) {
  return has_minimum(t) ? 4 : 2;
}

// What is added to integers that are held, or multiplied, without sign: Q8_0's and IQ4_NL's levels only when they are multiplied.
constexpr int32_t integer_offset(DType t) {
  switch (t) {
    case DType::kQ8_0:
    case DType::kIQ4_NL:
      return -128;
    case DType::kQ4_0:
      return -8;
    case DType::kQ5_0:
      return -16;
    case DType::kQ6_K:
      return -32;
    default:
      return 0;
  }
}

constexpr std::array<float, 16> level_floats() {
  std::array<float, 16> floats{};
  for (size_t i = 0; i < 16; ++i) floats[i] = static_cast<float>(reference::kLevels[i]);
  return floats;
}

// The 6-bit scales and minima of a Q4_K's or Q5_K's groups, a byte each.
struct GroupScales {
  uint64_t scales, minima;

  explicit GroupScales(const uint8_t* packed) {
    uint32_t word[3];
    std::memcpy(word, packed, sizeof word);
    const auto upper = [](uint32_t w) { return (w >> 6 & 0x03030303U) << 4; };
    const uint64_t last_scales = (word[2] & 0x0f0f0f0fU) | upper(word[0]);
    const uint64_t last_minima = (word[2] >> 4 & 0x0f0f0f0fU) | upper(word[1]);
    scales = last_scales << 32 | (word[0] & 0x3f3f3f3fU);
    minima = last_minima << 32 | (word[1] & 0x3f3f3f3fU);
  }
  int32_t scale(size_t g) const { return static_cast<int32_t>(scales >> (8 * g) & 63); }
  int32_t minimum(size_t g) const { return static_cast<int32_t>(minima >> (8 * g) & 63); }
};

}  // namespace reattn::kernels::cpu
