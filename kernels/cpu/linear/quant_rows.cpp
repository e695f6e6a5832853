// Dot products of block weights with input rows: four weight rows at once in bytes where the machine has AVX-512 VNNI, else one
// row in floats.
#include "kernels/cpu/linear/quant_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear/quant_rows.cpp"
#define HWY_DISABLED_TARGETS HWY_SSSE3
#define HWY_WANT_AVX3_DL
#include "hwy/foreach_target.h"
// after foreach_target
#include "hwy/highway.h"
#include "kernels/cpu/linear/blocks-inl.hpp"
#include "kernels/cpu/linear/four_rows-inl.hpp"
#include "kernels/cpu/linear/rounded.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

constexpr int64_t kMostX = 4;  // input rows whose sums stay in registers

#if HWY_TARGET == HWY_AVX3_DL

// An integer is 65,536 · high + 256 · middle + low, each int8: the instruction multiplies bytes.
void store_numbers(const float* x, float factor, int32_t offset, RoundedBlock& to) {
  auto* bytes = reinterpret_cast<int8_t*>(to.numbers);
  int32_t totals[3][2] = {};
  for (size_t i = 0; i < kBlock; ++i) {
    const auto number = static_cast<int32_t>(std::lrintf(x[i] * factor));
    const int32_t upper = (number + 128) >> 8, high = (upper + 128) >> 8;
    const int32_t parts[3] = {high, upper - 256 * high, number - 256 * upper};
    for (size_t p = 0; p < 3; ++p) {
      bytes[p * kBlock + i] = static_cast<int8_t>(parts[p]);
      totals[p][i / 16] += parts[p];
    }
  }
  for (size_t p = 0; p < 3; ++p) {
    for (size_t half = 0; half < 2; ++half) to.offsets[p][half] = offset * totals[p][half];
  }
}

// Four weight rows against kX rows: out[x · out_stride + r] for the n_rows rows that are wanted.
template <DType kType, int64_t kX>
void dot_four(const uint8_t* const* rows, size_t n_blocks, const RoundedBlock* x, float* out,
              int64_t n_rows, int64_t out_stride) {
  __m512 sum[kX], minima[kX];
  for (int64_t i = 0; i < kX; ++i) sum[i] = minima[i] = _mm512_setzero_ps();
  for_each_four<kType>(rows, n_blocks, [&](size_t b, const FourBlocks& w) REATTN_INLINE_LAMBDA {
    HWY_UNROLL(4)
    for (int64_t i = 0; i < kX; ++i) {
      const RoundedBlock& xb = x[static_cast<size_t>(i) * n_blocks + b];
      const auto add = [&](const ByteSums& sums, __m512 scale) REATTN_INLINE_LAMBDA {
        const __m512i lower = _mm512_add_epi32(_mm512_slli_epi32(sums.middle, 8), sums.low);
        const __m512 unit = _mm512_mul_ps(scale, _mm512_set1_ps(xb.scale));
        sum[i] = _mm512_fmadd_ps(unit, _mm512_cvtepi32_ps(lower), sum[i]);
        sum[i] = _mm512_fmadd_ps(_mm512_mul_ps(unit, _mm512_set1_ps(65536)),
                                 _mm512_cvtepi32_ps(sums.high), sum[i]);
      };
      if constexpr (kType == DType::kQ6_K) {
        add(half_products(w.first, xb, 0), w.scale);
        add(half_products(w.second, xb, 1), w.second_scale);
      } else {
        add(products<integer_offset(kType) != 0>(w, xb), w.scale);
      }
      if constexpr (has_minimum(kType)) {
        minima[i] = _mm512_fmadd_ps(w.minimum, _mm512_set1_ps(xb.sum), minima[i]);
      }
    }
  });
  for (int64_t i = 0; i < kX; ++i) {
    alignas(64) float parts[16];
    alignas(64) float m[16];
    _mm512_store_ps(parts, sum[i]);
    _mm512_store_ps(m, minima[i]);
    for (int64_t r = 0; r < n_rows; ++r) {
      const float* p = parts + 4 * r;
      const float value = (p[0] + p[1]) + (p[2] + p[3]);
      out[i * out_stride + r] = has_minimum(kType) ? value + m[4 * r] : value;
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
  const size_t n_blocks = static_cast<size_t>(w.n_cols) / kBlock;
  const int64_t stride = row_bytes(kType, w.n_cols);
  for (int64_t o = begin; o < end; ++o) {
    const uint8_t* row = static_cast<const uint8_t*>(w.data) + o * stride;
    BlockVec sum[kX];
    float minima[kX] = {};
    for (int64_t i = 0; i < kX; ++i) sum[i] = hn::Zero(d);
    for_each_block<kType>(row, n_blocks, [&](size_t b, const Unpacked& block) REATTN_INLINE_LAMBDA {
      const auto scale = hn::Set(d, block.scale);
      for (int64_t i = 0; i < kX; ++i) {
        const RoundedBlock& xb = x[static_cast<size_t>(i) * n_blocks + b];
        const auto* numbers = reinterpret_cast<const float*>(xb.numbers);
        auto s = hn::Mul(block.v[0], hn::Load(d, numbers));
        for (size_t j = 1; j < kBlockVecs; ++j) {
          s = hn::MulAdd(block.v[j], hn::Load(d, numbers + j * kLanes), s);
        }
        sum[i] = hn::MulAdd(scale, s, sum[i]);
        if constexpr (has_minimum(kType)) minima[i] += block.minimum * xb.sum;
      }
    });
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
  with_block_type(w.dtype, [&]<DType kType>() HWY_ATTR {
    dot_typed<kType>(w, begin, end, x, n_x, out, out_stride);
  });
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

size_t rounded_bytes(int64_t n_x, int64_t n_cols) {
  return static_cast<size_t>(n_x * n_cols / 32) * sizeof(RoundedBlock);
}

void round_rows(const float* x, int64_t n_x, int64_t n_cols, DType weights, std::byte* rounded) {
  auto* blocks = reinterpret_cast<RoundedBlock*>(rounded);
  HWY_DYNAMIC_DISPATCH(round_here)
  (x, static_cast<size_t>(n_x * n_cols / 32), integer_offset(weights), blocks);
}

void dot_quantised(const Matrix& w, int64_t begin, int64_t end, const std::byte* rounded,
                   int64_t n_x, float* out, int64_t out_stride) {
  const auto* x = reinterpret_cast<const RoundedBlock*>(rounded);
  HWY_DYNAMIC_DISPATCH(dot_here)(w, begin, end, x, n_x, out, out_stride);
}

}  // namespace reattn::kernels::cpu
#endif
