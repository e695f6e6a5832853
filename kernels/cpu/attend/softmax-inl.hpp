// Rotation of rows and powers of two for the attention kernels. Compiled once per vector target.
#if defined(REATTN_ATTEND_SOFTMAX_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_ATTEND_SOFTMAX_INL_HPP
#undef REATTN_ATTEND_SOFTMAX_INL_HPP
#else
#define REATTN_ATTEND_SOFTMAX_INL_HPP
#endif

#include <limits>

#include "kernels/cpu/attend/attend_kernels.hpp"
#include "kernels/cpu/reference/int8.hpp"
#include "kernels/cpu/select/dot-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

constexpr float kLog2E = 1.44269504088896341f;

// 2^x for x of at most 127; below −126.5 it is 0. Within 2 units in the last place; NaN stays NaN.
HWY_INLINE FloatVec power_of_two(FloatVec x) {
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  x = hn::Max(hn::Set(d, -127.0f), x);
  const FloatVec whole = hn::Round(x);
  const FloatVec f = hn::Sub(x, whole);
  FloatVec p = hn::Set(d, 1.3276472e-3f);  // minimax on [−1/2, 1/2], relative error 7.5e-8
  p = hn::MulAdd(p, f, hn::Set(d, 9.675542e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550713e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402212e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.9314694e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0000001f));
  const auto exponent = hn::Add(hn::ConvertTo(di, whole), hn::Set(di, 127));
  return hn::Mul(p, hn::BitCast(d, hn::ShiftLeft<23>(exponent)));
}

template <class T>
HWY_INLINE void to_floats(const T* HWY_RESTRICT from, int64_t n, float* HWY_RESTRICT to) {
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) hn::StoreU(load_floats(from + i), d, to + i);
  for (; i < n; ++i) to[i] = to_float(from[i]);
}

// to = the row `from` rotated to a position, [even elements of the pairs, odd ones] in either layout: scores do not
// depend on the order of elements as long as queries and keys share it.
template <class T>
HWY_INLINE void rotate(const T* HWY_RESTRICT from, int64_t depth, const RopeTable& rope,
                       int64_t position, float* HWY_RESTRICT to) {
  const int64_t half = depth / 2;
  const float* HWY_RESTRICT cos = rope.cos + position * half;
  const float* HWY_RESTRICT sin = rope.sin + position * half;
  const bool interleaved = rope.layout == RopeLayout::kInterleaved;
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  for (; i + kStep <= half; i += kStep) {
    FloatVec even, odd;
    if (interleaved) {
      const FloatVec lower = load_floats(from + 2 * i), upper = load_floats(from + 2 * i + kStep);
      even = hn::ConcatEven(d, upper, lower);
      odd = hn::ConcatOdd(d, upper, lower);
    } else {
      even = load_floats(from + i);
      odd = load_floats(from + i + half);
    }
    const FloatVec c = hn::LoadU(d, cos + i), s = hn::LoadU(d, sin + i);
    hn::StoreU(hn::NegMulAdd(odd, s, hn::Mul(even, c)), d, to + i);
    hn::StoreU(hn::MulAdd(even, s, hn::Mul(odd, c)), d, to + i + half);
  }
#endif
  for (; i < half; ++i) {
    const float even = to_float(from[interleaved ? 2 * i : i]);
    const float odd = to_float(from[interleaved ? 2 * i + 1 : i + half]);
    to[i] = even * cos[i] - odd * sin[i];
    to[i + half] = even * sin[i] + odd * cos[i];
  }
}

template <class T>
HWY_INLINE const T* page_row(const KvPages& pages, void* const* table, int64_t kv_head, int64_t t) {
  return static_cast<const T*>(table[t / kPageTokens]) +
         (kv_head * kPageTokens + t % kPageTokens) * pages.head_dim;
}

// to = int8 · scale of token t.
HWY_INLINE void int8_floats(const KvPages& pages, void* const* table, int32_t kv_head, int64_t t,
                            float* HWY_RESTRICT to) {
  const int8_t* from = page_row<int8_t>(pages, table, kv_head, t);
  const float scale = reference::int8_scale_of(pages, table, kv_head, t);
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const FloatTag d;
  const hn::RebindToSigned<FloatTag> di;
  const hn::Rebind<int8_t, FloatTag> d8;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  for (; i + kStep <= pages.head_dim; i += kStep) {
    const FloatVec x = hn::ConvertTo(d, hn::PromoteTo(di, hn::LoadU(d8, from + i)));
    hn::StoreU(hn::Mul(x, hn::Set(d, scale)), d, to + i);
  }
#endif
  for (; i < pages.head_dim; ++i) to[i] = static_cast<float>(from[i]) * scale;
}

// to = the key of token t rotated to a position. `row` is working memory of [head_dim], used where the key is in int8.
template <class T>
HWY_INLINE void rotated_key(const AttendArgs& a, int32_t kv_head, int64_t t, int64_t position,
                            float* HWY_RESTRICT row, float* HWY_RESTRICT to) {
  if (t < a.int8_end) {
    int8_floats(a.pages, a.pages.k8, kv_head, t, row);
    rotate(row, a.pages.head_dim, a.rope, position, to);
  } else {
    rotate(page_row<T>(a.pages, a.pages.k, kv_head, t), a.pages.head_dim, a.rope, position, to);
  }
}

// Scores [n] of one row become 2^(score − new largest), and the running largest and sum are brought up to date.
// Returns what earlier sums are to be multiplied with. n is a multiple of the lanes; −inf where masked.
HWY_INLINE float softmax_block(float* HWY_RESTRICT scores, int64_t n, float& largest, float& sum) {
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  FloatVec top = hn::Set(d, largest);
  for (int64_t i = 0; i < n; i += kStep) top = hn::Max(top, hn::Load(d, scores + i));
  const float new_largest = hn::GetLane(hn::MaxOfLanes(d, top));
  // Where nothing was seen yet, any finite base gives weights of 0.
  const FloatVec base =
      hn::Set(d, new_largest == -std::numeric_limits<float>::infinity() ? 0.0f : new_largest);
  FloatVec total = hn::Zero(d);
  for (int64_t i = 0; i < n; i += kStep) {
    const FloatVec p = power_of_two(hn::Sub(hn::Load(d, scores + i), base));
    total = hn::Add(total, p);
    hn::Store(p, d, scores + i);
  }
  const float factor = hn::GetLane(power_of_two(hn::Sub(hn::Set(d, largest), base)));
  sum = sum * factor + hn::GetLane(hn::SumOfLanes(d, total));
  largest = new_largest;
  return factor;
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
