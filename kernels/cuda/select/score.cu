// Scoring: checks, cutting the work into items, the choice of the kernel.
#include <algorithm>
#include <vector>

#include "kernels/cpu/reference/check.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/score.hpp"
#include "kernels/cuda/select/score_decode.hpp"

namespace reattn::kernels::cuda {
namespace {

// What an item costs beyond its tiles, in tiles: its start, and the first tiles, which are full of picks.
constexpr int64_t kItemCost = 20;
constexpr int32_t kMaxInt8Dim = 1024;  // products of int8 rows are exact in f32: 1024 · 127² < 2^24

enum class Kind { kGeneral, kSm90, kSm90Int8 };

struct Batch {
  ScoreBatch work{};
  Kind kind = Kind::kGeneral;
  int32_t rows_per_tile = 0;
  ScoreArgs like{};  // its last
};
struct Place {
  size_t batch;
  int32_t index;
};

bool alike(const ScoreArgs& a, const ScoreArgs& b) {
  return a.pages.dtype == b.pages.dtype && a.pages.head_dim == b.pages.head_dim &&
         a.pages.n_kv_heads == b.pages.n_kv_heads && a.n_heads == b.n_heads && a.top_k == b.top_k &&
         a.block1 == b.block1;
}

ScoreSequence sequence_of(const ScoreArgs& a, int32_t rows_per_tile) {
  ScoreSequence s{};
  s.q = a.q;
  s.pages = a.pages.k;
  s.picks = a.picks;
  s.n_queries = a.n_queries;
  s.n_heads = a.n_heads;
  s.n_kv_heads = a.pages.n_kv_heads;
  s.head_dim = a.pages.head_dim;
  s.group = a.n_heads / a.pages.n_kv_heads;
  s.top_k = a.top_k;
  s.vote_stride = a.vote_stride;
  s.begin = static_cast<int32_t>(a.middle_begin);
  s.end = static_cast<int32_t>(a.middle_end);
  if (scores_int8(a)) {
    s.pages8 = a.pages.k8;
    s.int8_end = static_cast<int32_t>(std::min(a.int8_end, a.middle_end));
    if (s.head_dim > kMaxInt8Dim) {
      fail(ErrorCode::kUnsupported, "score: head_dim is ", s.head_dim, ", in int8 at most ", kMaxInt8Dim);
    }
  }
  s.origin = a.block1 ? s.begin : s.begin / kScoreTile * kScoreTile;
  s.n_tiles = (s.end - s.origin - 1) / kScoreTile + 1;
  const int64_t n_rows = n_voters(a.n_queries, a.vote_stride) * s.group;
  if (n_rows > INT32_MAX / kMaxTopK / a.n_heads) {
    fail(ErrorCode::kUnsupported, "score: ", a.n_queries, " queries at once are too many");
  }
  s.n_rows = static_cast<int32_t>(n_rows);
  s.n_row_tiles = (s.n_rows - 1) / rows_per_tile + 1;
  return s;
}

// Cuts all sequences into splits of about the same length, as many as fill the device best: items run in waves of n_slots.
void cut(ScoreBatch& b, int64_t n_slots) {
  int64_t most_tiles = 0;
  for (int32_t i = 0; i < b.n; ++i) {
    most_tiles = std::max<int64_t>(most_tiles, b.sequences[i].n_tiles);
  }
  const auto n_splits = [](const ScoreSequence& s, int64_t length) {
    return (s.n_tiles + length - 1) / length;
  };
  int64_t best_length = most_tiles, best_cost = INT64_MAX;
  for (int64_t k = 1; k <= std::min(int64_t{kMostScoreSplits}, most_tiles); ++k) {
    const int64_t length = (most_tiles + k - 1) / k;
    int64_t n_items = 0;
    for (int32_t i = 0; i < b.n; ++i) {
      const ScoreSequence& s = b.sequences[i];
      n_items += n_splits(s, length) * s.n_row_tiles * s.n_kv_heads;
    }
    const int64_t cost = (n_items + n_slots - 1) / n_slots * (length + kItemCost);
    if (cost < best_cost) {
      best_cost = cost;
      best_length = length;
    }
  }
  for (int32_t i = 0; i < b.n; ++i) {
    b.sequences[i].n_splits = static_cast<int32_t>(n_splits(b.sequences[i], best_length));
  }
  b.items_per_head = 0;
  for (int32_t split = 0; split <= kMostScoreSplits; ++split) {
    b.first_of_split[split] = b.items_per_head;
    for (int32_t i = 0; i < b.n; ++i) {
      if (split < b.sequences[i].n_splits) b.items_per_head += b.sequences[i].n_row_tiles;
    }
  }
}

size_t rows(const ScoreSequence& s) {  // of all KV heads
  return static_cast<size_t>(s.n_kv_heads) * static_cast<size_t>(s.n_rows);
}
size_t partial_elements(const ScoreSequence& s) {
  return rows(s) * static_cast<size_t>(s.n_lists) * static_cast<size_t>(s.top_k);
}

Kind fastest(const Context& ctx, const ScoreArgs& a) {
  if (!scores_int8(a)) return fits_score_sm90(ctx, a) ? Kind::kSm90 : Kind::kGeneral;
  return a.middle_end <= a.int8_end && fits_score_sm90_int8(ctx, a) ? Kind::kSm90Int8 : Kind::kGeneral;
}

// Where a sequence is cut in two, so that what lies before is all in int8: 0 where it is not. Blocks of block1 stay whole.
int64_t int8_cut(const ScoreArgs& a) {
  if (!scores_int8(a) || a.int8_end >= a.middle_end) return 0;
  return a.block1 ? a.int8_end - (a.int8_end - a.middle_begin) % kBlock1 : a.int8_end;
}

// The work of a list, in batches, each one launch.
class Plan {
 public:
  Plan(Context& ctx, std::span<const ScoreArgs> list, ScoreKernel kernel) : ctx_(ctx) {
    for (const ScoreArgs& a : list) {
      if (a.n_queries == 0) continue;
      if (kernel == ScoreKernel::kGeneral) {
        place(firsts_, a, Kind::kGeneral);
        continue;
      }
      ScoreArgs first = a, rest = a;
      first.middle_end = rest.middle_begin = int8_cut(a);
      if (first.middle_end > a.middle_begin && fastest(ctx, first) == Kind::kSm90Int8) {
        first_of_rest_.push_back(place(firsts_, first, Kind::kSm90Int8));
        place(rests_, rest, fastest(ctx, rest));
      } else {
        place(firsts_, a, fastest(ctx, a));
      }
    }
    for (std::vector<Batch>* batches : {&firsts_, &rests_}) {
      for (Batch& b : *batches) {
        cut(b.work, static_cast<int64_t>(ctx.n_sms) * (b.kind == Kind::kGeneral ? 8 : 1));
      }
    }
    each(firsts_, [](ScoreSequence& s) { s.n_lists = s.n_splits; });
    each_rest([](ScoreSequence& first, ScoreSequence& rest) {
      rest.first_list = first.n_splits;
      first.n_lists = rest.n_lists = first.n_splits + rest.n_splits;
    });
  }

  void run() {
    size_t bytes = 0, n_thresholds = 0;
    each(firsts_, [&](const ScoreSequence& s) {
      if (s.n_lists == 1) return;
      bytes += Scratch::padded(partial_elements(s) * sizeof(uint64_t));
      n_thresholds += 4 * rows(s);
    });
    ctx_.scratch.begin(bytes + Scratch::padded(n_thresholds * sizeof(uint32_t)));
    auto* thresholds = ctx_.scratch.take<uint32_t>(n_thresholds);
    if (n_thresholds > 0) {
      check(cudaMemsetAsync(thresholds, 0, n_thresholds * sizeof(uint32_t), ctx_.stream),
            "cudaMemsetAsync");
    }
    each(firsts_, [&](ScoreSequence& s) {
      if (s.n_lists == 1) return;
      s.partial = ctx_.scratch.take<uint64_t>(partial_elements(s));
      s.thresholds = thresholds;
      thresholds += 4 * rows(s);
    });
    each_rest([](const ScoreSequence& first, ScoreSequence& rest) {
      rest.partial = first.partial;
      rest.thresholds = first.thresholds;
    });
    for (const Batch& b : firsts_) launch(b);
    for (const Batch& b : rests_) launch(b);
    for (const Batch& b : firsts_) launch_score_merge(ctx_, b.work);
  }

 private:
  Place place(std::vector<Batch>& batches, const ScoreArgs& a, Kind kind) {
    if (batches.empty() || !alike(batches.back().like, a) || batches.back().kind != kind ||
        batches.back().work.n == ScoreBatch::kMax) {
      Batch& b = batches.emplace_back();
      b.kind = kind;
      b.rows_per_tile = kind == Kind::kGeneral ? kGeneralRows
                        : kind == Kind::kSm90  ? score_sm90_rows(a)
                                               : score_sm90_int8_rows(a);
      b.work.dtype = a.pages.dtype;
      b.work.block1 = a.block1;
    }
    Batch& b = batches.back();
    b.like = a;
    b.work.sequences[b.work.n] = sequence_of(a, b.rows_per_tile);
    return {batches.size() - 1, b.work.n++};
  }
  void launch(const Batch& b) {
    switch (b.kind) {
      case Kind::kGeneral: return launch_score_general(ctx_, b.work);
      case Kind::kSm90: return launch_score_sm90(ctx_, b.work);
      case Kind::kSm90Int8: return launch_score_sm90_int8(ctx_, b.work);
    }
  }

  template <class F>
  static void each(std::vector<Batch>& batches, F&& f) {
    for (Batch& b : batches) {
      for (int32_t i = 0; i < b.work.n; ++i) f(b.work.sequences[i]);
    }
  }
  template <class F>
  void each_rest(F&& f) {
    size_t n = 0;
    each(rests_, [&](ScoreSequence& rest) {
      const Place& at = first_of_rest_[n++];
      f(firsts_[at.batch].work.sequences[at.index], rest);
    });
  }

  Context& ctx_;
  std::vector<Batch> firsts_, rests_;  // the rest of what is cut in two has lists among its first part's
  std::vector<Place> first_of_rest_;
};

}  // namespace

void score_with(Context& ctx, std::span<const ScoreArgs> list, ScoreKernel kernel) {
  for (const ScoreArgs& a : list) reference::check(a);
  Plan(ctx, list, kernel).run();
}

// Runs of entries that have few queries are scanned at the memory's speed, the others go through the matrix units.
void score(Context& ctx, std::span<const ScoreArgs> list) {
  for (const ScoreArgs& a : list) reference::check(a);
  for (size_t i = 0; i < list.size();) {
    const bool few = score_decode_fits(list[i]);
    size_t n = 1;
    while (i + n < list.size() && score_decode_fits(list[i + n]) == few) ++n;
    const auto run = list.subspan(i, n);
    few ? score_decode(ctx, run) : score_with(ctx, run, ScoreKernel::kAuto);
    i += n;
  }
}

}  // namespace reattn::kernels::cuda
