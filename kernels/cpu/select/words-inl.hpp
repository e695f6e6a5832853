// Products of int8 rows in words of 32 bits: four int8 where the machine multiplies them in one instruction (VNNI), two int16
// elsewhere. Compiled once per vector target.
#if defined(REATTN_SELECT_WORDS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_SELECT_WORDS_INL_HPP
#undef REATTN_SELECT_WORDS_INL_HPP
#else
#define REATTN_SELECT_WORDS_INL_HPP
#endif

#include <cmath>

#include "kernels/cpu/reference/int8.hpp"
#include "kernels/cpu/select/dot-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

using IntTag = hn::RebindToSigned<FloatTag>;
using IntVec = hn::Vec<IntTag>;

#if HWY_TARGET == HWY_AVX3_DL
constexpr int64_t kWordElements = 4;
#else
constexpr int64_t kWordElements = 2;
#endif

constexpr int64_t words_of(int64_t depth) {
  return (depth + kWordElements - 1) / kWordElements;
}

// Keys' numbers are held with kKeyBias added, since the instruction wants one side unsigned.
constexpr int32_t kKeyBias = kWordElements == 4 ? 128 : 0;

// sum + the products of `key` and *query in each word, exact.
HWY_INLINE IntVec multiply_words(IntVec key, const int32_t* query, IntVec sum) {
  const IntTag d;
#if HWY_TARGET == HWY_AVX3_DL
  // Highway 1.0.3 asks the processor for AVX-512 VNNI in this target, but does not switch its intrinsics on.
  asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(key.raw), "m"(*query));
  (void)d;
  return sum;
#elif HWY_TARGET == HWY_SCALAR
  const auto low = [](int32_t x) { return static_cast<int32_t>(static_cast<int16_t>(x)); };
  const int32_t k = hn::GetLane(key);
  return hn::Set(d, hn::GetLane(sum) + low(k) * low(*query) + low(k >> 16) * low(*query >> 16));
#else
  const hn::Repartition<int16_t, IntTag> d16;
  IntVec none = hn::Zero(d);
  return hn::Add(hn::ReorderWidenMulAccumulate(d, hn::BitCast(d16, key),
                                               hn::BitCast(d16, hn::Set(d, *query)), sum, none),
                 none);
#endif
}

// The numbers of a row as words; what fills the last word is 0. `bias` is added to each (keys: kKeyBias).
HWY_INLINE void to_words(const int8_t* HWY_RESTRICT row, int64_t depth, int32_t bias,
                         int32_t* HWY_RESTRICT words) {
  int64_t done = 0;
#if HWY_TARGET == HWY_AVX3_DL
  const hn::ScalableTag<int8_t> d8;
  const auto top = hn::Set(d8, static_cast<int8_t>(bias));
  for (; done + 64 <= depth; done += 64) {
    hn::StoreU(hn::Xor(hn::LoadU(d8, row + done), top), d8,
               reinterpret_cast<int8_t*>(words) + done);
  }
#elif HWY_TARGET != HWY_SCALAR
  const hn::Repartition<int16_t, IntTag> d16;
  const hn::Rebind<int8_t, decltype(d16)> d8;
  constexpr auto kStep = static_cast<int64_t>(2 * kLanes);
  for (; done + kStep <= depth; done += kStep) {
    hn::StoreU(hn::PromoteTo(d16, hn::LoadU(d8, row + done)), d16,
               reinterpret_cast<int16_t*>(words) + done);
  }
#endif
  constexpr int kBits = 32 / kWordElements;
  for (; done < depth; done += kWordElements) {
    uint32_t word = 0;
    for (int64_t i = 0; i < kWordElements && done + i < depth; ++i) {
      const auto number = static_cast<uint32_t>(row[done + i] + bias);
      word |= (number & ((1U << kBits) - 1)) << (i * kBits);
    }
    words[done / kWordElements] = static_cast<int32_t>(word);
  }
}

// The greatest magnitude of a row; NaN counts for nothing.
template <class T>
HWY_INLINE float greatest_magnitude(const T* HWY_RESTRICT from, int64_t n) {
  const FloatTag d;
  FloatVec most = hn::Zero(d);
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    const FloatVec x = load_floats(from + i);
    most = hn::Max(most, hn::Abs(hn::IfThenElseZero(hn::Eq(x, x), x)));
  }
  float found = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < n; ++i) found = std::fmax(found, std::fabs(to_float(from[i])));
  return found;
}

// Numbers to int8 as reference::to_int8 does it.
template <class T>
HWY_INLINE void to_int8_run(const T* HWY_RESTRICT from, int64_t n, float scale,
                            int8_t* HWY_RESTRICT to) {
  int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const FloatTag d;
  const IntTag di;
  const hn::Rebind<int8_t, IntTag> d8;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  for (; i + kStep <= n; i += kStep) {
    auto x = hn::Div(load_floats(from + i), hn::Set(d, scale));
    x = hn::IfThenElseZero(hn::Eq(x, x), x);
    x = hn::Min(hn::Max(x, hn::Set(d, -127.0f)), hn::Set(d, 127.0f));
    hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(x)), d8, to + i);
  }
#endif
  for (; i < n; ++i) to[i] = reference::to_int8(to_float(from[i]), scale);
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
