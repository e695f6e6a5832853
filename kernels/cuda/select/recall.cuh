// What follows the scan of few queries, by one block a sequence: the lists of its blocks are joined, the picks vote, and the spans
// around the anchors are written. Each pick is compared with all by four threads.
#pragma once

#include "kernels/cuda/select/expand.cuh"
#include "kernels/cuda/select/merge.cuh"
#include "kernels/cuda/select/vote.cuh"

namespace reattn::kernels::cuda {

constexpr int32_t kRecallBatch = 16;  // sequences of one launch
constexpr int32_t kRecallThreads = 4 * kComparedPicks;

struct RecallBatch {
  Ballot ballots[kRecallBatch];
  ExpandSequence expands[kRecallBatch];
};

static_assert(sizeof(ScanBatch) + sizeof(RecallBatch) + sizeof(int32_t) <= 4096, "a kernel's parameters");

// Sum over the four threads of a pick, in each of them.
__device__ inline int32_t sum_of_four(int32_t v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}

// top_k ≤ 4, n_rows · top_k ≤ kComparedPicks.
template <int kKeys, int kColumns>
__global__ void __launch_bounds__(kRecallThreads)
    recall_kernel(const __grid_constant__ ScanBatch b, const __grid_constant__ RecallBatch r,
                  int32_t n_rows) {
  constexpr int32_t kWarps = kRecallThreads / kWarp;
  __shared__ int4 all_picks[kComparedPicks / 4], all_kept[kComparedPicks / 4];
  __shared__ ulonglong2 all_keys[kComparedPicks / 2];
  __shared__ int32_t sorted[kComparedPicks], slots[kComparedPicks];
  auto* picks = reinterpret_cast<int32_t*>(all_picks);
  const int32_t me = threadIdx.x, lane = me % kWarp, warp = me / kWarp;
  const int32_t index = me / 4, quarter = me % 4;
  const Ballot& ballot = r.ballots[blockIdx.x];
  const ExpandSequence& spans = r.expands[blockIdx.x];
  if (me < kComparedPicks && me >= n_rows * b.top_k) picks[me] = -1;
  wait_for_previous();
  let_next_start();
  for (int32_t row = warp; row < n_rows; row += kWarps) {
    PickKey best[4] = {};
    best_four(find_lists<kKeys, kColumns>(b, blockIdx.x, row / b.n_heads, row % b.n_heads), b.top_k,
              best);
    if (lane >= b.top_k) continue;
    const int32_t at = row * b.top_k + lane;
    b.sequences[blockIdx.x].picks[at] = picks[at] = pick_position(nth(best, lane));
  }
  __syncthreads();

  const int32_t position = picks[index];
  int32_t votes = 0, earlier = 0;
#pragma unroll
  for (int32_t i = 0; i < kComparedPicks / 16; ++i) {
    const int4 four = all_picks[4 * i + quarter];
    const int32_t others[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
    for (int32_t j = 0; j < 4; ++j) {
      votes += others[j] == position;
      earlier += others[j] == position && 4 * (4 * i + quarter) + j < index;
    }
  }
  votes = sum_of_four(votes);
  earlier = sum_of_four(earlier);
  const unsigned long long key = position >= 0 && earlier == 0 ? vote_key(votes, position) : 0;
  if (quarter == 0) reinterpret_cast<unsigned long long*>(all_keys)[index] = key;
  const int32_t n_found = min(__syncthreads_count(key != 0) / 4, ballot.n_anchors);

  int32_t rank = 0;
#pragma unroll
  for (int32_t i = 0; i < kComparedPicks / 8; ++i) {
    const ulonglong2 two = all_keys[4 * i + quarter];
    rank += (two.x > key) + (two.y > key);
  }
  rank = sum_of_four(rank);
  const bool is_anchor = key != 0 && rank < ballot.n_anchors;
  if (quarter == 0) {
    reinterpret_cast<int32_t*>(all_kept)[index] = is_anchor ? position : INT32_MAX;
    if (is_anchor) {
      ballot.anchors[rank] = position;
      ballot.votes[rank] = votes;
    }
  }
  if (me == 0) *ballot.n_found = n_found;
  __syncthreads();

  int32_t before = 0;
#pragma unroll
  for (int32_t i = 0; i < kComparedPicks / 16; ++i) {
    const int4 four = all_kept[4 * i + quarter];
    before += (four.x < position) + (four.y < position) + (four.z < position) + (four.w < position);
  }
  before = sum_of_four(before);
  if (quarter == 0 && is_anchor) sorted[before] = position;
  __syncthreads();

  const auto added = [&](int32_t i) {
    return addition(spans, sorted[i], i > 0, i > 0 ? sorted[i - 1] : 0);
  };
  if (warp == 0) {
    constexpr int32_t kPer = kComparedPicks / kWarp;
    int32_t lengths[kPer], sum = 0;
#pragma unroll
    for (int32_t i = 0; i < kPer; ++i) {
      const int32_t at = kPer * lane + i;
      lengths[i] = at < n_found ? added(at).length() : 0;
      sum += lengths[i];
    }
    int32_t up_to = sum;
#pragma unroll
    for (int32_t step = 1; step < kWarp; step *= 2) {
      const int32_t other = __shfl_up_sync(kAllLanes, up_to, step);
      if (lane >= step) up_to += other;
    }
    if (lane == kWarp - 1) *spans.n_positions = up_to;
    int32_t slot = up_to - sum;
#pragma unroll
    for (int32_t i = 0; i < kPer; ++i) {
      slots[kPer * lane + i] = slot;
      slot += lengths[i];
    }
  }
  __syncthreads();
  for (int32_t i = warp; i < n_found; i += kWarps) {
    const Addition a = added(i);
    write_addition(spans, a.begin, a.length(), slots[i]);
  }
}

}  // namespace reattn::kernels::cuda
