// Scoring for few queries: the scan, and a second kernel that joins what its blocks found.
#include "kernels/cuda/select/score_decode.hpp"

#include <algorithm>
#include <vector>

#include "kernels/cpu/reference/check.hpp"
#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/recall.cuh"
#include "kernels/cuda/select/score.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kMaxQueries = 8, kMaxGroup = 16;
constexpr int32_t kMaxShares = 376;  // their lists of one row, 16 entries each, fit 48 KiB less the merge's own

template <class S>
__global__ void __launch_bounds__(kScanThreads, S::kBlocksPerSm)
    score_scan_kernel(const __grid_constant__ ScanBatch batch) {
  __shared__ typename S::Shared shared;
  static_assert(sizeof shared <= 48 << 10, "more than a block may have on every device");
  let_next_start();
  S::run(batch, shared);
}

// Joins the partial lists, a warp a row of picks; top_k ≤ 4.
constexpr int32_t kMergeWarps = 4, kMergeThreads = kWarp * kMergeWarps;

template <int kKeys, int kColumns>
__global__ void __launch_bounds__(kMergeThreads)
    score_merge_few_kernel(const __grid_constant__ ScanBatch b, int32_t n_rows) {
  const int32_t lane = threadIdx.x % kWarp;
  const int32_t row = blockIdx.x * kMergeWarps + threadIdx.x / kWarp;
  if (row >= n_rows) return;
  const RowLists lists = find_lists<kKeys, kColumns>(b, blockIdx.y, row / b.n_heads, row % b.n_heads);
  wait_for_previous();
  let_next_start();
  PickKey best[4] = {};
  best_four(lists, b.top_k, best);
  int32_t* picks = b.sequences[blockIdx.y].picks + static_cast<int64_t>(row) * b.top_k;
  if (lane < b.top_k) picks[lane] = pick_position(nth(best, lane));
}

// Any top_k. A block a row: each warp finds the best of its part of the lists in top_k rounds, then each of these finds its rank.
template <int kKeys, int kColumns>
__global__ void __launch_bounds__(kMergeThreads) score_merge_kernel(const __grid_constant__ ScanBatch b) {
  __shared__ PickKey bests[kMergeWarps][kMaxTopK];
  extern __shared__ PickKey found[];  // [n_lists, k]
  const int32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, k = b.top_k;
  const auto row = static_cast<int32_t>(blockIdx.x);
  const RowLists lists = find_lists<kKeys, kColumns>(b, blockIdx.y, row / b.n_heads, row % b.n_heads);
  const int32_t n_lists = lists.n;
  wait_for_previous();
  let_next_start();
  for (int32_t i = threadIdx.x; i < n_lists * k; i += kMergeThreads) {
    found[i] = lists.first[static_cast<int64_t>(i / k) * lists.stride + i % k];
  }
  __syncthreads();

  // A thread's lists are threadIdx.x, + 128, …; what it took last bounds what it may still take.
  PickKey last = ~PickKey{0};
  const auto next = [&]() {
    PickKey best = 0;
    for (int32_t i = threadIdx.x; i < n_lists; i += kMergeThreads) {
      int32_t j = 0;
      while (j < k && found[i * k + j] >= last) ++j;
      if (j < k) best = max(best, found[i * k + j]);
    }
    return best;
  };
  PickKey mine = next();
  for (int32_t round = 0; round < k; ++round) {
    const auto high = static_cast<uint32_t>(mine >> 32), low = static_cast<uint32_t>(mine);
    const uint32_t most = __reduce_max_sync(kAllLanes, high);
    const uint32_t lowest = __reduce_max_sync(kAllLanes, high == most ? low : 0);
    const PickKey best = static_cast<PickKey>(most) << 32 | lowest;
    if (lane == 0) bests[warp][round] = best;
    if (mine == best && best != 0) {
      last = mine;
      mine = next();
    }
  }
  __syncthreads();
  int32_t* picks = b.sequences[blockIdx.y].picks + static_cast<int64_t>(row) * k;
  for (int32_t item = threadIdx.x; item < kMergeWarps * k; item += kMergeThreads) {
    const int32_t of_warp = item / k, i = item % k;
    const PickKey key = bests[of_warp][i];
    int32_t rank = i;
    for (int32_t j = 0; j < k; ++j) {
#pragma unroll
      for (int32_t w = 0; w < kMergeWarps; ++w) {
        if (w != of_warp) rank += bests[w][j] > key || (bests[w][j] == key && w < of_warp);
      }
    }
    if (rank < k) picks[rank] = pick_position(key);
  }
}

struct Geometry {
  DType dtype;
  int32_t n_kv_heads, head_dim, n_heads, vote_stride, top_k;
  int64_t n_queries;
  bool int8;
  bool operator==(const Geometry&) const = default;
};

Geometry geometry_of(const ScoreArgs& a) {
  return {a.pages.dtype, a.pages.n_kv_heads, a.pages.head_dim, a.n_heads,
          a.vote_stride, a.top_k,            a.n_queries,          scores_int8(a)};
}

// `recall`: what its sequences go on with, or null.
template <class S>
void scan(Context& ctx, std::span<const ScoreArgs> list, const RecallBatch* recall) {
  const ScoreArgs& first = list[0];
  ScanBatch batch{};
  batch.n_sequences = static_cast<int32_t>(list.size());
  batch.n_queries = static_cast<int32_t>(first.n_queries);
  batch.n_heads = first.n_heads;
  batch.n_kv_heads = first.pages.n_kv_heads;
  batch.group = first.n_heads / first.pages.n_kv_heads;
  const auto voters = static_cast<int32_t>(n_voters(first.n_queries, first.vote_stride));
  batch.n_columns = batch.group * voters;
  batch.n_column_blocks = (batch.n_columns + S::kColumns - 1) / S::kColumns;
  batch.vote_stride = first.vote_stride;
  batch.top_k = first.top_k;
  const int32_t units = batch.n_kv_heads * batch.n_column_blocks;  // of a sequence
  int64_t n_tiles = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    const ScoreArgs& a = list[i];
    batch.sequences[i] = {a.pages.k,
                          a.pages.k8,
                          a.q,
                          a.picks,
                          static_cast<int32_t>(a.middle_begin),
                          static_cast<int32_t>(a.middle_end),
                          static_cast<int32_t>(a.int8_end / S::kKeys),
                          static_cast<int32_t>(n_tiles)};
    n_tiles += units * ((a.middle_end + S::kKeys - 1) / S::kKeys - a.middle_begin / S::kKeys);
  }
  if (n_tiles > INT32_MAX) fail(ErrorCode::kUnsupported, "score: ", n_tiles, " tiles of keys in one launch");
  const int64_t blocks = std::min<int64_t>(ctx.n_sms * S::kBlocksPerSm, kMaxShares);
  // A block's warps have a tile each at least, or the block a unit for itself.
  const int64_t n_units = units * static_cast<int64_t>(list.size());
  const int64_t most_shares = std::max((n_tiles + kScanWarps - 1) / kScanWarps, n_units);
  batch.n_shares = static_cast<int32_t>(std::min({blocks, most_shares, n_tiles}));
  batch.share_tiles = static_cast<int32_t>(n_tiles / batch.n_shares);
  batch.n_longer = static_cast<int32_t>(n_tiles % batch.n_shares);
  const size_t n_partials = (static_cast<size_t>(batch.n_shares) + list.size() * units) *
                            static_cast<size_t>(S::kColumns * batch.top_k);
  ctx.scratch.begin(Scratch::padded(n_partials * sizeof(PickKey)));
  batch.partials = ctx.scratch.take<PickKey>(n_partials);
  launch_early(ctx, score_scan_kernel<S>, "score_scan_kernel",
               dim3(static_cast<unsigned>(batch.n_shares)), kScanThreads, 0, batch);
  const int32_t n_rows = voters * batch.n_heads;
  const auto n_sequences = static_cast<unsigned>(list.size());
  if (recall != nullptr) {
    launch_early(ctx, recall_kernel<S::kKeys, S::kColumns>, "recall_kernel", dim3(n_sequences),
                 kRecallThreads, 0, batch, *recall, n_rows);
    return;
  }
  if (batch.top_k <= 4) {
    const dim3 grid(static_cast<unsigned>((n_rows + kMergeWarps - 1) / kMergeWarps), n_sequences);
    launch_early(ctx, score_merge_few_kernel<S::kKeys, S::kColumns>, "score_merge_few_kernel", grid,
                 kMergeThreads, 0, batch, n_rows);
    return;
  }
  // The shares are so few that all lists of a row fit the shared memory.
  const size_t shared = static_cast<size_t>(batch.n_shares) * batch.top_k * sizeof(PickKey);
  launch_early(ctx, score_merge_kernel<S::kKeys, S::kColumns>, "score_merge_kernel",
               dim3(static_cast<unsigned>(n_rows), n_sequences), kMergeThreads, shared, batch);
}

template <DType kType, int kDim, bool kInt8>
void scan_columns(Context& ctx, std::span<const ScoreArgs> list, const RecallBatch* recall) {
  const ScoreArgs& a = list[0];
  const int64_t n_columns = a.n_heads / a.pages.n_kv_heads * n_voters(a.n_queries, a.vote_stride);
  if constexpr (kDim == 64 || kDim == 128) {
    const bool few = a.top_k <= 8;
    if (n_columns <= 8) {
      few ? scan<Scan<kType, kDim, 1, 1, kInt8>>(ctx, list, recall)
          : scan<Scan<kType, kDim, 1, 2, kInt8>>(ctx, list, recall);
    } else if (n_columns <= 16) {
      few ? scan<Scan<kType, kDim, 2, 1, kInt8>>(ctx, list, recall)
          : scan<Scan<kType, kDim, 2, 2, kInt8>>(ctx, list, recall);
    } else {
      few ? scan<Scan<kType, kDim, 4, 1, kInt8>>(ctx, list, recall)
          : scan<Scan<kType, kDim, 4, 2, kInt8>>(ctx, list, recall);
    }
  } else {
    constexpr int kNTiles = kInt8 && kDim > 128 ? 2 : 4;  // as the shared memory allows
    n_columns <= 8 ? scan<Scan<kType, kDim, 1, 2, kInt8>>(ctx, list, recall)
                   : scan<Scan<kType, kDim, kNTiles, 2, kInt8>>(ctx, list, recall);
  }
}

template <DType kType, bool kInt8>
void scan_dim(Context& ctx, std::span<const ScoreArgs> list, const RecallBatch* recall) {
  switch (list[0].pages.head_dim) {
    case 64: return scan_columns<kType, 64, kInt8>(ctx, list, recall);
    case 80: return scan_columns<kType, 80, kInt8>(ctx, list, recall);
    case 96: return scan_columns<kType, 96, kInt8>(ctx, list, recall);
    case 112: return scan_columns<kType, 112, kInt8>(ctx, list, recall);
    case 128: return scan_columns<kType, 128, kInt8>(ctx, list, recall);
    case 256: return scan_columns<kType, 256, kInt8>(ctx, list, recall);
    default: fail(ErrorCode::kInternal, "score: no scan of head_dim ", list[0].pages.head_dim);
  }
}

void scan_alike(Context& ctx, std::span<const ScoreArgs> list, const RecallBatch* recall) {
  const bool int8 = scores_int8(list[0]);
  if (list[0].pages.dtype == DType::kBF16) {
    int8 ? scan_dim<DType::kBF16, true>(ctx, list, recall) : scan_dim<DType::kBF16, false>(ctx, list, recall);
  } else {
    int8 ? scan_dim<DType::kF16, true>(ctx, list, recall) : scan_dim<DType::kF16, false>(ctx, list, recall);
  }
}

}  // namespace

bool score_decode_fits(const ScoreArgs& a) {
  const int32_t dims[] = {64, 80, 96, 112, 128, 256};
  return a.n_queries >= 1 && a.n_queries <= kMaxQueries && !a.block1 &&
         a.n_heads / a.pages.n_kv_heads <= kMaxGroup &&
         (a.pages.dtype == DType::kF16 || a.pages.dtype == DType::kBF16) &&
         std::find(std::begin(dims), std::end(dims), a.pages.head_dim) != std::end(dims);
}

void score_decode(Context& ctx, std::span<const ScoreArgs> list) {
  std::vector<ScoreArgs> sorted(list.begin(), list.end());  // a launch reads either kind of keys fast
  std::stable_partition(sorted.begin(), sorted.end(), scores_int8);
  for (list = sorted; !list.empty();) {
    const Geometry geometry = geometry_of(list[0]);
    size_t n = 1;
    while (n < list.size() && n < kScanBatch && geometry_of(list[n]) == geometry) ++n;
    const std::span<const ScoreArgs> alike = list.first(n);
    scan_alike(ctx, alike, nullptr);
    list = list.subspan(n);
  }
}

namespace {

// False where they are not served by one launch after the scan.
bool recall_decode(Context& ctx, std::span<const ScoreArgs> scores, std::span<const VoteArgs> votes,
                   std::span<const ExpandArgs> expands) {
  const size_t n = scores.size();
  if (n == 0 || n > kRecallBatch || votes.size() != n || expands.size() != n) return false;
  for (const ScoreArgs& s : scores) reference::check(s);
  RecallBatch batch{};
  for (size_t i = 0; i < n; ++i) {
    const ScoreArgs& s = scores[i];
    const VoteArgs& v = votes[i];
    const ExpandArgs& e = expands[i];
    const int64_t n_picks = n_voters(s.n_queries, s.vote_stride) * s.n_heads * s.top_k;
    const auto same_middle = [&](const auto& a) {
      return a.middle_begin == s.middle_begin && a.middle_end == s.middle_end;
    };
    if (!score_decode_fits(s) || s.top_k > 4 || n_picks > kComparedPicks ||
        !(geometry_of(s) == geometry_of(scores[0])) || v.picks != s.picks || v.n_picks != n_picks ||
        v.n_anchors < 1 || e.anchors != v.anchors || e.n_anchors != v.n_found || e.span < 1 ||
        !same_middle(v) || !same_middle(e)) {
      return false;
    }
    // No more are found than there are picks or positions: the lists need no more room.
    const auto n_anchors = static_cast<int32_t>(
        std::min<int64_t>(v.n_anchors, std::min(n_picks, s.middle_end - s.middle_begin)));
    batch.ballots[i] = {n_anchors, v.anchors, v.votes, v.n_found};
    batch.expands[i] = {e.anchors,
                        e.n_anchors,
                        e.positions,
                        e.n_positions,
                        nullptr,
                        static_cast<int32_t>(e.middle_begin),
                        static_cast<int32_t>(e.middle_end),
                        e.span};
  }
  scan_alike(ctx, scores, &batch);
  return true;
}

}  // namespace

void recall(Context& ctx, std::span<const ScoreArgs> scores, std::span<const VoteArgs> votes,
            std::span<const ExpandArgs> expands) {
  if (recall_decode(ctx, scores, votes, expands)) return;
  score(ctx, scores);
  vote(ctx, votes);
  expand(ctx, expands);
}

}  // namespace reattn::kernels::cuda
