// Register tiles of a matrix product, and the packing of key rows for them. Compiled once per vector target.
#if defined(REATTN_SELECT_TILE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_SELECT_TILE_INL_HPP
#undef REATTN_SELECT_TILE_INL_HPP
#else
#define REATTN_SELECT_TILE_INL_HPP
#endif

#include <bit>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/cpu/reference/half.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVec = hn::Vec<FloatTag>;

constexpr size_t kLanes = HWY_LANES(float);
constexpr size_t kTileCols = 2 * kLanes;
// As many rows as leave registers for two columns vectors and a broadcast.
#if HWY_TARGET <= HWY_AVX3
constexpr size_t kTileRows = 12;
#else
constexpr size_t kTileRows = 6;
#endif

struct Tile {
  FloatVec lo[kTileRows], hi[kTileRows];
};

HWY_INLINE void clear(Tile& c) {
  HWY_UNROLL(12)
  for (size_t r = 0; r < kTileRows; ++r) c.lo[r] = c.hi[r] = hn::Zero(FloatTag());
}

// c += a · b. Element (r, i) of a is a[r · row_step + i · col_step]; b is packed [depth, kTileCols].
HWY_INLINE void multiply_add(const float* HWY_RESTRICT a, size_t row_step, size_t col_step,
                             const float* HWY_RESTRICT b, size_t depth, Tile& c) {
  const FloatTag d;
  for (size_t i = 0; i < depth; ++i) {
    const FloatVec b_lo = hn::Load(d, b), b_hi = hn::Load(d, b + kLanes);
    HWY_UNROLL(12)
    for (size_t r = 0; r < kTileRows; ++r) {
      const FloatVec x = hn::Set(d, a[r * row_step]);
      c.lo[r] = hn::MulAdd(x, b_lo, c.lo[r]);
      c.hi[r] = hn::MulAdd(x, b_hi, c.hi[r]);
    }
    a += col_step;
    b += kTileCols;
  }
}

// Highway's own conversion, where the machine has no instruction for it, knows neither infinity nor NaN.
template <class D>
HWY_INLINE hn::Vec<D> promote_half(D d, const hwy::float16_t* from) {
#if HWY_TARGET >= HWY_SSE4  // and older ones: SSE2 is clang's least
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> dh;
  const auto half = hn::PromoteTo(du, hn::LoadU(dh, reinterpret_cast<const uint16_t*>(from)));
  const auto magnitude = hn::And(half, hn::Set(du, 0x7fff));
  const auto special = hn::Gt(magnitude, hn::Set(du, 0x7bff));
  const auto number = hn::Mul(hn::BitCast(d, hn::ShiftLeft<13>(magnitude)), hn::Set(d, 0x1p112f));
  const auto sign = hn::ShiftLeft<16>(hn::AndNot(hn::Set(du, 0x7fff), half));
  const auto bits = hn::Or(hn::BitCast(du, number), sign);
  return hn::BitCast(d, hn::Or(bits, hn::IfThenElseZero(special, hn::Set(du, 0x7f800000))));
#else
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), from));
#endif
}

#if HWY_TARGET != HWY_SCALAR
using Quad = hn::CappedTag<float, 4>;

HWY_INLINE hn::Vec<Quad> load_quad(const float* from) {
  return hn::LoadU(Quad(), from);
}
HWY_INLINE hn::Vec<Quad> load_quad(const hwy::float16_t* from) {
  return promote_half(Quad(), from);
}

// Four elements of every fourth row from `rows` on, one row to each block of four lanes.
template <class T>
HWY_INLINE FloatVec load_every_fourth(const T* const* rows, size_t i) {
#if HWY_MAX_BYTES == 16
  return load_quad(rows[0] + i);
#elif HWY_MAX_BYTES == 32
  return hn::Combine(FloatTag(), load_quad(rows[4] + i), load_quad(rows[0] + i));
#else
  const hn::Half<FloatTag> half;
  return hn::Combine(FloatTag(), hn::Combine(half, load_quad(rows[12] + i), load_quad(rows[8] + i)),
                     hn::Combine(half, load_quad(rows[4] + i), load_quad(rows[0] + i)));
#endif
}
#endif

HWY_INLINE float to_float(float x) {
  return x;
}
HWY_INLINE float to_float(hwy::float16_t x) {
  return reference::half_to_float(std::bit_cast<uint16_t>(x));
}

// Packs kTileCols rows of `depth` elements as columns: out [depth, kTileCols].
template <class T>
HWY_INLINE void pack_columns(const T* const* rows, size_t depth, float* HWY_RESTRICT out) {
  size_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  const FloatTag d;
  const hn::RepartitionToWide<FloatTag> pairs;
  for (; done + 4 <= depth; done += 4) {
    for (size_t side = 0; side < 2; ++side) {
      const T* const* r = rows + side * kLanes;
      const FloatVec v0 = load_every_fourth(r, done), v1 = load_every_fourth(r + 1, done);
      const FloatVec v2 = load_every_fourth(r + 2, done), v3 = load_every_fourth(r + 3, done);
      const auto a = hn::BitCast(pairs, hn::InterleaveLower(d, v0, v1));
      const auto b = hn::BitCast(pairs, hn::InterleaveLower(d, v2, v3));
      const auto e = hn::BitCast(pairs, hn::InterleaveUpper(d, v0, v1));
      const auto f = hn::BitCast(pairs, hn::InterleaveUpper(d, v2, v3));
      float* to = out + done * kTileCols + side * kLanes;
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, a, b)), d, to);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, a, b)), d, to + kTileCols);
      hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, e, f)), d, to + 2 * kTileCols);
      hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, e, f)), d, to + 3 * kTileCols);
    }
  }
#endif
  for (; done < depth; ++done) {
    for (size_t c = 0; c < kTileCols; ++c) out[done * kTileCols + c] = to_float(rows[c][done]);
  }
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
