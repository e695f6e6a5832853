// Unpacks blocks of quantised weights in vector registers. Included once per Highway target.
#if defined(REATTN_CPU_LINEAR_BLOCKS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_CPU_LINEAR_BLOCKS_INL
#undef REATTN_CPU_LINEAR_BLOCKS_INL
#else
#define REATTN_CPU_LINEAR_BLOCKS_INL
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/linear/block_types.hpp"

// Sums stay in registers only where what adds to them is inlined, however often it is called.
#undef REATTN_INLINE_LAMBDA
#define REATTN_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes: a 4-bit block then is a whole number of vectors of low and of high nibbles.
using BlockTag = hn::CappedTag<float, 16>;
using BlockInts = hn::Rebind<int32_t, BlockTag>;
using BlockVec = hn::Vec<BlockTag>;
using BlockIntVec = hn::Vec<BlockInts>;
constexpr size_t kLanes = hn::MaxLanes(BlockTag());
constexpr size_t kBlockVecs = kBlock / kLanes;

// 32 weights: scale · v + minimum, v in element order.
struct Unpacked {
  BlockVec v[kBlockVecs];
  float scale;
  float minimum;  // 0, where the type has none
};

// The half at p, and the one behind it.
struct Halves {
  float first, second;
};
template <bool kBoth>
HWY_INLINE Halves load_halves(const uint8_t* p) {
#if HWY_TARGET == HWY_SCALAR
  constexpr size_t kAtOnce = 1;
#else
  constexpr size_t kAtOnce = kBoth ? 2 : 1;
#endif
  const hn::CappedTag<float, kAtOnce> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  const auto load = [&](const uint8_t* at) REATTN_INLINE_LAMBDA {
    return hn::PromoteTo(d, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(at)));
  };
  const auto halves = load(p);
  if constexpr (!kBoth) {
    return {hn::GetLane(halves), 0};
  } else if constexpr (kAtOnce == 1) {
    return {hn::GetLane(halves), hn::GetLane(load(p + 2))};
  } else {
    return {hn::GetLane(halves), hn::ExtractLane(halves, 1)};
  }
}

HWY_INLINE BlockIntVec load_bytes(const uint8_t* p) {
  const hn::Rebind<uint8_t, BlockTag> d8;
  return hn::PromoteTo(BlockInts(), hn::LoadU(d8, p));
}

// q as floats, less what the type's integers have too much; IQ4_NL's are names of levels.
template <DType kType>
HWY_INLINE BlockVec to_floats(BlockIntVec q) {
  const BlockTag d;
  const BlockInts di;
  if constexpr (kType == DType::kIQ4_NL) {
    static constexpr std::array<float, 16> kFloats = level_floats();
    return hn::GatherIndex(d, kFloats.data(), q);
  } else if constexpr (integer_offset(kType) != 0 && kType != DType::kQ8_0) {
    q = hn::Add(q, hn::Set(di, integer_offset(kType)));
  }
  return hn::ConvertTo(d, q);
}

// A block of one of the types with 32 elements a block.
template <DType kType>
HWY_INLINE Unpacked unpack_block(const uint8_t* HWY_RESTRICT block) {
  const BlockTag d;
  const BlockInts di;
  Unpacked to;
  const Halves halves = load_halves<has_minimum(kType)>(block);
  to.scale = halves.first;
  to.minimum = halves.second;
  const uint8_t* q = block + scale_bytes(kType);
  if constexpr (kType == DType::kQ8_0) {
    const hn::Rebind<int8_t, BlockTag> d8;
    for (size_t i = 0; i < kBlockVecs; ++i) {
      const auto bytes = hn::LoadU(d8, reinterpret_cast<const int8_t*>(q) + i * kLanes);
      to.v[i] = hn::ConvertTo(d, hn::PromoteTo(di, bytes));
    }
  } else {
    BlockIntVec high = hn::Zero(di);  // bit i: element i's fifth
    if constexpr (has_fifth_bits(kType)) {
      int32_t bits;
      std::memcpy(&bits, q, sizeof bits);
      high = hn::Set(di, bits);
      q += sizeof bits;
    }
    const auto store = [&](size_t i, BlockIntVec nibbles) REATTN_INLINE_LAMBDA {
      if constexpr (has_fifth_bits(kType)) {
        const auto bit = hn::Shr(high, hn::Iota(di, static_cast<int32_t>(i * kLanes)));
        nibbles = hn::Or(nibbles, hn::ShiftLeft<4>(hn::And(bit, hn::Set(di, 1))));
      }
      to.v[i] = to_floats<kType>(nibbles);
    };
    for (size_t i = 0; i < kBlockVecs / 2; ++i) {
      const auto both = load_bytes(q + i * kLanes);
      store(i, hn::And(both, hn::Set(di, 15)));
      store(i + kBlockVecs / 2, hn::ShiftRight<4>(both));
    }
  }
  return to;
}

template <bool kHigh>
HWY_INLINE BlockIntVec load_nibbles(const uint8_t* p) {
  const auto both = load_bytes(p);
  if constexpr (kHigh) return hn::ShiftRight<4>(both);
  return hn::And(both, hn::Set(BlockInts(), 15));
}

// Q4_K and Q5_K.
template <DType kType>
struct SuperBlock {
  const uint8_t* block;
  Halves halves = load_halves<true>(block);
  GroupScales scales{block + 4};

  template <bool kHigh>  // g is odd
  HWY_INLINE Unpacked group(size_t g) const {
    const BlockInts di;
    const uint8_t* q = block + (kType == DType::kQ5_K ? 48 : 16) + g / 2 * 32;
    Unpacked to;
    to.scale = halves.first * static_cast<float>(scales.scale(g));
    to.minimum = -halves.second * static_cast<float>(scales.minimum(g));
    for (size_t i = 0; i < kBlockVecs; ++i) {
      auto v = load_nibbles<kHigh>(q + i * kLanes);
      if constexpr (kType == DType::kQ5_K) {
        const auto bytes = load_bytes(block + 16 + i * kLanes);
        const auto bit = hn::And(hn::ShiftRightSame(bytes, static_cast<int>(g)), hn::Set(di, 1));
        v = hn::Or(v, hn::ShiftLeft<4>(bit));
      }
      to.v[i] = to_floats<kType>(v);
    }
    return to;
  }

  template <class F>
  HWY_INLINE void for_each_group(F&& f) const {
    for (size_t g = 0; g < 8; g += 2) {
      f(g, group<false>(g));
      f(g + 1, group<true>(g + 1));
    }
  }
};

// Its v hold the scales of their 16, which is exact.
template <>
struct SuperBlock<DType::kQ6_K> {
  const uint8_t* block;
  float d = load_halves<false>(block + 208).first;

  template <bool kHigh>  // g / 2 is odd
  HWY_INLINE Unpacked group(size_t g) const {
    const BlockTag df;
    const BlockInts di;
    const uint8_t* q = block + g / 4 * 64 + g % 2 * 32;
    const uint8_t* upper = block + 128 + g / 4 * 32;
    Unpacked to;
    for (size_t i = 0; i < kBlockVecs; ++i) {
      const auto bytes = load_bytes(upper + i * kLanes);
      const auto two =
          hn::And(hn::ShiftRightSame(bytes, static_cast<int>(g % 4 * 2)), hn::Set(di, 3));
      const auto six = hn::Or(load_nibbles<kHigh>(q + i * kLanes), hn::ShiftLeft<4>(two));
      const auto scale = static_cast<int8_t>(block[192 + 2 * g + i * kLanes / 16]);
      to.v[i] = hn::Mul(to_floats<DType::kQ6_K>(six), hn::Set(df, static_cast<float>(scale)));
    }
    to.scale = d;
    to.minimum = 0;
    return to;
  }

  template <class F>
  HWY_INLINE void for_each_group(F&& f) const {
    for (size_t g = 0; g < 8; g += g % 2 == 0 ? 1 : 3) {
      f(g, group<false>(g));
      f(g + 2, group<true>(g + 2));
    }
  }
};

// f(b, unpacked) for each block b of 32 of a row.
template <DType kType, class F>
HWY_INLINE void for_each_block(const uint8_t* HWY_RESTRICT row, size_t n_blocks, F&& f) {
  constexpr auto kBytes = static_cast<size_t>(dtype_info(kType).block_bytes);
  if constexpr (is_super_block(kType)) {
    for (size_t b = 0; b < n_blocks; b += 8, row += kBytes) {
      const SuperBlock<kType> super{row};
      super.for_each_group([&](size_t g, const Unpacked& u) REATTN_INLINE_LAMBDA { f(b + g, u); });
    }
  } else {
    for (size_t b = 0; b < n_blocks; ++b, row += kBytes) f(b, unpack_block<kType>(row));
  }
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
