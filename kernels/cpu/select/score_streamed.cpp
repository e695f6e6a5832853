// Scoring of few rows (decode): keys are read once, as they lie in memory, for all rows of a KV head.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/select/score_streamed.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#include "hwy/foreach_target.h"
#include "kernels/cpu/select/dot-inl.hpp"
#include "kernels/cpu/select/score_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

// Offers the scores of keys position … position + n − 1 to one row.
HWY_INLINE void offer_run(const float* HWY_RESTRICT scores, int64_t n, RangePicks& picks,
                          int64_t row, int64_t position) {
  const FloatTag d;
  constexpr auto kStep = static_cast<int64_t>(kLanes);
  for (int64_t i = 0; i < n; i += kStep) {  // `scores` has room for whole vectors
    const FloatVec bound = hn::Set(d, picks.threshold[row]);
    if (HWY_LIKELY(hn::AllFalse(d, hn::Gt(hn::Load(d, scores + i), bound)))) continue;
    for (int64_t j = i; j < HWY_MIN(i + kStep, n); ++j) {
      if (scores[j] > picks.threshold[row]) {
        picks.offer(row, scores[j], static_cast<int32_t>(position + j));
      }
    }
  }
}

template <class T>
void score_pages(const ScoreRange& range) {
  const KvPages& pages = range.args->pages;
  const int64_t depth = pages.head_dim;
  const int64_t n_rows = range.row_end - range.row_begin;
  RangePicks picks = range.picks;
  HWY_ALIGN float scores[kMaxStreamRows][kBlock1] = {};
  int64_t block_end;
  for (int64_t key = range.key_begin; key < range.key_end; key = block_end) {
    block_end = HWY_MIN(range.block_end(key), range.key_end);
    for (int64_t t = key; t < block_end;) {  // what of the block lies in one page
      const int64_t in_page = t % kPageTokens;
      const int64_t n = HWY_MIN(block_end - t, kPageTokens - in_page);
      const T* keys = static_cast<const T*>(pages.k[t / kPageTokens]) +
                      (range.kv_head * kPageTokens + in_page) * depth;
      dot_rows(range.q, n_rows, keys, n, depth, &scores[0][t - key], kBlock1);
      t += n;
    }
    for (int64_t row = 0; row < n_rows; ++row) {
      offer_run(scores[row], block_end - key, picks, row, key);
    }
    if (picks.block1 && range.ends_block(block_end)) picks.close_block();
  }
}

void score_streamed(const ScoreRange& range) {
  if (range.args->pages.dtype == DType::kF16) {
    score_pages<hwy::float16_t>(range);
  } else {
    score_pages<float>(range);
  }
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(score_streamed);

void score_streamed(const ScoreRange& range) {
  HWY_DYNAMIC_DISPATCH(score_streamed)(range);
}

}  // namespace reattn::kernels::cpu
#endif
