// Blocks of four weight rows at once as unsigned bytes, and their products with rounded input, by AVX-512 VNNI. Included once per
// Highway target; of use in one.
#if defined(REATTN_CPU_LINEAR_FOUR_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_CPU_LINEAR_FOUR_ROWS_INL
#undef REATTN_CPU_LINEAR_FOUR_ROWS_INL
#else
#define REATTN_CPU_LINEAR_FOUR_ROWS_INL
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/cpu/linear/blocks-inl.hpp"
#include "kernels/cpu/linear/rounded.hpp"

#if HWY_TARGET == HWY_AVX3_DL
HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

// A block of 32 of each of four rows. Lanes 4r … 4r + 3 are row r's; w = scale · (q + offset) + minimum.
struct FourBlocks {
  __m512i first, second;  // the block's elements 0 … 15 and 16 … 31, unsigned
  __m512 scale;
  __m512 second_scale;  // of Q6_K's elements 16 … 31
  __m512 minimum;       // of the types that have one
};

// 16 bytes of each of four rows.
HWY_INLINE __m512i load_four(const uint8_t* const* rows, size_t at) {
  const auto load = [&](size_t r) REATTN_INLINE_LAMBDA {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + at));
  };
  const __m512i two = _mm512_inserti32x4(_mm512_castsi128_si512(load(0)), load(1), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(two, load(2), 2), load(3), 3);
}

// A T of each row, widened.
template <class T>
HWY_INLINE __m128i load_words(const uint8_t* const* rows, size_t at) {
  // No array: reading as one what was just stored in four pieces would stall.
  const auto load = [&](size_t r) REATTN_INLINE_LAMBDA {
    T word;
    std::memcpy(&word, rows[r] + at, sizeof word);
    return static_cast<int32_t>(word);
  };
  return _mm_setr_epi32(load(0), load(1), load(2), load(3));
}

// Lane kWhich of each row's pair of halves, to the row's four lanes.
template <int kWhich>
HWY_INLINE __m512 spread(__m256 halves) {
  constexpr int k = kWhich;
  const __m512i lanes = _mm512_setr_epi32(k, k, k, k, k + 2, k + 2, k + 2, k + 2, k + 4, k + 4,
                                          k + 4, k + 4, k + 6, k + 6, k + 6, k + 6);
  return _mm512_permutexvar_ps(lanes, _mm512_castps256_ps512(halves));
}

HWY_INLINE __m512i low_nibbles(__m512i both) {
  return _mm512_and_si512(both, _mm512_set1_epi8(15));
}
HWY_INLINE __m512i high_nibbles(__m512i both) {
  return _mm512_and_si512(_mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
}

// IQ4_NL's levels, 128 added.
HWY_INLINE __m512i levels(__m512i names) {
  const __m128i table =
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(reference::kLevels.data()));
  const __m512i wide = _mm512_xor_si512(_mm512_broadcast_i32x4(table), _mm512_set1_epi8(-128));
  return _mm512_shuffle_epi8(wide, names);
}

template <DType kType>
HWY_INLINE FourBlocks load_blocks(const uint8_t* const* rows, size_t at) {
  FourBlocks to;
  const size_t q = at + scale_bytes(kType);
  if constexpr (kType == DType::kQ8_0) {
    const __m512i top = _mm512_set1_epi8(-128);
    to.first = _mm512_xor_si512(load_four(rows, q), top);
    to.second = _mm512_xor_si512(load_four(rows, q + 16), top);
  } else {
    const __m512i both = load_four(rows, q + (has_fifth_bits(kType) ? 4 : 0));
    to.first = low_nibbles(both);
    to.second = high_nibbles(both);
  }
  if constexpr (kType == DType::kIQ4_NL) {
    to.first = levels(to.first);
    to.second = levels(to.second);
  }
  if constexpr (has_fifth_bits(kType)) {
    const __m128i halves =
        _mm_shuffle_epi8(load_words<int32_t>(rows, q),
                         _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    const auto first = static_cast<__mmask64>(_mm_cvtsi128_si64(halves));
    const auto second = static_cast<__mmask64>(_mm_extract_epi64(halves, 1));
    const __m512i sixteen = _mm512_set1_epi8(16);
    to.first = _mm512_mask_add_epi8(to.first, first, to.first, sixteen);
    to.second = _mm512_mask_add_epi8(to.second, second, to.second, sixteen);
  }
  if constexpr (has_minimum(kType)) {
    const __m256 halves = _mm256_cvtph_ps(load_words<int32_t>(rows, at));
    to.scale = spread<0>(halves);
    to.minimum = spread<1>(halves);
  } else {
    to.scale = spread<0>(_mm256_cvtph_ps(load_words<uint16_t>(rows, at)));
  }
  return to;
}

// Byte `at` of each row's 16 as four floats.
HWY_INLINE __m512 spread_unsigned(__m512i bytes, size_t at) {
  const auto lane = static_cast<int32_t>(0x80808000U | at);
  return _mm512_cvtepi32_ps(_mm512_shuffle_epi8(bytes, _mm512_set1_epi32(lane)));
}
HWY_INLINE __m512 spread_signed(__m512i bytes, size_t at) {
  const auto lane = static_cast<int32_t>(at << 24 | 0x808080U);
  const __m512i upper = _mm512_shuffle_epi8(bytes, _mm512_set1_epi32(lane));
  return _mm512_cvtepi32_ps(_mm512_srai_epi32(upper, 24));
}

// Of a row's first 16 bytes of a Q4_K or Q5_K: its eight groups' scales, then their minima, as bytes (GroupScales tells the packing).
HWY_INLINE __m512i unpack_scales(__m512i header) {
  const auto words = [&]<int k0, int k1, int k2, int k3>() REATTN_INLINE_LAMBDA {
    constexpr int kOrder = k3 << 6 | k2 << 4 | k1 << 2 | k0;
    return _mm512_shuffle_epi32(header, static_cast<_MM_PERM_ENUM>(kOrder));
  };
  const __m512i low = words.template operator()<1, 3, 2, 3>();
  const __m512i high = words.template operator()<1, 1, 2, 2>();
  const __m512i low_bits =
      _mm512_and_si512(_mm512_srlv_epi32(low, _mm512_set4_epi32(4, 0, 0, 0)),
                       _mm512_set4_epi32(0x0f0f0f0f, 0x3f3f3f3f, 0x0f0f0f0f, 0x3f3f3f3f));
  const __m512i high_bits =
      _mm512_and_si512(_mm512_srli_epi32(high, 2), _mm512_set4_epi32(0x30303030, 0, 0x30303030, 0));
  return _mm512_or_si512(low_bits, high_bits);
}

// f(group, blocks) for the eight groups of a super-block of each row.
template <DType kType, class F>
HWY_INLINE void for_each_group(const uint8_t* const* rows, size_t at, F&& f) {
  FourBlocks to;
  if constexpr (kType == DType::kQ6_K) {
    const __m512i scales = load_four(rows, at + 192);
    const __m512 d = spread<0>(_mm256_cvtph_ps(load_words<uint16_t>(rows, at + 208)));
    const __m512i two_bits = _mm512_set1_epi8(48);
    for (size_t half = 0; half < 2; ++half) {
      const size_t q = at + half * 64;
      __m512i both[2][2], upper[2];  // bits 4 and 5 of the next run are those of upper's bytes
      for (size_t i = 0; i < 2; ++i) {
        both[0][i] = load_four(rows, q + i * 16);
        both[1][i] = load_four(rows, q + 32 + i * 16);
        upper[i] = load_four(rows, at + 128 + half * 32 + i * 16);
      }
      const auto join = [&](__m512i nibbles, __m512i bits) REATTN_INLINE_LAMBDA {
        return _mm512_or_si512(nibbles, _mm512_and_si512(bits, two_bits));
      };
      const auto give = [&](size_t run, __m512i first, __m512i second) REATTN_INLINE_LAMBDA {
        const size_t g = half * 4 + run;
        to.first = first;
        to.second = second;
        to.scale = _mm512_mul_ps(d, spread_signed(scales, 2 * g));
        to.second_scale = _mm512_mul_ps(d, spread_signed(scales, 2 * g + 1));
        f(g, to);
      };
      give(0, join(low_nibbles(both[0][0]), _mm512_slli_epi16(upper[0], 4)),
           join(low_nibbles(both[0][1]), _mm512_slli_epi16(upper[1], 4)));
      give(1, join(low_nibbles(both[1][0]), _mm512_slli_epi16(upper[0], 2)),
           join(low_nibbles(both[1][1]), _mm512_slli_epi16(upper[1], 2)));
      give(2, join(high_nibbles(both[0][0]), upper[0]), join(high_nibbles(both[0][1]), upper[1]));
      give(3, join(high_nibbles(both[1][0]), _mm512_srli_epi16(upper[0], 2)),
           join(high_nibbles(both[1][1]), _mm512_srli_epi16(upper[1], 2)));
    }
  } else {
    const __m512i scales = unpack_scales(load_four(rows, at));
    const __m256 halves = _mm256_cvtph_ps(load_words<int32_t>(rows, at));
    const __m512 d = spread<0>(halves);
    const __m512 m = _mm512_sub_ps(_mm512_setzero_ps(), spread<1>(halves));
    for (size_t g = 0; g < 8; g += 2) {
      const size_t q = at + (kType == DType::kQ5_K ? 48 : 16) + g * 16;
      const __m512i both[2] = {load_four(rows, q), load_four(rows, q + 16)};
      const auto give = [&](size_t group, __m512i first, __m512i second) REATTN_INLINE_LAMBDA {
        if constexpr (kType == DType::kQ5_K) {
          const __m512i bit = _mm512_set1_epi8(static_cast<char>(1 << group));
          const __m512i sixteen = _mm512_set1_epi8(16);
          const auto add = [&](__m512i v, size_t upper) REATTN_INLINE_LAMBDA {
            const __mmask64 set = _mm512_test_epi8_mask(load_four(rows, at + upper), bit);
            return _mm512_mask_add_epi8(v, set, v, sixteen);
          };
          first = add(first, 16);
          second = add(second, 32);
        }
        to.first = first;
        to.second = second;
        to.scale = _mm512_mul_ps(d, spread_unsigned(scales, group));
        to.minimum = _mm512_mul_ps(m, spread_unsigned(scales, 8 + group));
        f(group, to);
      };
      give(g, low_nibbles(both[0]), low_nibbles(both[1]));
      give(g + 1, high_nibbles(both[0]), high_nibbles(both[1]));
    }
  }
}

constexpr size_t kAhead = 6144;  // bytes

// f(b, blocks) for each block b of 32 of four rows.
template <DType kType, class F>
HWY_INLINE void for_each_four(const uint8_t* const* rows, size_t n_blocks, F&& f) {
  constexpr auto kBytes = static_cast<size_t>(dtype_info(kType).block_bytes);
  constexpr size_t kGroups = is_super_block(kType) ? 8 : 1;
  for (size_t b = 0, at = 0; b < n_blocks; b += kGroups, at += kBytes) {
    // Rows lie one behind the other: every block asks for its share of those some kilobytes on.
    for (size_t line = 0; line < 4 * kBytes; line += 64) {
      __builtin_prefetch(rows[0] + kAhead + 4 * at + line);
    }
    if constexpr (kGroups == 1) {
      f(b, load_blocks<kType>(rows, at));
    } else {
      for_each_group<kType>(
          rows, at, [&](size_t g, const FourBlocks& w) REATTN_INLINE_LAMBDA { f(b + g, w); });
    }
  }
}

// Sums of products of weights with the three bytes of an input number.
struct ByteSums {
  __m512i high, middle, low;
};

// sum + u8 · s8 in each 32 bits. Highway 1.0.3 asks the processor for AVX-512 VNNI in this target, but does not switch its
// intrinsics on.
HWY_INLINE __m512i dot_bytes(__m512i sum, __m512i weights, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x));
  return sum;
}

HWY_INLINE __m512i four_times(const void* sixteen) {
  return _mm512_broadcast_i32x4(_mm_load_si128(static_cast<const __m128i*>(sixteen)));
}

template <bool kOffset>
HWY_INLINE ByteSums products(const FourBlocks& w, const RoundedBlock& x) {
  const auto part = [&](size_t p) REATTN_INLINE_LAMBDA {
    const std::byte* bytes = x.numbers + p * kBlock;
    const __m512i start = kOffset ? four_times(x.offsets[p]) : _mm512_setzero_si512();
    return dot_bytes(dot_bytes(start, w.first, four_times(bytes)), w.second,
                     four_times(bytes + 16));
  };
  return {part(0), part(1), part(2)};
}

// Of one half of a block with an offset.
HWY_INLINE ByteSums half_products(__m512i weights, const RoundedBlock& x, size_t half) {
  const auto mine = static_cast<__mmask16>(0x1111 << half);
  const auto part = [&](size_t p) REATTN_INLINE_LAMBDA {
    const __m512i start = _mm512_maskz_mov_epi32(mine, four_times(x.offsets[p]));
    return dot_bytes(start, weights, four_times(x.numbers + p * kBlock + half * 16));
  };
  return {part(0), part(1), part(2)};
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
#endif
