// Unpacking of weight rows and dot products with them, compiled for each vector instruction set.
#include "kernels/cpu/linear/rows.hpp"

#include <bit>
#include <cstring>

#include "kernels/cpu/reference/half.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/linear/rows.cpp"
#include "hwy/foreach_target.h"
// after foreach_target
#include "hwy/highway.h"
#include "kernels/cpu/linear/blocks-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

template <DType kType>
constexpr size_t kBytes = static_cast<size_t>(dtype_info(kType).block_bytes);

template <DType kType>
float one_weight(const uint8_t* w) {
  if constexpr (kType == DType::kF32) {
    float f;
    std::memcpy(&f, w, sizeof f);
    return f;
  } else {
    uint16_t bits;
    std::memcpy(&bits, w, sizeof bits);
    return kType == DType::kF16 ? reference::half_to_float(bits)
                                : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
}

template <DType kType>
void unpack_row(const uint8_t* HWY_RESTRICT row, size_t n_cols, float* HWY_RESTRICT out) {
  const BlockTag d;
  if constexpr (dtype_info(kType).block_elements > 1) {
    for_each_block<kType>(row, n_cols / kBlock,
                          [&](size_t b, const Unpacked& block) REATTN_INLINE_LAMBDA {
                            const auto scale = hn::Set(d, block.scale);
                            for (size_t i = 0; i < kBlockVecs; ++i) {
                              auto w = hn::Mul(block.v[i], scale);
                              if constexpr (has_minimum(kType))
                                w = hn::Add(w, hn::Set(d, block.minimum));
                              hn::StoreU(w, d, out + b * kBlock + i * kLanes);
                            }
                          });
  } else {
    size_t i = 0;
    for (; i + kLanes <= n_cols; i += kLanes) {
      hn::StoreU(load_plain<kType>(row + i * kBytes<kType>), d, out + i);
    }
    for (; i < n_cols; ++i) out[i] = one_weight<kType>(row + i * kBytes<kType>);
  }
}

// Two accumulators a row, whatever the number of rows: the order of the sum is part of the result.
template <DType kType, size_t kRows>
void dot_plain(const uint8_t* HWY_RESTRICT row, size_t n_cols, const float* HWY_RESTRICT x,
               float* HWY_RESTRICT out, size_t out_stride) {
  const BlockTag d;
  BlockVec acc[kRows][2];
  for (size_t r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * kLanes <= n_cols; i += 2 * kLanes) {
    const auto w0 = load_plain<kType>(row + i * kBytes<kType>);
    const auto w1 = load_plain<kType>(row + (i + kLanes) * kBytes<kType>);
    for (size_t r = 0; r < kRows; ++r) {
      const float* xr = x + r * n_cols + i;
      acc[r][0] = hn::MulAdd(w0, hn::LoadU(d, xr), acc[r][0]);
      acc[r][1] = hn::MulAdd(w1, hn::LoadU(d, xr + kLanes), acc[r][1]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(acc[r][0], acc[r][1])));
    for (size_t t = i; t < n_cols; ++t) {
      sum += one_weight<kType>(row + t * kBytes<kType>) * x[r * n_cols + t];
    }
    out[r * out_stride] = sum;
  }
}

template <DType kType, size_t kRows>
void dot_range(const Matrix& w, int64_t begin, int64_t end, const float* x, float* out,
               size_t out_stride) {
  const auto n_cols = static_cast<size_t>(w.n_cols);
  const int64_t stride = row_bytes(kType, w.n_cols);
  for (int64_t o = begin; o < end; ++o) {
    const uint8_t* row = static_cast<const uint8_t*>(w.data) + o * stride;
    dot_plain<kType, kRows>(row, n_cols, x, out + (o - begin), out_stride);
  }
}

template <DType kType>
void dot_typed(const Matrix& w, int64_t begin, int64_t end, const float* x, int64_t n_x, float* out,
               int64_t out_stride) {
  const auto stride = static_cast<size_t>(out_stride);
  while (n_x > 0) {
    const int64_t n = n_x < 4 ? n_x : 4;  // more rows would not fit the registers
    switch (n) {
      case 1:
        dot_range<kType, 1>(w, begin, end, x, out, stride);
        break;
      case 2:
        dot_range<kType, 2>(w, begin, end, x, out, stride);
        break;
      case 3:
        dot_range<kType, 3>(w, begin, end, x, out, stride);
        break;
      default:
        dot_range<kType, 4>(w, begin, end, x, out, stride);
        break;
    }
    n_x -= n;
    x += n * w.n_cols;
    out += n * out_stride;
  }
}

template <class F>
void with_dtype(DType t, F&& f) {
  switch (t) {
    case DType::kF32:
      return f.template operator()<DType::kF32>();
    case DType::kF16:
      return f.template operator()<DType::kF16>();
    case DType::kBF16:
      return f.template operator()<DType::kBF16>();
    default:
      return with_block_type(t, f);  // F8: the device holds none
  }
}

void unpack_rows_here(const Matrix& w, int64_t begin, int64_t n, float* out) {
  with_dtype(w.dtype, [&]<DType kType>() HWY_ATTR {
    const int64_t stride = row_bytes(kType, w.n_cols);
    for (int64_t o = 0; o < n; ++o) {
      unpack_row<kType>(static_cast<const uint8_t*>(w.data) + (begin + o) * stride,
                        static_cast<size_t>(w.n_cols), out + o * w.n_cols);
    }
  });
}

void dot_rows_here(const Matrix& w, int64_t begin, int64_t end, const float* x, int64_t n_x,
                   float* out, int64_t out_stride) {
  switch (w.dtype) {
    case DType::kF16:
      return dot_typed<DType::kF16>(w, begin, end, x, n_x, out, out_stride);
    case DType::kBF16:
      return dot_typed<DType::kBF16>(w, begin, end, x, n_x, out, out_stride);
    default:
      return dot_typed<DType::kF32>(w, begin, end, x, n_x, out, out_stride);
  }
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(unpack_rows_here);
HWY_EXPORT(dot_rows_here);

void unpack_rows(const Matrix& w, int64_t begin, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(unpack_rows_here)(w, begin, n, out);
}

void dot_rows(const Matrix& w, int64_t begin, int64_t end, const float* x, int64_t n_x, float* out,
              int64_t out_stride) {
  HWY_DYNAMIC_DISPATCH(dot_rows_here)(w, begin, end, x, n_x, out, out_stride);
}

}  // namespace reattn::kernels::cpu
#endif
