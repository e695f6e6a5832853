// Element types and blocks of weights, little endian, as floats.
#include "kernels/cpu/reference/dequantize.hpp"

#include <bit>
#include <cstring>

#include "kernels/cpu/reference/f8.hpp"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/reference/levels.hpp"

namespace reattn::kernels::reference {
namespace {

template <class T>
T load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

float load_half(const uint8_t* p) {
  return half_to_float(load<uint16_t>(p));
}

int32_t nibble(const uint8_t* q, int32_t i) {
  return i < 16 ? q[i] & 15 : q[i - 16] >> 4;
}

int32_t five_bits(const uint8_t* high, int32_t i) {
  const auto bit = static_cast<int32_t>(load<uint32_t>(high) >> i & 1);
  return nibble(high + 4, i) | bit << 4;
}

// The element i of a block of at most 32.
float element(DType type, const uint8_t* block, int32_t i) {
  const auto scaled = [&](int32_t q) { return load_half(block) * static_cast<float>(q); };
  switch (type) {
    case DType::kF32:
      return load<float>(block);
    case DType::kF16:
      return load_half(block);
    case DType::kBF16:
      return bf16_to_float(load<uint16_t>(block));
    case DType::kQ8_0:
      return scaled(std::bit_cast<int8_t>(block[2 + i]));
    case DType::kQ4_0:
      return scaled(nibble(block + 2, i) - 8);
    case DType::kQ4_1:
      return scaled(nibble(block + 4, i)) + load_half(block + 2);
    case DType::kQ5_0:
      return scaled(five_bits(block + 2, i) - 16);
    case DType::kQ5_1:
      return scaled(five_bits(block + 4, i)) + load_half(block + 2);
    case DType::kIQ4_NL:
      return scaled(kLevels[static_cast<size_t>(nibble(block + 2, i))]);
    case DType::kF8:
      return f8_to_float(*block);
    default:
      return 0;
  }
}

// Scale and minimum of group g of 8, 6 bits each. The first four of both are the low bits of bytes 0 to 7; the last four have their
// low nibbles in bytes 8 to 11 and their upper two bits atop bytes 0 to 7.
struct Group {
  int32_t scale, minimum;
};
Group group(const uint8_t* packed, int32_t g) {
  if (g < 4) return {packed[g] & 63, packed[g + 4] & 63};
  return {(packed[g + 4] & 15) | packed[g - 4] >> 6 << 4, packed[g + 4] >> 4 | packed[g] >> 6 << 4};
}

// Q4_K and Q5_K. 32 bytes hold 64 elements: group 2j in the low nibbles, 2j + 1 in the high ones. Q5_K's bit g of high[i] belongs to
// element i of group g.
void expand_4_or_5(DType type, const uint8_t* block, float* out) {
  const float d = load_half(block), m = load_half(block + 2);
  const uint8_t* high = type == DType::kQ5_K ? block + 16 : nullptr;
  const uint8_t* q = block + (high ? 48 : 16);
  for (int32_t g = 0; g < 8; ++g) {
    const Group of = group(block + 4, g);
    const float scale = d * static_cast<float>(of.scale);
    const float minimum = m * static_cast<float>(of.minimum);
    for (int32_t i = 0; i < 32; ++i) {
      const int32_t both = q[g / 2 * 32 + i];
      int32_t value = g % 2 == 0 ? both & 15 : both >> 4;
      if (high) value |= (high[i] >> g & 1) << 4;
      *out++ = scale * static_cast<float>(value) - minimum;
    }
  }
}

// Q6_K. Each half of 128 elements is 4 runs of 32: runs 0 and 1 in the low nibbles of its 64 bytes, 2 and 3 in the high ones; run r's
// upper two bits are bits 2r and 2r + 1 of its 32 bytes of high bits.
void expand_6(const uint8_t* block, float* out) {
  const float d = load_half(block + 208);
  for (int32_t e = 0; e < 256; ++e) {
    const int32_t half = e / 128, run = e % 128 / 32, i = e % 32;
    const int32_t both = block[half * 64 + run % 2 * 32 + i];
    const int32_t low = run < 2 ? both & 15 : both >> 4;
    const int32_t high = block[128 + half * 32 + i] >> (2 * run) & 3;
    const int32_t scale = std::bit_cast<int8_t>(block[192 + e / 16]);
    out[e] = d * static_cast<float>(scale) * static_cast<float>((low | high << 4) - 32);
  }
}

}  // namespace

void dequantize_row(const Matrix& w, int64_t row, float* out) {
  const DTypeInfo info = dtype_info(w.dtype);
  const uint8_t* block = static_cast<const uint8_t*>(w.data) + row * row_bytes(w.dtype, w.n_cols);
  const float scale = w.dtype == DType::kF8 ? w.scales[row] : 1.0F;
  for (int64_t at = 0; at < w.n_cols; at += info.block_elements, block += info.block_bytes) {
    if (w.dtype == DType::kQ4_K || w.dtype == DType::kQ5_K) {
      expand_4_or_5(w.dtype, block, out + at);
    } else if (w.dtype == DType::kQ6_K) {
      expand_6(block, out + at);
    } else {
      for (int32_t i = 0; i < info.block_elements; ++i) {
        out[at + i] = element(w.dtype, block, i);
        if (w.dtype == DType::kF8) out[at + i] *= scale;
      }
    }
  }
}

}  // namespace reattn::kernels::reference
