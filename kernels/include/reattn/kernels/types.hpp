// Element types of weights and caches, and the sizes that follow from them.
#pragma once

#include <cstdint>
#include <string_view>

namespace reattn::kernels {

// Block types are GGUF's (ggml docs/gguf.md and ggml-common.h layouts). F8 is no file's: a device may hold weights so.
// Checksums of models hold the numbers: new types go at the end.
enum class DType : int32_t {
  kF32, kF16, kBF16, kQ8_0, kQ4_0, kQ4_1, kF8, kQ5_0, kQ5_1, kIQ4_NL, kQ4_K, kQ5_K, kQ6_K
};

struct DTypeInfo {
  std::string_view name;
  int32_t block_elements;  // elements of one block; 1 for plain types
  int32_t block_bytes;
};

constexpr DTypeInfo dtype_info(DType t) {
  switch (t) {
    case DType::kF32:
      return {"F32", 1, 4};
    case DType::kF16:
      return {"F16", 1, 2};
    case DType::kBF16:
      return {"BF16", 1, 2};
    case DType::kQ8_0:
      return {"Q8_0", 32, 34};  // half d; int8 q[32]:              x = d * q
    case DType::kQ4_0:
      return {"Q4_0", 32, 18};  // half d; nibbles q[16]:           x = d * (q - 8)
    case DType::kQ4_1:
      return {"Q4_1", 32, 20};  // half d, m; nibbles q[16]:        x = d * q + m
    case DType::kF8:
      return {"F8", 1, 1};  // E4M3; x = scale of the row * f
    case DType::kQ5_0:
      return {"Q5_0", 32, 22};  // half d; u32 high bits; nibbles q[16]:     x = d * (q - 16)
    case DType::kQ5_1:
      return {"Q5_1", 32, 24};  // half d, m; u32 high bits; nibbles q[16]:  x = d * q + m
    case DType::kIQ4_NL:
      return {"IQ4_NL", 32, 18};  // half d; nibbles q[16]:                  x = d * level[q]
    // Super-blocks: 8 groups of 32, each with a 6-bit scale s and minimum t packed in 12 bytes.
    case DType::kQ4_K:
      return {"Q4_K", 256, 144};  // half d, m; s and t; nibbles q[128]:     x = d * s * q - m * t
    case DType::kQ5_K:
      return {"Q5_K", 256, 176};  // half d, m; s and t; high bits[32]; nibbles q[128]: likewise
    case DType::kQ6_K:  // 16 groups of 16
      return {"Q6_K", 256, 210};  // low 4 bits[128]; high 2 bits[64]; int8 s[16]; half d: x = d * s * (q - 32)
  }
  return {"?", 1, 1};
}
// In blocks of 32 with nibbles, byte i holds element i in its low nibble and element i + 16 in its high one; bit i of the high bits
// is element i's. How super-blocks are packed: kernels/cpu/reference/dequantize.cpp.

// Bytes of one row of n elements; n is a multiple of the block.
constexpr int64_t row_bytes(DType t, int64_t n) {
  return n / dtype_info(t).block_elements * dtype_info(t).block_bytes;
}

// A weight matrix in device memory, rows contiguous: [n_rows, n_cols].
struct Matrix {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t n_rows = 0;             // outputs
  int64_t n_cols = 0;             // inputs
  const float* scales = nullptr;  // [n_rows], of F8 alone
};

// Rows [row, row + n) of it.
inline Matrix rows_of(const Matrix& m, int64_t row, int64_t n) {
  return {static_cast<const char*>(m.data) + row * row_bytes(m.dtype, m.n_cols), m.dtype, n,
          m.n_cols, m.scales == nullptr ? nullptr : m.scales + row};
}

constexpr int64_t kPageTokens = 512;  // tokens of one cache page
constexpr int32_t kMaxTopK = 16;
constexpr int64_t kScaleBlock = 128;  // positions whose int8 keys of one KV head share a scale
constexpr int64_t complete_blocks(int64_t n_tokens) {
  return n_tokens / kScaleBlock * kScaleBlock;
}
constexpr int64_t kBlock1 = 128;  // positions of one block in selection `block1`

}  // namespace reattn::kernels
