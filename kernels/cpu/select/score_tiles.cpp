// Scoring of many rows: tiles of scores that live in registers, compared with each row's current k-th best.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/select/score_tiles.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#include "hwy/foreach_target.h"
#include "kernels/cpu/select/offer-inl.hpp"
#include "kernels/cpu/select/score_kernels.hpp"
#include "kernels/cpu/select/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

constexpr auto kRows = static_cast<int64_t>(kTileRows);
constexpr auto kCols = static_cast<int64_t>(kTileCols);

// False where any score may be above its row's threshold. A NaN in `lo` hides behind `hi`, and is no
// pick; one in `hi` makes the comparison fail and is sorted out later.
HWY_INLINE bool all_below(const Tile& c, const float* HWY_RESTRICT threshold) {
  const FloatTag d;
  auto below = hn::Le(hn::Max(c.lo[0], c.hi[0]), hn::Set(d, threshold[0]));
  HWY_UNROLL(12)
  for (size_t r = 1; r < kTileRows; ++r) {
    below = hn::And(below, hn::Le(hn::Max(c.lo[r], c.hi[r]), hn::Set(d, threshold[r])));
  }
  return hn::AllTrue(d, below);
}

template <class T>
void score_pages(const ScoreRange& range) {
  const FloatTag d;
  const KvPages& pages = range.args->pages;
  const int64_t depth = pages.head_dim;
  const int64_t n_rows = (range.row_end - range.row_begin + kRows - 1) / kRows * kRows;
  int64_t n_tiles =
      1;  // packed together, so that each panel of rows comes from memory once for all of them
  while (n_tiles * 2 * kCols * depth <= kPanelFloats && n_tiles * 2 * kCols <= kBlock1)
    n_tiles *= 2;
  RangePicks picks = range.picks;

  int64_t end;
  for (int64_t key = range.key_begin; key < range.key_end; key = end) {
    end = HWY_MIN(HWY_MIN(key + n_tiles * kCols, range.block_end(key)), range.key_end);
    const int64_t n_keys = end - key;
    const int64_t n_used = (n_keys + kCols - 1) / kCols;
    for (int64_t tile = 0; tile < n_used; ++tile) {
      const T* rows[kTileCols];
      for (int64_t c = 0; c < kCols; ++c) {  // past the end the last key stands in
        const int64_t t = HWY_MIN(key + tile * kCols + c, range.key_end - 1);
        rows[c] = static_cast<const T*>(pages.k[t / kPageTokens]) +
                  (range.kv_head * kPageTokens + t % kPageTokens) * depth;
      }
      pack_columns(rows, static_cast<size_t>(depth), range.panel + tile * kCols * depth);
    }
    for (int64_t row = 0; row < n_rows; row += kRows) {
      for (int64_t tile = 0; tile < n_used; ++tile) {
        Tile c;
        clear(c);
        multiply_add(range.q + row * depth, 1, kTileRows, range.panel + tile * kCols * depth,
                     static_cast<size_t>(depth), c);
        if (HWY_LIKELY(all_below(c, picks.threshold + row))) continue;
        HWY_ALIGN float scores[kTileRows * kTileCols];
        HWY_UNROLL(12)
        for (size_t r = 0; r < kTileRows; ++r) {
          hn::Store(c.lo[r], d, scores + r * kTileCols);
          hn::Store(c.hi[r], d, scores + r * kTileCols + kLanes);
        }
        offer_tile(scores, kRows, picks, row, static_cast<int32_t>(key + tile * kCols),
                   HWY_MIN(kCols, n_keys - tile * kCols));
      }
    }
    if (picks.block1 && range.ends_block(end)) picks.close_block();
  }
}

void score_tiles(const ScoreRange& range) {
  if (range.args->pages.dtype == DType::kF16) {
    score_pages<hwy::float16_t>(range);
  } else {
    score_pages<float>(range);
  }
}

// [panels, head_dim, kTileRows]
void pack_queries(const ScoreArgs& a, int32_t kv_head, int64_t row_begin, int64_t row_end,
                  float* out) {
  const int64_t depth = a.pages.head_dim;
  const int64_t padded = (row_end - row_begin + kMaxTileRows - 1) / kMaxTileRows * kMaxTileRows;
  for (int64_t r = 0; r < padded; ++r) {
    float* to = out + r / kRows * kRows * depth + r % kRows;
    const float* from = row_begin + r < row_end ? query_row(a, kv_head, row_begin + r) : nullptr;
    for (int64_t i = 0; i < depth; ++i) to[i * kRows] = from == nullptr ? 0.0f : from[i];
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(score_tiles);
HWY_EXPORT(pack_queries);

void score_tiles(const ScoreRange& range) {
  HWY_DYNAMIC_DISPATCH(score_tiles)(range);
}

void pack_queries(const ScoreArgs& a, int32_t kv_head, int64_t row_begin, int64_t row_end,
                  float* out) {
  HWY_DYNAMIC_DISPATCH(pack_queries)(a, kv_head, row_begin, row_end, out);
}

}  // namespace reattn::kernels::cpu
#endif
