// Offers a tile of scores to the rows' lists of picks. Compiled once per vector target.
#if defined(REATTN_SELECT_OFFER_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef REATTN_SELECT_OFFER_INL_HPP
#undef REATTN_SELECT_OFFER_INL_HPP
#else
#define REATTN_SELECT_OFFER_INL_HPP
#endif

#include "kernels/cpu/select/picks.hpp"
#include "kernels/cpu/select/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {

// scores [n_rows, kTileCols], of which n_cols are keys; the first row is `row`, the first key stands at `position`.
HWY_INLINE void offer_tile(const float* scores, int64_t n_rows, RangePicks& picks, int64_t row,
                           int32_t position, int64_t n_cols) {
  const FloatTag d;
  for (int64_t r = 0; r < n_rows; ++r, scores += kTileCols) {
    uint64_t hits = 0;
    for (size_t side = 0; side < 2; ++side) {
      uint8_t bits[8] = {};
      const FloatVec bound = hn::Set(d, picks.threshold[row + r]);
      hn::StoreMaskBits(d, hn::Gt(hn::Load(d, scores + side * kLanes), bound), bits);
      hits |= static_cast<uint64_t>(bits[0] | bits[1] << 8) << (side * kLanes);
    }
    hits &= (uint64_t{1} << n_cols) - 1;
    for (; hits != 0; hits &= hits - 1) {
      const int c = __builtin_ctzll(hits);
      if (scores[c] > picks.threshold[row + r]) picks.offer(row + r, scores[c], position + c);
    }
  }
}

}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
