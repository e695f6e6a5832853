// Device code of the vote over many picks: counted in an array over the middle, and cut where n_anchors positions are left.
#pragma once

#include "kernels/cuda/prim/early_launch.cuh"
#include "kernels/cuda/select/vote.cuh"

namespace reattn::kernels::cuda {

constexpr int32_t kVoteBatch = 32;   // sequences of one launch
constexpr int32_t kMaxSorted = 4096; // kept positions that are sorted in shared memory

struct VoteSequence {
  const int32_t* picks;  // [n_picks]
  int32_t n_picks;
  int32_t begin, end;    // the middle
  int32_t n_anchors;
  int32_t* anchors;
  int32_t* votes;
  int32_t* n_found;
  // Many picks only:
  int32_t cap;           // at most so many votes decide: more than n_picks / n_anchors are always kept
  int32_t* counts;       // [end − begin, rounded up to 4], zero
  int32_t* at_least;     // [cap + 2] positions with that many votes, zero
  int32_t* n_arrived;    // zero
  int2* kept;            // [blocks] how many each has: with more votes than the cut, and ties
  unsigned long long* more;  // [blocks, n_anchors] vote keys
  int32_t* ties;         // [blocks, n_anchors] ascending
  unsigned long long* sure;  // [n_anchors]
};

struct VoteBatch {
  VoteSequence sequences[kVoteBatch];
};

constexpr int32_t kCountThreads = 256, kCountPicks = 4;  // picks of one thread

// counts[p]: votes of position p; at_least[v]: positions with v votes or more, for v ≤ cap.
static __global__ void __launch_bounds__(kCountThreads) vote_count_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.y];
  constexpr int32_t kBins = 1024;
  __shared__ int32_t bins[kBins];
  const int32_t n_bins = min(kBins, s.cap + 1);
  let_next_start();
  const int32_t first = blockIdx.x * (kCountThreads * kCountPicks) + threadIdx.x;
  if (blockIdx.x * (kCountThreads * kCountPicks) >= s.n_picks) return;
  for (int32_t i = threadIdx.x; i < n_bins; i += kCountThreads) bins[i] = 0;
  int32_t before[kCountPicks];
#pragma unroll
  for (int32_t i = 0; i < kCountPicks; ++i) {
    const int32_t at = first + i * kCountThreads;
    before[i] = at < s.n_picks ? s.picks[at] : -1;
  }
  __syncthreads();
#pragma unroll
  for (int32_t i = 0; i < kCountPicks; ++i) {
    const bool counts = before[i] >= s.begin && before[i] < s.end;
    before[i] = counts ? atomicAdd(&s.counts[before[i] - s.begin], 1) : INT32_MAX;
  }
#pragma unroll
  for (int32_t i = 0; i < kCountPicks; ++i) {  // mostly the first vote: one addition for the warp
    const unsigned firsts = __ballot_sync(kAllLanes, before[i] == 0);
    if (threadIdx.x % kWarp == 0 && firsts != 0) atomicAdd(&bins[1], __popc(firsts));
    if (before[i] == 0 || before[i] >= s.cap) continue;
    if (before[i] + 1 < n_bins) {
      atomicAdd(&bins[before[i] + 1], 1);
    } else {
      atomicAdd(&s.at_least[before[i] + 1], 1);
    }
  }
  __syncthreads();
  for (int32_t i = threadIdx.x; i < n_bins; i += kCountThreads) {
    if (bins[i] != 0) atomicAdd(&s.at_least[i], bins[i]);
  }
}

constexpr int32_t kKeepThreads = 512, kMaxBlocks = 128;
constexpr int32_t kKeepEach = 16;  // positions of one thread at a time
constexpr int32_t kKeepTile = kKeepThreads * kKeepEach;

// The list that element i of all blocks' lists, one after the other, is in: the last that begins at or before it.
__device__ inline int32_t find_list(const int32_t* begins, int32_t n_lists, int32_t i) {
  int32_t low = 0, high = n_lists - 1;
  while (low < high) {
    const int32_t mid = (low + high + 1) / 2;
    if (begins[mid] <= i) {
      low = mid;
    } else {
      high = mid - 1;
    }
  }
  return low;
}

template <int kPer, class KeyAt>
__device__ void sort_sure(const VoteSequence& s, int32_t n_sure, unsigned long long* shared,
                          const KeyAt& key_at) {
  unsigned long long keys[kPer];
#pragma unroll
  for (int r = 0; r < kPer; ++r) {
    const int32_t i = threadIdx.x * kPer + r;
    keys[r] = i < n_sure ? key_at(i) : 0;
  }
  block_sort<true>(keys, next_power_of_two(n_sure), shared);
#pragma unroll
  for (int r = 0; r < kPer; ++r) {
    const int32_t i = threadIdx.x * kPer + r;
    if (i >= n_sure) continue;
    s.anchors[i] = key_position(keys[r]);
    s.votes[i] = key_votes(keys[r]);
  }
}

// The block that arrives last has all of them: orders what has more votes than the cut, and fills up with the earliest ties.
__device__ inline void finish_vote(const VoteSequence& s, int32_t cut, int32_t n_sure, int32_t n_found,
                            unsigned long long* shared, int32_t* warp_sums) {
  __shared__ int32_t more_begins[kMaxBlocks], tie_begins[kMaxBlocks];
  const int32_t me = threadIdx.x, n_blocks = gridDim.x;
  if (me == 0) *s.n_found = n_found;
  const int2 mine = me < n_blocks ? __ldcg(&s.kept[me]) : make_int2(0, 0);
  const int32_t more_begin = block_prefix(mine.x, warp_sums).before;
  const int32_t tie_begin = block_prefix(mine.y, warp_sums).before;
  if (me < n_blocks) {
    more_begins[me] = more_begin;
    tie_begins[me] = tie_begin;
  }
  __syncthreads();
  for (int32_t i = me; i < n_found - n_sure; i += kKeepThreads) {
    const int32_t list = find_list(tie_begins, n_blocks, i);
    s.anchors[n_sure + i] =
        __ldcg(&s.ties[static_cast<int64_t>(list) * s.n_anchors + i - tie_begins[list]]);
    s.votes[n_sure + i] = cut;
  }
  const auto key_at = [&](int32_t i) {
    const int32_t list = find_list(more_begins, n_blocks, i);
    return __ldcg(&s.more[static_cast<int64_t>(list) * s.n_anchors + i - more_begins[list]]);
  };
  if (n_sure <= kKeepThreads) {
    sort_sure<1>(s, n_sure, shared, key_at);
  } else if (n_sure <= kMaxSorted) {
    sort_sure<kMaxSorted / kKeepThreads>(s, n_sure, shared, key_at);
  } else {  // never in practice
    for (int32_t i = me; i < n_sure; i += kKeepThreads) s.sure[i] = key_at(i);
    __syncthreads();
    for (int32_t i = me; i < n_sure; i += kKeepThreads) {
      const unsigned long long key = __ldcg(&s.sure[i]);
      int32_t rank = 0;
      for (int32_t j = 0; j < n_sure; ++j) rank += __ldcg(&s.sure[j]) > key;
      s.anchors[rank] = key_position(key);
      s.votes[rank] = key_votes(key);
    }
  }
}

// Each block keeps of its part of the middle what has more votes than the cut, and the earliest ties.
static __global__ void __launch_bounds__(kKeepThreads) vote_keep_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.y];
  __shared__ __align__(16) unsigned long long shared[kMaxSorted];
  __shared__ int32_t warp_sums[kKeepThreads / kWarp + 1];
  __shared__ bool is_last;
  const int32_t me = threadIdx.x;
  const int32_t n = s.end - s.begin, n_tiles = (n + kKeepTile - 1) / kKeepTile;
  const int32_t first = static_cast<int64_t>(n_tiles) * blockIdx.x / gridDim.x;
  const int32_t last = static_cast<int64_t>(n_tiles) * (blockIdx.x + 1) / gridDim.x;
  int4 votes[kKeepEach / 4];
  const auto load = [&](int32_t tile) {
#pragma unroll
    for (int32_t i = 0; i < kKeepEach / 4; ++i) {
      const int32_t at = tile * kKeepTile + me * kKeepEach + 4 * i;
      votes[i] = at < n ? *reinterpret_cast<const int4*>(s.counts + at) : make_int4(0, 0, 0, 0);
    }
  };
  wait_for_previous();
  let_next_start();
  if (first < last) load(first);
  int32_t cut = 0;  // the most votes that n_anchors positions or more have
  const int32_t n_voted = s.at_least[1];
  for (int32_t v = 1 + me; v - me <= s.cap; v += kKeepThreads) {
    cut += __syncthreads_count(v <= s.cap && s.at_least[v] >= s.n_anchors);
  }
  cut = max(cut, 1);
  const int32_t n_sure = s.at_least[cut + 1];
  const int32_t n_found = min(s.n_anchors, n_voted), n_wanted = n_found - n_sure;

  unsigned long long* more = s.more + static_cast<int64_t>(blockIdx.x) * s.n_anchors;
  int32_t* ties = s.ties + static_cast<int64_t>(blockIdx.x) * s.n_anchors;
  int32_t n_more = 0, n_ties = 0;
  for (int32_t tile = first; tile < last; ++tile) {
    if (tile > first) load(tile);
    const auto* mine = reinterpret_cast<const int32_t*>(votes);
    int32_t kept = 0;  // ties, and 65,536 times what has more votes
#pragma unroll
    for (int32_t i = 0; i < kKeepEach; ++i) kept += mine[i] > cut ? 65536 : mine[i] == cut;
    if (__syncthreads_or(kept) == 0) continue;
    const Prefix prefix = block_prefix(kept, warp_sums);
    int32_t more_slot = n_more + (prefix.before >> 16), tie_slot = n_ties + (prefix.before & 65535);
    if (kept != 0) {
      const int32_t position = s.begin + tile * kKeepTile + me * kKeepEach;
#pragma unroll
      for (int32_t i = 0; i < kKeepEach; ++i) {
        if (mine[i] > cut) more[more_slot++] = vote_key(mine[i], position + i);
        if (mine[i] == cut) {
          if (tie_slot < n_wanted) ties[tie_slot] = position + i;
          ++tie_slot;
        }
      }
    }
    n_more += prefix.total >> 16;
    n_ties += prefix.total & 65535;
  }
  if (me == 0) s.kept[blockIdx.x] = make_int2(n_more, min(n_ties, n_wanted));
  __threadfence();
  __syncthreads();
  if (me == 0) is_last = atomicAdd(s.n_arrived, 1) == static_cast<int32_t>(gridDim.x) - 1;
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  finish_vote(s, cut, n_sure, n_found, shared, warp_sums);
}

}  // namespace reattn::kernels::cuda
