// Dot products of block weights with input rows: four weight rows at once in bytes where the machine has AVX-512 VNNI, else one
// row in floats.
#include "kernels/cpu/linear/quant_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear/quant_rows.cpp"
#define HWY_DISABLED_TARGETS HWY_SSSE3
#define HWY_WANT_AVX3_DL
#include "hwy/foreach_target.h"
// after foreach_target
#include "hwy/highway.h"
#include "kernels/cpu/linear/blocks-inl.hpp"
#include "kernels/cpu/linear/rounded.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

constexpr int64_t kMostX = 4;  // input rows whose sums stay in registers

#if HWY_TARGET == HWY_AVX3_DL

// An integer is 65,536 · high + 256 · middle + low, each int8: the instruction multiplies bytes.
void store_numbers(const float* x, float factor, int32_t offset, RoundedBlock& to) {
  auto* bytes = reinterpret_cast<int8_t*>(to.numbers);
  int32_t totals[3] = {};
  for (size_t i = 0; i < kBlock; ++i) {
    const auto number = static_cast<int32_t>(std::lrintf(x[i] * factor));
    const int32_t upper = (number + 128) >> 8, high = (upper + 128) >> 8;
    const int32_t parts[3] = {high, upper - 256 * high, number - 256 * upper};
    for (size_t p = 0; p < 3; ++p) {
      bytes[p * kBlock + i] = static_cast<int8_t>(parts[p]);
      totals[p] += parts[p];
    }
  }
  for (size_t p = 0; p < 3; ++p) to.offsets[p][0] = offset * totals[p];
}

// sum + u8 · s8 in each 32 bits. Highway 1.0.3 asks the processor for AVX-512 VNNI in this target, but does not switch its
// intrinsics on.
HWY_INLINE __m512i dot_bytes(__m512i sum, __m512i weights, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x));
  return sum;
}

HWY_INLINE __m512i four_times(const int8_t* sixteen) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(sixteen)));
}

// 16 bytes of each of four rows.
HWY_INLINE __m512i load_four(const uint8_t* const* rows, size_t at) {
  const auto load = [&](size_t r) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + at));
  };
  const __m512i two = _mm512_inserti32x4(_mm512_castsi128_si512(load(0)), load(1), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(two, load(2), 2), load(3), 3);
}

// Lanes 2r and 2r + 1: row r's scale and, of Q4_1, its m.
template <DType kType>
HWY_INLINE __m256 load_four_scales(const uint8_t* const* rows, size_t at) {
  // No array: reading as one what was just stored in four pieces would stall.
  const auto load = [&](size_t r) {
    std::conditional_t<kType == DType::kQ4_1, int32_t, uint16_t> halves;
    std::memcpy(&halves, rows[r] + at, sizeof halves);
    return static_cast<int32_t>(halves);
  };
  return _mm256_cvtph_ps(_mm_setr_epi32(load(0), load(1), load(2), load(3)));
}

constexpr size_t kAhead = 6144;  // bytes

// Four weight rows against kX rows: out[x · out_stride + r] for the n_rows rows that are wanted.
template <DType kType, int64_t kX>
void dot_four(const uint8_t* const* rows, size_t n_blocks, const RoundedBlock* x, float* out,
              int64_t n_rows, int64_t out_stride) {
  constexpr auto kBytes = static_cast<size_t>(dtype_info(kType).block_bytes);
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 4, 4, 4, 4, 6, 6, 6, 6);
  __m512 sum[kX];
  __m256 minima[kX];
  for (int64_t i = 0; i < kX; ++i) {
    sum[i] = _mm512_setzero_ps();
    minima[i] = _mm256_setzero_ps();
  }
  for (size_t b = 0; b < n_blocks; ++b) {
    const size_t at = b * kBytes, q = at + kScaleBytes<kType>;
    // Rows lie one behind the other: every block asks for its share of those some kilobytes on.
    for (size_t line = 0; line < 4 * kBytes; line += 64) {
      __builtin_prefetch(rows[0] + kAhead + 4 * at + line);
    }
    __m512i first, second;  // the block's elements 0 … 15 and 16 … 31, unsigned
    if constexpr (kType == DType::kQ8_0) {
      const __m512i top = _mm512_set1_epi8(-128);
      first = _mm512_xor_si512(load_four(rows, q), top);
      second = _mm512_xor_si512(load_four(rows, q + 16), top);
    } else {
      const __m512i both = load_four(rows, q);
      first = _mm512_and_si512(both, nibble);
      second = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
    }
    const __m256 halves = load_four_scales<kType>(rows, at);
    const __m512 scale = _mm512_permutexvar_ps(spread, _mm512_castps256_ps512(halves));
    HWY_UNROLL(4)
    for (int64_t i = 0; i < kX; ++i) {
      const RoundedBlock& xb = x[static_cast<size_t>(i) * n_blocks + b];
      const auto* bytes = reinterpret_cast<const int8_t*>(xb.numbers);
      const auto products = [&](size_t part) {
        const __m512i start = kType == DType::kQ4_1
                                  ? _mm512_setzero_si512()
                                  : _mm512_broadcast_i32x4(_mm_load_si128(
                                        reinterpret_cast<const __m128i*>(xb.offsets[part])));
        const __m512i sums = dot_bytes(start, first, four_times(bytes + part * kBlock));
        return dot_bytes(sums, second, four_times(bytes + part * kBlock + 16));
      };
      const __m512i high = products(0), middle = products(1), low = products(2);
      const __m512i lower = _mm512_add_epi32(_mm512_slli_epi32(middle, 8), low);
      const __m512 unit = _mm512_mul_ps(scale, _mm512_set1_ps(xb.scale));
      sum[i] = _mm512_fmadd_ps(unit, _mm512_cvtepi32_ps(lower), sum[i]);
      sum[i] = _mm512_fmadd_ps(_mm512_mul_ps(unit, _mm512_set1_ps(65536)), _mm512_cvtepi32_ps(high),
                               sum[i]);
      if constexpr (kType == DType::kQ4_1) {
        minima[i] = _mm256_fmadd_ps(halves, _mm256_set1_ps(xb.sum), minima[i]);
      }
    }
  }
  for (int64_t i = 0; i < kX; ++i) {
    alignas(64) float parts[16];
    alignas(32) float m[8];
    _mm512_store_ps(parts, sum[i]);
    _mm256_store_ps(m, minima[i]);
    for (int64_t r = 0; r < n_rows; ++r) {
      const float* p = parts + 4 * r;
      const float value = (p[0] + p[1]) + (p[2] + p[3]);
      out[i * out_stride + r] = kType == DType::kQ4_1 ? value + m[2 * r + 1] : value;
    }
  }
}

template <DType kType, int64_t kX>
void dot_range(const Matrix& w, int64_t begin, int64_t end, const RoundedBlock* x, float* out,
               int64_t out_stride) {
  const auto* data = static_cast<const uint8_t*>(w.data);
  const int64_t stride = row_bytes(kType, w.n_cols);
  for (int64_t o = begin; o < end; o += 4) {
    const uint8_t* rows[4];  // past the end the last row stands in
    for (int64_t r = 0; r < 4; ++r) rows[r] = data + std::min(o + r, end - 1) * stride;
    dot_four<kType, kX>(rows, static_cast<size_t>(w.n_cols) / kBlock, x, out + (o - begin),
                        std::min<int64_t>(end - o, 4), out_stride);
  }
}

#else

void store_numbers(const float* x, float, int32_t, RoundedBlock& to) {
  std::memcpy(to.numbers, x, kBlock * sizeof *x);
}

template <DType kType, int64_t kX>
void dot_range(const Matrix& w, int64_t begin, int64_t end, const RoundedBlock* x, float* out,
               int64_t out_stride) {
  const BlockTag d;
  constexpr auto kBytes = static_cast<size_t>(dtype_info(kType).block_bytes);
  const size_t n_blocks = static_cast<size_t>(w.n_cols) / kBlock;
  const uint8_t* block = static_cast<const uint8_t*>(w.data) + begin * row_bytes(kType, w.n_cols);
  for (int64_t o = begin; o < end; ++o) {
    BlockVec sum[kX];
    float minima[kX] = {};
    for (int64_t i = 0; i < kX; ++i) sum[i] = hn::Zero(d);
    for (size_t b = 0; b < n_blocks; ++b, block += kBytes) {
      BlockVec v[kBlockVecs];
      unpack_block<kType>(block, v);
      const auto scales = load_scales(block);
      const auto scale = hn::Set(d, hn::GetLane(scales));
      float m = 0;
      if constexpr (kType == DType::kQ4_1) m = second_scale(block, scales);
      for (int64_t i = 0; i < kX; ++i) {
        const RoundedBlock& xb = x[static_cast<size_t>(i) * n_blocks + b];
        const auto* numbers = reinterpret_cast<const float*>(xb.numbers);
        auto s = hn::Mul(v[0], hn::Load(d, numbers));
        for (size_t j = 1; j < kBlockVecs; ++j) {
          s = hn::MulAdd(v[j], hn::Load(d, numbers + j * kLanes), s);
        }
        sum[i] = hn::MulAdd(scale, s, sum[i]);
        if constexpr (kType == DType::kQ4_1) minima[i] += m * xb.sum;
      }
    }
    for (int64_t i = 0; i < kX; ++i) {
      out[i * out_stride + o - begin] = hn::GetLane(hn::SumOfLanes(d, sum[i])) + minima[i];
    }
  }
}

#endif

template <DType kType>
void dot_typed(const Matrix& w, int64_t begin, int64_t end, const RoundedBlock* x, int64_t n_x,
               float* out, int64_t out_stride) {
  for (; n_x > 0; n_x -= kMostX) {
    switch (n_x) {
      case 1:
        dot_range<kType, 1>(w, begin, end, x, out, out_stride);
        break;
      case 2:
        dot_range<kType, 2>(w, begin, end, x, out, out_stride);
        break;
      case 3:
        dot_range<kType, 3>(w, begin, end, x, out, out_stride);
        break;
      default:
        dot_range<kType, kMostX>(w, begin, end, x, out, out_stride);
    }
    x += kMostX * (w.n_cols / static_cast<int64_t>(kBlock));
    out += kMostX * out_stride;
  }
}

void dot_here(const Matrix& w, int64_t begin, int64_t end, const RoundedBlock* x, int64_t n_x,
              float* out, int64_t out_stride) {
  switch (w.dtype) {
    case DType::kQ8_0:
      return dot_typed<DType::kQ8_0>(w, begin, end, x, n_x, out, out_stride);
    case DType::kQ4_0:
      return dot_typed<DType::kQ4_0>(w, begin, end, x, n_x, out, out_stride);
    default:
      return dot_typed<DType::kQ4_1>(w, begin, end, x, n_x, out, out_stride);
  }
}

// n_blocks blocks; `offset`: what is to be added to unsigned weights of the type.
void round_here(const float* x, size_t n_blocks, int32_t offset, RoundedBlock* to) {
  for (size_t b = 0; b < n_blocks; ++b, x += kBlock, ++to) {
    float most = 0, sum[4] = {};
    for (size_t i = 0; i < kBlock; ++i) {
      most = std::max(most, std::fabs(x[i]));
      sum[i % 4] += x[i];
    }
    to->sum = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    to->scale = most / kRoundedMost;
    std::fill_n(&to->offsets[0][0], 12, 0);
    const float factor = kRoundedMost / most;
    if (!std::isfinite(to->sum)) {
      to->scale = to->sum = std::numeric_limits<float>::quiet_NaN();
      std::memset(to->numbers, 0xff, sizeof to->numbers);  // NaN, where they are floats
    } else if (std::isfinite(factor)) {
      store_numbers(x, factor, offset, *to);
    } else {  // nothing that a product could show
      to->scale = 0;
      std::memset(to->numbers, 0, sizeof to->numbers);
    }
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(round_here);
HWY_EXPORT(dot_here);

bool has_quantised_dot(DType type) {
  return type == DType::kQ8_0 || type == DType::kQ4_0 || type == DType::kQ4_1;
}

size_t rounded_bytes(int64_t n_x, int64_t n_cols) {
  return static_cast<size_t>(n_x * n_cols / 32) * sizeof(RoundedBlock);
}

void round_rows(const float* x, int64_t n_x, int64_t n_cols, DType weights, std::byte* rounded) {
  const int32_t offset = weights == DType::kQ8_0 ? -128 : weights == DType::kQ4_0 ? -8 : 0;
  auto* blocks = reinterpret_cast<RoundedBlock*>(rounded);
  HWY_DYNAMIC_DISPATCH(round_here)(x, static_cast<size_t>(n_x * n_cols / 32), offset, blocks);
}

void dot_quantised(const Matrix& w, int64_t begin, int64_t end, const std::byte* rounded,
                   int64_t n_x, float* out, int64_t out_stride) {
  const auto* x = reinterpret_cast<const RoundedBlock*>(rounded);
  HWY_DYNAMIC_DISPATCH(dot_here)(w, begin, end, x, n_x, out, out_stride);
}

}  // namespace reattn::kernels::cpu
#endif
