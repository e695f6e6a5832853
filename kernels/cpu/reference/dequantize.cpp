// Element types and 32-element blocks of weights, little endian, as floats.
#include "kernels/cpu/reference/dequantize.hpp"

#include <bit>
#include <cstring>

#include "kernels/cpu/reference/f8.hpp"
#include "kernels/cpu/reference/half.hpp"

namespace reattn::kernels::reference {
namespace {

uint16_t load16(const uint8_t* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return bits;
}

float nibble(const uint8_t* q, int64_t i) {
  return static_cast<float>(i < 16 ? q[i] & 15 : q[i - 16] >> 4);
}

float element(DType type, const uint8_t* block, int64_t i) {
  switch (type) {
    case DType::kF32: {
      float f;
      std::memcpy(&f, block, sizeof f);
      return f;
    }
    case DType::kF16:
      return half_to_float(load16(block));
    case DType::kBF16:
      return std::bit_cast<float>(static_cast<uint32_t>(load16(block)) << 16);
    case DType::kQ8_0:
      return half_to_float(load16(block)) * static_cast<float>(std::bit_cast<int8_t>(block[2 + i]));
    case DType::kQ4_0:
      return half_to_float(load16(block)) * (nibble(block + 2, i) - 8.0F);
    case DType::kQ4_1:
      return half_to_float(load16(block)) * nibble(block + 4, i) + half_to_float(load16(block + 2));
    case DType::kF8:
      return f8_to_float(*block);
  }
  return 0;
}

}  // namespace

void dequantize_row(const Matrix& w, int64_t row, float* out) {
  const DTypeInfo info = dtype_info(w.dtype);
  const uint8_t* bytes = static_cast<const uint8_t*>(w.data) + row * row_bytes(w.dtype, w.n_cols);
  for (int64_t i = 0; i < w.n_cols; ++i) {
    out[i] = element(w.dtype, bytes + i / info.block_elements * info.block_bytes,
                     i % info.block_elements);
    if (w.dtype == DType::kF8) out[i] *= w.scales[row];
  }
}

}  // namespace reattn::kernels::reference
