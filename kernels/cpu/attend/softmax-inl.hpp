// Rotation of rows and powers of two for the attention kernels. Compiled once per vector target.
#if defined(REATTN_ATTEND_SOFTMAX_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_ATTEND_SOFTMAX_INL_HPP
#undef REATTN_ATTEND_SOFTMAX_INL_HPP
#else
#define REATTN_ATTEND_SOFTMAX_INL_HPP
#endif

#include <limits>

#include "kernels/cpu/attend/attend_kernels.hpp"
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

// Rotates a row in place to a position, and multiplies it.
HWY_INLINE void rotate(float* HWY_RESTRICT x, int64_t depth, const RopeTable& rope,
                       int64_t position, float factor) {
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  const int64_t half = depth / 2;
  const float* cos = rope.cos + position * half;
  const float* sin = rope.sin + position * half;
  const bool interleaved = rope.layout == RopeLayout::kInterleaved;
  const FloatVec times = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + kStep <= half; i += kStep) {
    FloatVec even, odd;
    if (interleaved) {
      hn::LoadInterleaved2(d, x + 2 * i, even, odd);
    } else {
      even = hn::LoadU(d, x + i);
      odd = hn::LoadU(d, x + i + half);
    }
    const FloatVec c = hn::Mul(hn::LoadU(d, cos + i), times);
    const FloatVec s = hn::Mul(hn::LoadU(d, sin + i), times);
    const FloatVec new_even = hn::NegMulAdd(odd, s, hn::Mul(even, c));
    const FloatVec new_odd = hn::MulAdd(even, s, hn::Mul(odd, c));
    if (interleaved) {
      hn::StoreInterleaved2(new_even, new_odd, d, x + 2 * i);
    } else {
      hn::StoreU(new_even, d, x + i);
      hn::StoreU(new_odd, d, x + i + half);
    }
  }
  for (; i < half; ++i) {
    float& x0 = x[interleaved ? 2 * i : i];
    float& x1 = x[interleaved ? 2 * i + 1 : i + half];
    const float even = x0, odd = x1, c = cos[i] * factor, s = sin[i] * factor;
    x0 = even * c - odd * s;
    x1 = even * s + odd * c;
  }
}

template <class T>
HWY_INLINE const T* page_row(const KvPages& pages, void* const* table, int64_t kv_head, int64_t t) {
  return static_cast<const T*>(table[t / kPageTokens]) +
         (kv_head * kPageTokens + t % kPageTokens) * pages.head_dim;
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
