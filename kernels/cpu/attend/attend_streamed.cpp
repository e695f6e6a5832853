// Attention of a single query (decode): keys and values are read once, as they lie in the pages.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attend/attend_streamed.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#include <algorithm>

#include "hwy/foreach_target.h"
#include "kernels/cpu/attend/softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// out [kRows, depth] += weights [kRows, kKeyBlock] · rows, kCols vectors of columns from `col` on.
template <int64_t kRows, int64_t kCols, class T>
HWY_INLINE void add_columns(const float* HWY_RESTRICT weights, const T* const* rows, int64_t n,
                            int64_t depth, int64_t col, float* HWY_RESTRICT out) {
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  FloatVec sum[kRows][kCols];
  HWY_UNROLL(4)
  for (int64_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int64_t c = 0; c < kCols; ++c) {
      sum[r][c] = hn::LoadU(d, out + r * depth + col + c * kStep);
    }
  }
  for (int64_t j = 0; j < n; ++j) {
    const T* row = rows[j] + col;
    HWY_UNROLL(4)
    for (int64_t c = 0; c < kCols; ++c) {
      const FloatVec v = load_floats(row + c * kStep);
      HWY_UNROLL(4)
      for (int64_t r = 0; r < kRows; ++r) {
        sum[r][c] = hn::MulAdd(hn::Set(d, weights[r * kKeyBlock + j]), v, sum[r][c]);
      }
    }
  }
  HWY_UNROLL(4)
  for (int64_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int64_t c = 0; c < kCols; ++c) {
      hn::StoreU(sum[r][c], d, out + r * depth + col + c * kStep);
    }
  }
}

template <int64_t kRows, class T>
void add_rows(const float* weights, const T* const* rows, int64_t n, int64_t depth, float* out) {
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  int64_t col = 0;
  for (; col + 4 * kStep <= depth; col += 4 * kStep) {
    add_columns<kRows, 4>(weights, rows, n, depth, col, out);
  }
  for (; col + kStep <= depth; col += kStep) {
    add_columns<kRows, 1>(weights, rows, n, depth, col, out);
  }
  for (; col < depth; ++col) {
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t j = 0; j < n; ++j) {
        out[r * depth + col] += weights[r * kKeyBlock + j] * to_float(rows[j][col]);
      }
    }
  }
}

template <class T>
void add_values(const float* weights, int64_t n_rows, const T* const* rows, int64_t n,
                int64_t depth, float* out) {
  while (n_rows > 0) {
    const int64_t n_passes = (n_rows + kDotRows - 1) / kDotRows;
    const int64_t n_now = (n_rows + n_passes - 1) / n_passes;
    switch (n_now) {
      case 1:
        add_rows<1>(weights, rows, n, depth, out);
        break;
      case 2:
        add_rows<2>(weights, rows, n, depth, out);
        break;
      case 3:
        add_rows<3>(weights, rows, n, depth, out);
        break;
      default:
        add_rows<kDotRows>(weights, rows, n, depth, out);
        break;
    }
    weights += n_now * kKeyBlock;
    out += n_now * depth;
    n_rows -= n_now;
  }
}

template <class T>
void attend_pages(const AttendPart& part) {
  const AttendArgs& a = *part.set->args;
  const int64_t depth = a.pages.head_dim, group = a.n_heads / a.pages.n_kv_heads;
  float* scores = part.scratch;              // [group, kKeyBlock]
  float* keys = scores + group * kKeyBlock;  // [kKeyBlock, depth]
  float* q = keys + kKeyBlock * depth;       // [group, depth]
  float* key_row = q + group * depth;        // [depth]
  float* unpacked = key_row + depth;  // [kKeyBlock, depth] values of a block with some in int8
  for (int64_t g = 0; g < group; ++g) {
    rotate(a.q + (part.kv_head * group + g) * depth, depth, a.rope, part.set->scope - 1,
           q + g * depth);
  }
  for (int64_t i = 0; i < group * depth; ++i) q[i] *= a.scale * kLog2E;
  std::fill_n(part.largest, group, kLowest);
  std::fill_n(part.sum, group, 0.0f);
  std::fill_n(part.out, group * depth, 0.0f);

  const T* values[kKeyBlock];
  const float* unpacked_values[kKeyBlock];
  for (int64_t j = 0; j < kKeyBlock; ++j) unpacked_values[j] = unpacked + j * depth;
  for (int64_t begin = part.begin; begin < part.end; begin += kKeyBlock) {
    const int64_t n = std::min(kKeyBlock, part.end - begin);
    bool unpack = false;
    for (int64_t j = 0; j < n; ++j) unpack |= part.set->position(begin + j) < a.int8_end;
    for (int64_t j = 0; j < n; ++j) {
      const int64_t t = part.set->position(begin + j);
      rotated_key<T>(a, part.kv_head, t, begin + j, key_row, keys + j * depth);
      if (t < a.int8_end) {
        int8_floats(a.pages, a.pages.v8, part.kv_head, t, unpacked + j * depth);
      } else {
        values[j] = page_row<T>(a.pages, a.pages.v, part.kv_head, t);
        if (unpack) to_floats(values[j], depth, unpacked + j * depth);
      }
    }
    dot_rows(q, group, keys, n, depth, scores, kKeyBlock);
    constexpr auto kStep = static_cast<int64_t>(kLanes);
    const int64_t n_padded = (n + kStep - 1) / kStep * kStep;
    for (int64_t g = 0; g < group; ++g) {
      float* row = scores + g * kKeyBlock;
      std::fill(row + n, row + n_padded, kLowest);
      const float factor = softmax_block(row, n_padded, part.largest[g], part.sum[g]);
      for (int64_t i = 0; i < depth; ++i) part.out[g * depth + i] *= factor;
    }
    if (unpack) {
      add_values(scores, group, unpacked_values, n, depth, part.out);
    } else {
      add_values(scores, group, values, n, depth, part.out);
    }
  }
}

void attend_streamed(const AttendPart& part) {
  if (part.set->args->pages.dtype == DType::kF16) {
    attend_pages<hwy::float16_t>(part);
  } else {
    attend_pages<float>(part);
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(attend_streamed);

void attend_streamed(const AttendPart& part) {
  HWY_DYNAMIC_DISPATCH(attend_streamed)(part);
}

}  // namespace reattn::kernels::cpu
#endif
