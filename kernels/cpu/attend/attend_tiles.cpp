// Attention of many query rows: register tiles for both products, a running softmax between them.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attend/attend_tiles.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#include <algorithm>

#include "hwy/foreach_target.h"
#include "kernels/cpu/attend/softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace reattn::kernels::cpu::HWY_NAMESPACE {
namespace {

constexpr auto kRows = static_cast<int64_t>(kTileRows);
constexpr auto kCols = static_cast<int64_t>(kTileCols);
constexpr float kLowest = -std::numeric_limits<float>::infinity();
static_assert(kWidestTile % kTileCols == 0 && kRowStep % kTileRows == 0);

template <class T>
void gather_pages(const AttendSet& set, int32_t kv_head, int64_t begin, int64_t end,
                  GatheredHead to, float* scratch) {
  const AttendArgs& a = *set.args;
  const int64_t depth = a.pages.head_dim, padded = padded_scope(set.scope);
  const int64_t padded_end = std::min(padded, (end + kKeyBlock - 1) / kKeyBlock * kKeyBlock);
  const float* rows[kTileCols];
  for (int64_t c = 0; c < kCols; ++c) rows[c] = scratch + c * depth;
  float* int8_row = scratch + kCols * depth;
  for (int64_t j = begin; j < padded_end; j += kCols) {
    for (int64_t c = 0; c < kCols; ++c) {
      float* row = scratch + c * depth;
      if (j + c < end) {
        rotated_key<T>(a, kv_head, set.position(j + c), j + c, int8_row, row);
      } else {
        std::fill_n(row, depth, 0.0f);
      }
    }
    pack_columns(rows, static_cast<size_t>(depth), to.k + j * depth);
  }
  for (int64_t j = begin; j < padded_end; ++j) {
    const auto put = [&](const auto* from) {
      for (int64_t i = 0; i < padded_dim(depth); i += kCols) {
        float* out = to.v + (i / kCols * padded + j) * kCols;
        const int64_t n = from == nullptr ? 0 : std::clamp(depth - i, int64_t{0}, kCols);
        to_floats(from + (n > 0 ? i : 0), n, out);
        std::fill(out + n, out + kCols, 0.0f);
      }
    };
    const int64_t t = j < end ? set.position(j) : -1;
    if (t >= 0 && t < a.int8_end) {
      int8_floats(a.pages, a.pages.v8, kv_head, t, int8_row);
      put(static_cast<const float*>(int8_row));
    } else {
      put(t < 0 ? nullptr : page_row<T>(a.pages, a.pages.v, kv_head, t));
    }
  }
}

void gather(const AttendSet& set, int32_t kv_head, int64_t begin, int64_t end, GatheredHead to,
            float* scratch) {
  if (set.args->pages.dtype == DType::kF16) {
    gather_pages<hwy::float16_t>(set, kv_head, begin, end, to, scratch);
  } else {
    gather_pages<float>(set, kv_head, begin, end, to, scratch);
  }
}

// One block of rows on its way through the keys.
class Block {
 public:
  explicit Block(const AttendRows& rows)
      : rows_(rows),
        args_(*rows.set->args),
        depth_(args_.pages.head_dim),
        group_(args_.n_heads / args_.pages.n_kv_heads),
        n_rows_((rows.row_end - rows.row_begin + kRows - 1) / kRows * kRows) {
    scores_ = rows.scratch;
    out_ = scores_ + n_rows_ * kKeyBlock;
    q_ = out_ + n_rows_ * padded_dim(depth_);
    largest_ = q_ + n_rows_ * depth_;
    sum_ = largest_ + n_rows_;
    factor_ = sum_ + n_rows_;
    row_ = factor_ + n_rows_;
    pack_queries();
    std::fill_n(largest_, n_rows_, kLowest);
    std::fill_n(sum_, n_rows_, 0.0f);
    std::fill_n(out_, n_rows_ * padded_dim(depth_), 0.0f);
  }

  void run() {
    const int64_t last = seen(n_rows_ - 1);
    for (int64_t key = 0; key < last; key += kKeyBlock) {
      if (rows_.cancel != nullptr && rows_.cancel->load(std::memory_order_relaxed)) return;
      const int64_t n_keys = std::min(kKeyBlock, last - key);
      const int64_t n_padded = (n_keys + kCols - 1) / kCols * kCols;
      multiply_keys(key, n_padded);
      for (int64_t r = 0; r < n_rows_; ++r) {
        const int64_t n_seen = std::clamp(seen(r) - key, int64_t{0}, n_padded);
        float* scores = scores_ + r * kKeyBlock;
        factor_[r] = 1.0f;
        if (n_seen == 0) {
          std::fill_n(scores, n_padded, 0.0f);
          continue;
        }
        std::fill(scores + n_seen, scores + n_padded, kLowest);
        factor_[r] = softmax_block(scores, n_padded, largest_[r], sum_[r]);
      }
      add_values(key, n_keys);
    }
    write();
  }

 private:
  // How many of the set's keys a row sees; rows beyond the last one are padding.
  int64_t seen(int64_t r) const {
    const int64_t row = std::min(rows_.row_begin + r, rows_.row_end - 1);
    return rows_.set->scope - args_.n_queries + row / group_ + 1;
  }

  int64_t element(int64_t r) const {  // of q and out, where row r begins
    const int64_t row = rows_.row_begin + r;
    return (row / group_ * args_.n_heads + rows_.kv_head * group_ + row % group_) * depth_;
  }

  // [panels, head_dim, kRows], rotated, scaled so that scores are exponents of 2.
  void pack_queries() {
    const float factor = args_.scale * kLog2E;
    for (int64_t r = 0; r < n_rows_; ++r) {
      float* to = q_ + r / kRows * kRows * depth_ + r % kRows;
      if (rows_.row_begin + r < rows_.row_end) {
        rotate(args_.q + element(r), depth_, args_.rope, seen(r) - 1, row_);
      } else {
        std::fill_n(row_, depth_, 0.0f);
      }
      for (int64_t i = 0; i < depth_; ++i) to[i * kRows] = row_[i] * factor;
    }
  }

  // scores [n_rows, kKeyBlock] = q · kᵀ
  void multiply_keys(int64_t key, int64_t n) {
    const FloatTag d;
    for (int64_t col = 0; col < n; col += kCols) {
      const float* k = rows_.from.k + (key + col) * depth_;
      for (int64_t r = 0; r < n_rows_; r += kRows) {
        Tile c;
        clear(c);
        multiply_add(q_ + r * depth_, 1, kTileRows, k, static_cast<size_t>(depth_), c);
        float* to = scores_ + r * kKeyBlock + col;
        HWY_UNROLL(12)
        for (int64_t i = 0; i < kRows; ++i) {
          hn::Store(c.lo[i], d, to + i * kKeyBlock);
          hn::Store(c.hi[i], d, to + i * kKeyBlock + kCols / 2);
        }
      }
    }
  }

  // out [padded_dim / kCols, n_rows, kCols] = out · factor + weights · v
  void add_values(int64_t key, int64_t n) {
    const FloatTag d;
    const int64_t padded = padded_scope(rows_.set->scope);
    for (int64_t i = 0; i * kCols < depth_; ++i) {
      const float* v = rows_.from.v + (i * padded + key) * kCols;
      for (int64_t r = 0; r < n_rows_; r += kRows) {
        float* to = out_ + (i * n_rows_ + r) * kCols;
        Tile c;
        HWY_UNROLL(12)
        for (int64_t x = 0; x < kRows; ++x) {
          const FloatVec factor = hn::Set(d, factor_[r + x]);
          c.lo[x] = hn::Mul(hn::Load(d, to + x * kCols), factor);
          c.hi[x] = hn::Mul(hn::Load(d, to + x * kCols + kCols / 2), factor);
        }
        multiply_add(scores_ + r * kKeyBlock, kKeyBlock, 1, v, static_cast<size_t>(n), c);
        HWY_UNROLL(12)
        for (int64_t x = 0; x < kRows; ++x) {
          hn::Store(c.lo[x], d, to + x * kCols);
          hn::Store(c.hi[x], d, to + x * kCols + kCols / 2);
        }
      }
    }
  }

  void write() const {
    for (int64_t r = 0; r < rows_.row_end - rows_.row_begin; ++r) {
      float* to = args_.out + element(r);
      for (int64_t i = 0; i < depth_; ++i) {
        to[i] = out_[(i / kCols * n_rows_ + r) * kCols + i % kCols] / sum_[r];
      }
    }
  }

  const AttendRows& rows_;
  const AttendArgs& args_;
  const int64_t depth_, group_, n_rows_;
  float *scores_, *out_, *q_, *largest_, *sum_, *factor_, *row_;
};

void attend_tiles(const AttendRows& rows) {
  Block(rows).run();
}

}  // namespace
}  // namespace reattn::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace reattn::kernels::cpu {

HWY_EXPORT(gather);
HWY_EXPORT(attend_tiles);

void gather(const AttendSet& set, int32_t kv_head, int64_t begin, int64_t end, GatheredHead to,
            float* scratch) {
  HWY_DYNAMIC_DISPATCH(gather)(set, kv_head, begin, end, to, scratch);
}

void attend_tiles(const AttendRows& rows) {
  HWY_DYNAMIC_DISPATCH(attend_tiles)(rows);
}

}  // namespace reattn::kernels::cpu
#endif
