// Exact top-k scoring: cuts the work into tasks by its shape alone, and merges what each range of keys picked.
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/check.hpp"
#include "kernels/cpu/select/score_kernels.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();
constexpr int64_t kQueryFloats = 48 * 1024;  // packed queries of one task stay in the second cache
constexpr int64_t kTaskKeys = 4096;          // of one task, which thereby takes a few milliseconds
static_assert(kTaskKeys % kBlock1 == 0);

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

// How one call is cut. Ranges of keys come first in the order of tasks, so that tasks that run side by side belong
// to different rows and a later range starts from what earlier ones found.
struct Cut {
  int64_t group, n_rows;  // per KV head
  bool streamed;
  int64_t block_rows, n_blocks;  // blocks of rows of one KV head
  int64_t n_ranges;

  explicit Cut(const ScoreArgs& a) {
    group = a.n_heads / a.pages.n_kv_heads;
    n_rows = n_voters(a.n_queries, a.vote_stride) * group;
    streamed = n_rows <= kMaxStreamRows;
    const int64_t most =
        std::max(kQueryFloats / a.pages.head_dim / kMaxTileRows, int64_t{1}) * kMaxTileRows;
    n_blocks = ceil_div(n_rows, most);
    block_rows = round_up(ceil_div(n_rows, std::max(n_blocks, int64_t{1})), kMaxTileRows);
    n_ranges = ceil_div(a.middle_end - a.middle_begin, kTaskKeys);
  }
};

// The picks of all ranges that have ended, for one block of rows.
struct Merged {
  std::mutex mutex;
  std::vector<float> scores;       // [block_rows, top_k]
  std::vector<int32_t> positions;  // [block_rows, top_k]
};

// The queries of all lists in int8.
class Int8Memory {
 public:
  Int8Memory(ScratchPool& pool, const ScoreArgs& a, const Cut& cut, int64_t n_lists)
      : rows_(cut.block_rows),
        words_(rows_ * max_words(a.pages.head_dim)),
        lease_(pool, a.int8_end > 0 ? static_cast<size_t>(n_lists * (words_ + 2 * rows_)) * 4 : 0) {
  }
  Int8Queries list(int64_t i) const {
    int32_t* words = lease_.as<int32_t>() + i * (words_ + 2 * rows_);
    return {words, reinterpret_cast<float*>(words + words_), words + words_ + rows_};
  }

 private:
  int64_t rows_, words_;
  ScratchPool::Lease lease_;
};

// Working memory of one task, laid out in one block.
class TaskMemory {
 public:
  TaskMemory(ScratchPool& pool, const ScoreArgs& a, int64_t rows) : lease_(pool, bytes(a, rows)) {
    float* at = lease_.as<float>();
    panel = at;
    at += panel_floats(a.pages.head_dim);
    picks.n_rows = rows;
    picks.top_k = a.top_k;
    picks.block1 = a.block1;
    picks.threshold = at;
    picks.floor = at + rows;
    picks.scores = at + 2 * rows;
    auto* ints = reinterpret_cast<int32_t*>(at + (2 + a.top_k) * rows);
    picks.positions = ints;
    picks.winner = ints + a.top_k * rows;
    bounds = picks.winner + rows;
  }
  float* panel;
  int32_t* bounds;
  RangePicks picks;

 private:
  static size_t bytes(const ScoreArgs& a, int64_t rows) {
    return static_cast<size_t>(panel_floats(a.pages.head_dim) + (4 + 2 * a.top_k) * rows) * 4;
  }
  ScratchPool::Lease lease_;
};

// Only what is at least the k-th best of the other ranges can matter: an equal score may still win by its position.
void begin_range(RangePicks& picks, Merged& merged, int64_t n_rows) {
  {
    const std::lock_guard lock(merged.mutex);
    for (int64_t r = 0; r < n_rows; ++r) {
      picks.floor[r] = merged.scores[static_cast<size_t>((r + 1) * picks.top_k - 1)];
    }
  }
  for (int64_t r = 0; r < picks.n_rows; ++r) {
    picks.floor[r] = r < n_rows ? std::nextafter(picks.floor[r], kLowest)
                                : std::numeric_limits<float>::infinity();
    picks.threshold[r] = picks.floor[r];
    picks.winner[r] = -1;
  }
  std::fill_n(picks.scores, picks.n_rows * picks.top_k, kLowest);
  std::fill_n(picks.positions, picks.n_rows * picks.top_k, -1);
}

// Merges by score, then by position, so that the order in which ranges end does not matter.
void end_range(const RangePicks& picks, Merged& merged, int64_t n_rows) {
  const int64_t k = picks.top_k;
  const std::lock_guard lock(merged.mutex);
  for (int64_t r = 0; r < n_rows; ++r) {
    float* scores = merged.scores.data() + r * k;
    int32_t* positions = merged.positions.data() + r * k;
    for (int64_t i = r * k; i < (r + 1) * k && picks.positions[i] >= 0; ++i) {
      const float score = picks.scores[i];
      const int32_t position = picks.positions[i];
      const auto before = [&](int64_t at) {
        return score > scores[at] || (score == scores[at] && position < positions[at]);
      };
      int64_t at = k - 1;
      if (!before(at)) break;
      for (; at > 0 && before(at - 1); --at) {
        scores[at] = scores[at - 1];
        positions[at] = positions[at - 1];
      }
      scores[at] = score;
      positions[at] = position;
    }
  }
}

}  // namespace

void score(const Context& c, const ScoreArgs& a) {
  reference::check(a);
  reference::check_host_pages("score", a.pages);
  const Cut cut(a);
  if (cut.n_rows == 0) return;
  const int64_t depth = a.pages.head_dim;
  const int64_t n_lists = a.pages.n_kv_heads * cut.n_blocks;  // list = KV head · n_blocks + block
  const auto rows_of = [&](int64_t list) {
    const int64_t begin = list % cut.n_blocks * cut.block_rows;
    return std::pair(begin, std::min(begin + cut.block_rows, cut.n_rows));
  };

  const ScratchPool::Lease queries(c.scratch,
                                   static_cast<size_t>(n_lists * cut.block_rows * depth) * 4);
  const Int8Memory queries8(c.scratch, a, cut, n_lists);
  std::vector<Merged> merged(static_cast<size_t>(n_lists));
  c.pool.run(n_lists, c.cancel, [&](int64_t list) {
    const auto [begin, end] = rows_of(list);
    const auto kv_head = static_cast<int32_t>(list / cut.n_blocks);
    float* q = queries.as<float>() + list * cut.block_rows * depth;
    if (a.int8_end > a.middle_begin) {
      const ScratchPool::Lease numbers(c.scratch, int8_scratch(depth));
      pack_queries_int8(a, kv_head, begin, end, queries8.list(list), numbers.as<int8_t>());
    }
    if (a.int8_end >= a.middle_end) {
      // nothing to score natively
    } else if (cut.streamed) {
      for (int64_t r = begin; r < end; ++r) {
        std::copy_n(query_row(a, kv_head, r), depth, q + (r - begin) * depth);
      }
    } else {
      pack_queries(a, kv_head, begin, end, q);
    }
    merged[static_cast<size_t>(list)].scores.assign(static_cast<size_t>(cut.block_rows * a.top_k),
                                                    kLowest);
    merged[static_cast<size_t>(list)].positions.assign(
        static_cast<size_t>(cut.block_rows * a.top_k), -1);
  });

  c.pool.run(cut.n_ranges * n_lists, c.cancel, [&](int64_t task) {
    const int64_t list = task % n_lists, key_begin = a.middle_begin + task / n_lists * kTaskKeys;
    const int64_t key_end = std::min(key_begin + kTaskKeys, a.middle_end);
    const auto [begin, end] = rows_of(list);
    TaskMemory memory(c.scratch, a, cut.block_rows);
    Merged& into = merged[static_cast<size_t>(list)];
    begin_range(memory.picks, into, end - begin);
    ScoreRange range{.args = &a,
                     .kv_head = static_cast<int32_t>(list / cut.n_blocks),
                     .row_begin = begin,
                     .row_end = end,
                     .key_begin = key_begin,
                     .key_end = std::clamp(a.int8_end, key_begin, key_end),
                     .task_begin = key_begin,
                     .task_end = key_end,
                     .q = queries.as<float>() + list * cut.block_rows * depth,
                     .q8 = queries8.list(list),
                     .panel = memory.panel,
                     .bounds = memory.bounds,
                     .picks = memory.picks};
    if (range.key_begin < range.key_end) score_int8(range);
    range.key_begin = std::exchange(range.key_end, key_end);
    if (range.key_begin < range.key_end) cut.streamed ? score_streamed(range) : score_tiles(range);
    end_range(memory.picks, into, end - begin);
  });

  for (int64_t list = 0; list < n_lists; ++list) {
    const auto [begin, end] = rows_of(list);
    const int64_t kv_head = list / cut.n_blocks;
    const int32_t* from = merged[static_cast<size_t>(list)].positions.data();
    for (int64_t r = begin; r < end; ++r, from += a.top_k) {
      const int64_t head = kv_head * cut.group + r % cut.group;
      std::copy_n(from, a.top_k, a.picks + (r / cut.group * a.n_heads + head) * a.top_k);
    }
  }
}

}  // namespace reattn::kernels::cpu
