// Unpacks blocks of quantised weights in vector registers. Included once per Highway target.
#if defined(REATTN_CPU_LINEAR_BLOCKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_CPU_LINEAR_BLOCKS_INL
#undef REATTN_CPU_LINEAR_BLOCKS_INL
#else
#define REATTN_CPU_LINEAR_BLOCKS_INL
#endif

#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "reattn/kernels/types.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: a 4-bit block then is a whole number of vectors of low and of high nibbles.
using BlockTag = hn::CappedTag<float, 16>;
using BlockVec = hn::Vec<BlockTag>;
constexpr size_t kLanes = hn::MaxLanes(BlockTag());
constexpr size_t kBlock = 32;
constexpr size_t kBlockVecs = kBlock / kLanes;

template <DType kType>
constexpr size_t kScaleBytes = kType == DType::kQ4_1 ? 4 : 2;

// v = the 32 integers of a block as floats, in element order; Q4_0's already have their 8
// subtracted.
template <DType kType>
HWY_INLINE void unpack_block(const uint8_t* HWY_RESTRICT block, BlockVec* HWY_RESTRICT v) {
  const BlockTag d;
  const hn::Rebind<int32_t, BlockTag> di;
  const uint8_t* q = block + kScaleBytes<kType>;
  if constexpr (kType == DType::kQ8_0) {
    const hn::Rebind<int8_t, BlockTag> d8;
    for (size_t i = 0; i < kBlockVecs; ++i) {
      const auto bytes = hn::LoadU(d8, reinterpret_cast<const int8_t*>(q) + i * kLanes);
      v[i] = hn::ConvertTo(d, hn::PromoteTo(di, bytes));
    }
  } else {
    const hn::Rebind<uint8_t, BlockTag> d8;
    for (size_t i = 0; i < kBlockVecs / 2; ++i) {
      const auto both = hn::PromoteTo(di, hn::LoadU(d8, q + i * kLanes));
      auto low = hn::And(both, hn::Set(di, 15));
      auto high = hn::ShiftRight<4>(both);
      if constexpr (kType == DType::kQ4_0) {
        low = hn::Sub(low, hn::Set(di, 8));
        high = hn::Sub(high, hn::Set(di, 8));
      }
      v[i] = hn::ConvertTo(d, low);
      v[i + kBlockVecs / 2] = hn::ConvertTo(d, high);
    }
  }
}

// Lane 0: the block's scale d; lane 1: its m (Q4_1) or what follows d.
using ScaleTag = hn::CappedTag<float, 2>;
HWY_INLINE hn::Vec<ScaleTag> load_scales(const uint8_t* block) {
  const hn::Rebind<hwy::float16_t, ScaleTag> dh;
  return hn::PromoteTo(ScaleTag(), hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(block)));
}

// Q4_1's m, of what load_scales gave.
HWY_INLINE float second_scale(const uint8_t* block, hn::Vec<ScaleTag> scales) {
#if HWY_TARGET == HWY_SCALAR
  (void)scales;
  return hn::GetLane(load_scales(block + 2));
#else
  (void)block;
  return hn::ExtractLane(scales, 1);
#endif
}

// kLanes plain weights as floats.
template <DType kType>
HWY_INLINE BlockVec load_plain(const uint8_t* w) {
  const BlockTag d;
  if constexpr (kType == DType::kF32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(w));
  } else if constexpr (kType == DType::kF16) {
    const hn::Rebind<hwy::float16_t, BlockTag> dh;
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(w)));
  } else {
    const hn::Rebind<uint16_t, BlockTag> dh;
    const hn::Rebind<uint32_t, BlockTag> du;
    const auto bits = hn::PromoteTo(du, hn::LoadU(dh, reinterpret_cast<const uint16_t*>(w)));
    return hn::BitCast(d, hn::ShiftLeft<16>(bits));
  }
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
