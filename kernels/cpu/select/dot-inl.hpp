// Dot products of a few f32 rows with many rows that lie in a cache page. Compiled once per vector target.
#if defined(REATTN_SELECT_DOT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_SELECT_DOT_INL_HPP
#undef REATTN_SELECT_DOT_INL_HPP
#else
#define REATTN_SELECT_DOT_INL_HPP
#endif

#include "kernels/cpu/select/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

// Rows of q whose accumulators for four keys fit in registers.
#if HWY_TARGET <= HWY_AVX3
constexpr int64_t kDotRows = 4;
#else
constexpr int64_t kDotRows = 3;
#endif

HWY_INLINE FloatVec load_floats(const float* from) {
  return hn::LoadU(FloatTag(), from);
}
HWY_INLINE FloatVec load_floats(const hwy::float16_t* from) {
  return promote_half(FloatTag(), from);
}

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void store_sums(FloatVec a, FloatVec b, FloatVec c, FloatVec e, float* out) {
  const FloatTag d;
  hn::StoreU(a, d, out);
  hn::StoreU(b, d, out + 1);
  hn::StoreU(c, d, out + 2);
  hn::StoreU(e, d, out + 3);
}
#else
HWY_INLINE hn::Vec<Quad> fold(hn::Vec<Quad> v) {
  return v;
}
template <class V>
HWY_INLINE hn::Vec<Quad> fold(V v) {
  const hn::Half<hn::DFromV<V> > half;
  return fold(hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
}

// out[0 … 3] = the sums over the lanes of a, b, c and e.
HWY_INLINE void store_sums(FloatVec a, FloatVec b, FloatVec c, FloatVec e, float* out) {
  const FloatTag d;
  const hn::RepartitionToWide<FloatTag> pairs;
  const auto ab =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  const auto ce =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e)));
  const FloatVec sums = hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)),
                                hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce)));
  hn::StoreU(fold(sums), Quad(), out);
}
#endif

// Four keys `step` elements apart, against kRows rows of q: out[r · out_step + key].
template <int64_t kRows, class T>
HWY_INLINE void dot_four(const float* HWY_RESTRICT q, const T* HWY_RESTRICT keys, int64_t step,
                         int64_t depth, float* HWY_RESTRICT out, int64_t out_step) {
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  FloatVec sum[kRows][4];
  HWY_UNROLL(4)
  for (int64_t r = 0; r < kRows; ++r) {
    HWY_UNROLL(4)
    for (int64_t k = 0; k < 4; ++k) sum[r][k] = hn::Zero(d);
  }
  int64_t i = 0;
  for (; i + kStep <= depth; i += kStep) {
    const FloatVec k0 = load_floats(keys + i), k1 = load_floats(keys + step + i);
    const FloatVec k2 = load_floats(keys + 2 * step + i), k3 = load_floats(keys + 3 * step + i);
    HWY_UNROLL(4)
    for (int64_t r = 0; r < kRows; ++r) {
      const FloatVec x = hn::LoadU(d, q + r * depth + i);
      sum[r][0] = hn::MulAdd(x, k0, sum[r][0]);
      sum[r][1] = hn::MulAdd(x, k1, sum[r][1]);
      sum[r][2] = hn::MulAdd(x, k2, sum[r][2]);
      sum[r][3] = hn::MulAdd(x, k3, sum[r][3]);
    }
  }
  HWY_UNROLL(4)
  for (int64_t r = 0; r < kRows; ++r) {
    store_sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3], out + r * out_step);
  }
  for (; i < depth; ++i) {
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t k = 0; k < 4; ++k) {
        out[r * out_step + k] += q[r * depth + i] * to_float(keys[k * step + i]);
      }
    }
  }
}

template <int64_t kRows, class T>
HWY_INLINE void dot_keys(const float* q, const T* keys, int64_t n_keys, int64_t depth, float* out,
                         int64_t out_step) {
  int64_t k = 0;
  for (; k + 4 <= n_keys; k += 4) {
    dot_four<kRows>(q, keys + k * depth, depth, depth, out + k, out_step);
  }
  for (; k < n_keys;
       ++k) {  // the same key four times: the sums of a key never depend on its neighbours
    float sums[kRows][4];
    dot_four<kRows>(q, keys + k * depth, 0, depth, &sums[0][0], 4);
    for (int64_t r = 0; r < kRows; ++r) out[r * out_step + k] = sums[r][0];
  }
}

// out[r · out_step + k] = q row r · key k. q [n_rows, depth], keys [n_keys, depth].
template <class T>
HWY_INLINE void dot_rows(const float* q, int64_t n_rows, const T* keys, int64_t n_keys,
                         int64_t depth, float* out, int64_t out_step) {
  while (n_rows > 0) {
    // 4 rows are better taken as 2 + 2 than as 3 + 1.
    const int64_t n_passes = (n_rows + kDotRows - 1) / kDotRows;
    const int64_t n = (n_rows + n_passes - 1) / n_passes;
    switch (n) {
      case 1:
        dot_keys<1>(q, keys, n_keys, depth, out, out_step);
        break;
      case 2:
        dot_keys<2>(q, keys, n_keys, depth, out, out_step);
        break;
      case 3:
        dot_keys<3>(q, keys, n_keys, depth, out, out_step);
        break;
      default:
        dot_keys<kDotRows>(q, keys, n_keys, depth, out, out_step);
        break;
    }
    q += n * depth;
    out += n * out_step;
    n_rows -= n;
  }
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
