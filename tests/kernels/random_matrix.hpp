// Weights of every element type with random content, for the tests of the dense layers.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cpu/reference/half.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::kernels {

inline constexpr DType kAllTypes[] = {DType::kF32,    DType::kF16,  DType::kBF16, DType::kQ8_0,
                                      DType::kQ4_0,   DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                      DType::kIQ4_NL, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

inline constexpr DType kBlockTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                                        DType::kQ5_0, DType::kQ5_1, DType::kIQ4_NL,
                                        DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

// The number of columns nearest below n, or the least, that rows of a type can have.
constexpr int64_t whole_columns(DType t, int64_t n) {
  const int64_t block = dtype_info(t).block_elements;
  return n < block ? block : n / block * block;
}

// Types whose elements are d * q + m or d * q − m.
constexpr bool has_minimum(DType t) {
  return t == DType::kQ4_1 || t == DType::kQ5_1 || t == DType::kQ4_K || t == DType::kQ5_K;
}

inline std::vector<float> random_floats(int64_t n, uint32_t seed, float scale = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = normal(generator);
  return values;
}

// Owns the bytes of its matrix, which start at an address no more aligned than a file would give.
struct RandomMatrix {
  std::vector<uint8_t> bytes;
  DType dtype;
  int64_t n_rows, n_cols;

  RandomMatrix(DType type, int64_t rows, int64_t cols, uint32_t seed)
      : bytes(static_cast<size_t>(rows * row_bytes(type, cols))),
        dtype(type),
        n_rows(rows),
        n_cols(cols) {
    std::mt19937 generator(seed);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(generator());
    const std::vector<float> values = random_floats(rows * cols, seed, 0.1F);
    const auto block_bytes = static_cast<size_t>(dtype_info(type).block_bytes);
    for (size_t b = 0; b < bytes.size() / block_bytes; ++b) {
      uint8_t* block = bytes.data() + b * block_bytes;
      const uint16_t half = reference::float_to_half(values[b]);
      if (type == DType::kF32) {
        std::memcpy(block, &values[b], 4);
      } else if (type == DType::kBF16) {
        std::memcpy(block, reinterpret_cast<const uint8_t*>(&values[b]) + 2, 2);
      } else {
        std::memcpy(block + (type == DType::kQ6_K ? 208 : 0), &half, 2);
      }
      if (has_minimum(type)) {
        const uint16_t m = reference::float_to_half(values[b] * -7.5F);
        std::memcpy(block + 2, &m, 2);
      }
    }
  }
  Matrix matrix() const { return {bytes.data(), dtype, n_rows, n_cols}; }
  // The scale of block b: d, of a type that has minima m for `second`.
  void set_scale(size_t b, uint16_t half, bool second = false) {
    const size_t at = dtype == DType::kQ6_K ? 208 : second ? 2 : 0;
    std::memcpy(bytes.data() + b * static_cast<size_t>(dtype_info(dtype).block_bytes) + at, &half,
                2);
  }
};

}  // namespace reattn::kernels
