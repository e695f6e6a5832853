// Scoring in int8: tiles of exact integer sums, compared with what each row's k-th best score is as an integer.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/select/score_int8.cpp"
#define HWY_DISABLED_TARGETS HWY_SSSE3
#define HWY_WANT_AVX3_DL
#include <algorithm>
#include <limits>

#include "hwy/foreach_target.h"
#include "kernels/cpu/reference/half.hpp"
#include "kernels/cpu/select/offer-inl.hpp"
#include "kernels/cpu/select/score_kernels.hpp"
#include "kernels/cpu/select/words-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

constexpr auto kCols = static_cast<int64_t>(kTileCols);
constexpr int64_t kMostRows = HWY_TARGET <= HWY_AVX3 ? 12 : 4;
static_assert(kMostRows % kInt8Rows == 0 && kMaxTileRows % kInt8Rows == 0);
constexpr int32_t kAlways = std::numeric_limits<int32_t>::min();
constexpr int32_t kNever = std::numeric_limits<int32_t>::max();

template <int64_t kRows>
struct IntTile {
  IntVec lo[kRows], hi[kRows];
};

// Panels of kInt8Rows query rows are n_words · kInt8Rows words apart.
template <int64_t kRows>
HWY_INLINE void multiply_tile(const int32_t* HWY_RESTRICT q, const int32_t* HWY_RESTRICT sums,
                              const int32_t* HWY_RESTRICT keys, int64_t n_words,
                              IntTile<kRows>& c) {
  const IntTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  HWY_UNROLL(12)
  for (int64_t r = 0; r < kRows; ++r) c.lo[r] = c.hi[r] = hn::Set(d, sums[r]);
  const int64_t panel = n_words * kInt8Rows;
  for (int64_t w = 0; w < n_words; ++w) {
    const IntVec lo = hn::Load(d, keys), hi = hn::Load(d, keys + kStep);
    HWY_UNROLL(12)
    for (int64_t r = 0; r < kRows; ++r) {
      const int32_t* x = q + r / kInt8Rows * panel + r % kInt8Rows;
      c.lo[r] = multiply_words(lo, x, c.lo[r]);
      c.hi[r] = multiply_words(hi, x, c.hi[r]);
    }
    q += kInt8Rows;
    keys += kCols;
  }
}

// The keys of one scale block, packed, against all rows of the range.
struct Segment {
  const int32_t* keys;  // [tiles, n_words, kCols]
  int64_t n_words;
  int64_t position, n_keys;
  float scale;
};

// sums [n_rows, kCols]
HWY_NOINLINE void offer_sums(const int32_t* sums, int64_t n_rows, const Int8Queries& q, int64_t row,
                             const Segment& s, int64_t key, RangePicks& picks) {
  const FloatTag d;
  HWY_ALIGN float scores[kMostRows * kCols];
  for (int64_t r = 0; r < n_rows; ++r) {
    const auto scale = hn::Set(d, s.scale * q.scales[row + r]);
    for (int64_t c = 0; c < kCols; c += kCols / 2) {
      const int64_t at = r * kCols + c;
      hn::Store(hn::Mul(hn::ConvertTo(d, hn::Load(IntTag(), sums + at)), scale), d, scores + at);
    }
  }
  offer_tile(scores, n_rows, picks, row, static_cast<int32_t>(s.position + key),
             std::min(kCols, s.n_keys - key));
}

// bounds[r] = an integer such that no greater-or-equal one is missed: a sum below or equal to it gives a score that is no
// greater than row r's threshold.
void find_bounds(const RangePicks& picks, const Int8Queries& q, float key_scale, int64_t n_rows,
                 int32_t* HWY_RESTRICT bounds) {
  constexpr float kMost = 1 << 24;  // greater than any sum: 127 · 127 · 512 elements is not reached
  for (int64_t r = 0; r < n_rows; ++r) {
    const float threshold = picks.threshold[r], scale = key_scale * q.scales[r];
    const float ratio = threshold / scale;
    if (threshold == std::numeric_limits<float>::infinity()) {
      bounds[r] = kNever;
    } else if (!(scale > 0) || !(ratio > -kMost)) {
      bounds[r] = kAlways;
    } else {  // two roundings, of a number below 2^24: less than 4 off
      bounds[r] = static_cast<int32_t>(std::min(ratio, kMost)) - 4;
    }
  }
}

template <int64_t kRows>
HWY_INLINE void score_rows(const Segment& s, const Int8Queries& q, const int32_t* bounds,
                           int64_t row, RangePicks& picks) {
  const IntTag d;
  for (int64_t key = 0; key < s.n_keys; key += kCols) {
    IntTile<kRows> c;
    multiply_tile<kRows>(q.words + row * s.n_words, q.sums + row, s.keys + key * s.n_words,
                         s.n_words, c);
    auto above = hn::Gt(hn::Max(c.lo[0], c.hi[0]), hn::Set(d, bounds[row]));
    HWY_UNROLL(12)
    for (int64_t r = 1; r < kRows; ++r) {
      above = hn::Or(above, hn::Gt(hn::Max(c.lo[r], c.hi[r]), hn::Set(d, bounds[row + r])));
    }
    if (HWY_LIKELY(hn::AllFalse(d, above))) continue;
    HWY_ALIGN int32_t sums[kRows * kCols];
    HWY_UNROLL(12)
    for (int64_t r = 0; r < kRows; ++r) {
      hn::Store(c.lo[r], d, sums + r * kCols);
      hn::Store(c.hi[r], d, sums + r * kCols + kCols / 2);
    }
    offer_sums(sums, kRows, q, row, s, key, picks);
  }
}

void pack_keys(const ScoreRange& range, int64_t key, int64_t n_keys, int32_t* panel,
               int32_t* rows_memory) {
  const KvPages& pages = range.args->pages;
  const int64_t depth = pages.head_dim, n_words = words_of(depth);
  const int8_t* from = reference::int8_page(pages, key) +
                       reference::row_offset(pages, range.kv_head, key);  // of one page: contiguous
  const float* rows[kTileCols];
  for (int64_t tile = 0; tile < n_keys; tile += kCols) {
    for (int64_t c = 0; c < kCols; ++c) {
      const int64_t k = std::min(tile + c, n_keys - 1);  // past the end the last key stands in
      int32_t* words = rows_memory + c * n_words;
      to_words(from + k * depth, depth, kKeyBias, words);
      rows[c] = reinterpret_cast<const float*>(words);
    }
    // Moves words without looking at them.
    pack_columns(rows, static_cast<size_t>(n_words),
                 reinterpret_cast<float*>(panel + tile * n_words));
  }
}

void score_int8(const ScoreRange& range) {
  const KvPages& pages = range.args->pages;
  const int64_t n_words = words_of(pages.head_dim);
  const int64_t n_rows = (range.row_end - range.row_begin + kInt8Rows - 1) / kInt8Rows * kInt8Rows;
  RangePicks picks = range.picks;
  auto* panel = reinterpret_cast<int32_t*>(range.panel);
  int32_t* rows_memory = panel + kScaleBlock * n_words;
  for (int64_t key = range.key_begin; key < range.key_end;) {
    const int64_t end = std::min({(key / kScaleBlock + 1) * kScaleBlock, range.key_end,
                                  picks.block1 ? range.block_end(key) : range.key_end});
    const Segment s{panel, n_words, key, end - key,
                    reference::int8_scale_of(pages, range.kv_head, key)};
    pack_keys(range, key, s.n_keys, panel, rows_memory);
    find_bounds(picks, range.q8, s.scale, n_rows, range.bounds);
    int64_t row = 0;
    for (; row + kMostRows <= n_rows; row += kMostRows) {
      score_rows<kMostRows>(s, range.q8, range.bounds, row, picks);
    }
    for (; row < n_rows; row += kInt8Rows) {
      score_rows<kInt8Rows>(s, range.q8, range.bounds, row, picks);
    }
    if (picks.block1 && range.ends_block(end)) picks.close_block();
    key = end;
  }
}

void pack_queries_int8(const ScoreArgs& a, int32_t kv_head, int64_t row_begin, int64_t row_end,
                       Int8Queries to, int8_t* numbers) {
  const int64_t depth = a.pages.head_dim, n_words = words_of(depth);
  const int64_t padded = (row_end - row_begin + kInt8Rows - 1) / kInt8Rows * kInt8Rows;
  auto* row_words = reinterpret_cast<int32_t*>(numbers + (depth + 63) / 64 * 64);
  for (int64_t r = 0; r < padded; ++r) {
    int32_t* words = to.words + r / kInt8Rows * kInt8Rows * n_words + r % kInt8Rows;
    to.scales[r] = 0;
    to.sums[r] = 0;
    if (row_begin + r >= row_end) {
      for (int64_t w = 0; w < n_words; ++w) words[w * kInt8Rows] = 0;
      continue;
    }
    const float* from = query_row(a, kv_head, row_begin + r);
    to.scales[r] = reference::int8_scale(greatest_magnitude(from, depth));
    to_int8_run(from, depth, to.scales[r], numbers);
    for (int64_t i = 0; i < depth; ++i) to.sums[r] -= kKeyBias * numbers[i];
    to_words(numbers, depth, 0, row_words);
    for (int64_t w = 0; w < n_words; ++w) words[w * kInt8Rows] = row_words[w];
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(score_int8);
HWY_EXPORT(pack_queries_int8);

void score_int8(const ScoreRange& range) {
  HWY_DYNAMIC_DISPATCH(score_int8)(range);
}

void pack_queries_int8(const ScoreArgs& a, int32_t kv_head, int64_t row_begin, int64_t row_end,
                       Int8Queries to, int8_t* numbers) {
  HWY_DYNAMIC_DISPATCH(pack_queries_int8)(a, kv_head, row_begin, row_end, to, numbers);
}

}  // namespace reattn::kernels::cpu
#endif
