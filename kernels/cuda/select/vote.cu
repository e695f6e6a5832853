// Vote: the positions picked most often. Few picks are sorted by one block; many are counted in an array over the middle.
#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/launch.cuh"
#include "kernels/cuda/select/vote.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kBatch = 32;                       // sequences of one launch
constexpr int32_t kSorted = 4096;                    // kept positions that are sorted in shared memory
constexpr int64_t kMaxCounters = int64_t{16} << 20;  // of one launch, unless one sequence needs more

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
  VoteSequence sequences[kBatch];
};

// A thread a pick.
__global__ void __launch_bounds__(kComparedPicks)
    vote_compare_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.x];
  const auto me = static_cast<int32_t>(threadIdx.x);
  wait_for_previous();
  start_next();
  const int32_t pick = me < s.n_picks ? s.picks[me] : -1;
  vote_compared(pick >= s.begin && pick < s.end ? pick : -1, blockDim.x,
                {s.n_anchors, s.anchors, s.votes, s.n_found});
}

constexpr int32_t kSortedPicks = 512;  // more are counted sooner than sorted

// A thread a pick: sorted, so that equal ones are neighbours; then their sums are sorted.
__global__ void __launch_bounds__(kSortedPicks) vote_sort_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.x];
  __shared__ __align__(8) uint32_t shared[2 * kSortedPicks];
  const int32_t me = threadIdx.x, n = next_power_of_two(s.n_picks);
  wait_for_previous();
  start_next();
  const int32_t position = me < s.n_picks ? s.picks[me] : -1;
  uint32_t pick[1] = {position >= s.begin && position < s.end ? static_cast<uint32_t>(position) : ~0U};
  block_sort<false>(pick, n, shared);
  shared[me] = pick[0];
  __syncthreads();
  unsigned long long key[1] = {0};
  if (me < n && pick[0] != ~0U && (me == 0 || shared[me - 1] != pick[0])) {
    int32_t low = me + 1, high = n;  // the end of the run is in [low, high]
    while (low < high) {
      const int32_t mid = (low + high) / 2;
      if (shared[mid] == pick[0]) {
        low = mid + 1;
      } else {
        high = mid;
      }
    }
    key[0] = vote_key(low - me, static_cast<int32_t>(pick[0]));
  }
  const int32_t n_found = min(__syncthreads_count(key[0] != 0), s.n_anchors);
  block_sort<true>(key, n, reinterpret_cast<unsigned long long*>(shared));
  if (me == 0) *s.n_found = n_found;
  if (me < n_found) {
    s.anchors[me] = key_position(key[0]);
    s.votes[me] = key_votes(key[0]);
  }
}

constexpr int32_t kCountThreads = 256, kCountPicks = 4;  // picks of one thread

// counts[p]: votes of position p; at_least[v]: positions with v votes or more, for v ≤ cap.
__global__ void __launch_bounds__(kCountThreads) vote_count_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.y];
  constexpr int32_t kBins = 1024;
  __shared__ int32_t bins[kBins];
  const int32_t n_bins = min(kBins, s.cap + 1);
  start_next();
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
__device__ int32_t find_list(const int32_t* begins, int32_t n_lists, int32_t i) {
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
__device__ void finish_vote(const VoteSequence& s, int32_t cut, int32_t n_sure, int32_t n_found,
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
  } else if (n_sure <= kSorted) {
    sort_sure<kSorted / kKeepThreads>(s, n_sure, shared, key_at);
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
__global__ void __launch_bounds__(kKeepThreads) vote_keep_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.y];
  __shared__ __align__(16) unsigned long long shared[kSorted];
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
  start_next();
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

void check_vote(const VoteArgs& a) {
  if (a.n_picks < 0 || a.n_picks > INT32_MAX) fail(ErrorCode::kArg, "vote: n_picks is ", a.n_picks);
  if (a.middle_begin < 0 || a.middle_end < a.middle_begin || a.middle_end > INT32_MAX) {
    fail(ErrorCode::kArg, "vote: the middle [", a.middle_begin, ", ", a.middle_end,
         ") must be a range of 31-bit positions");
  }
}

VoteSequence sequence_of(const VoteArgs& a) {
  VoteSequence s{};
  s.picks = a.picks;
  s.begin = static_cast<int32_t>(a.middle_begin);
  s.end = static_cast<int32_t>(a.middle_end);
  // No more are found than there are picks or positions: the lists need no more room.
  s.n_anchors = static_cast<int32_t>(std::clamp<int64_t>(
      a.n_anchors, 0, std::min(a.n_picks, a.middle_end - a.middle_begin)));
  s.n_picks = s.n_anchors == 0 ? 0 : static_cast<int32_t>(a.n_picks);
  s.anchors = a.anchors;
  s.votes = a.votes;
  s.n_found = a.n_found;
  return s;
}

int32_t blocks_of(int64_t middle, int32_t n_sequences) {
  return static_cast<int32_t>(std::clamp<int64_t>((middle + kKeepTile - 1) / kKeepTile, 1,
                                                  std::clamp(264 / n_sequences, 16, kMaxBlocks)));
}

// Layout of the working memory of a launch over many picks. The first part is to be zero.
class ManyLayout {
 public:
  ManyLayout(std::vector<VoteSequence>& sequences, int32_t n_blocks)
      : sequences_(sequences), n_blocks_(n_blocks) {}

  size_t bytes() { return walk(nullptr); }
  size_t zero_bytes() const { return zero_bytes_; }
  void assign(std::byte* base) { walk(base); }

 private:
  template <class T>
  T* take(std::byte* base, size_t n) {
    T* at = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used_);
    used_ += (n * sizeof(T) + 15) / 16 * 16;
    return at;
  }
  size_t walk(std::byte* base) {
    used_ = 0;
    for (VoteSequence& s : sequences_) {
      s.cap = s.n_picks / s.n_anchors + 1;
      s.counts = take<int32_t>(base, static_cast<size_t>(s.end - s.begin));
      s.at_least = take<int32_t>(base, static_cast<size_t>(s.cap) + 2);
      s.n_arrived = take<int32_t>(base, 1);
    }
    zero_bytes_ = used_;
    for (VoteSequence& s : sequences_) {
      s.kept = take<int2>(base, static_cast<size_t>(n_blocks_));
      s.more = take<unsigned long long>(base, static_cast<size_t>(n_blocks_) * s.n_anchors);
      s.ties = take<int32_t>(base, static_cast<size_t>(n_blocks_) * s.n_anchors);
      s.sure = take<unsigned long long>(base, static_cast<size_t>(s.n_anchors));
    }
    return used_;
  }

  std::vector<VoteSequence>& sequences_;
  int32_t n_blocks_;
  size_t used_ = 0, zero_bytes_ = 0;
};

void copy_to(VoteBatch& batch, const std::vector<VoteSequence>& sequences) {
  std::copy(sequences.begin(), sequences.end(), batch.sequences);
}

void vote_many(Context& ctx, std::vector<VoteSequence>& sequences) {
  int64_t middle = 0;
  int32_t n_picks = 0;
  for (const VoteSequence& s : sequences) {
    middle = std::max<int64_t>(middle, s.end - s.begin);
    n_picks = std::max(n_picks, s.n_picks);
  }
  const auto n = static_cast<int32_t>(sequences.size());
  const int32_t n_blocks = blocks_of(middle, n);
  ManyLayout layout(sequences, n_blocks);
  const size_t bytes = layout.bytes();
  ctx.scratch.begin(Scratch::padded(bytes));
  std::byte* memory = ctx.scratch.take<std::byte>(bytes);
  layout.assign(memory);
  VoteBatch batch{};
  copy_to(batch, sequences);
  check(cudaMemsetAsync(memory, 0, layout.zero_bytes(), ctx.stream), "vote: cudaMemsetAsync");
  constexpr int32_t kPerBlock = kCountThreads * kCountPicks;
  const dim3 count_grid((n_picks + kPerBlock - 1) / kPerBlock, n);
  vote_count_kernel<<<count_grid, kCountThreads, 0, ctx.stream>>>(batch);
  check_launch("vote_count_kernel");
  launch_early(ctx, "vote_keep_kernel", vote_keep_kernel, dim3(n_blocks, n), kKeepThreads, 0, batch);
}

void vote_few(Context& ctx, const std::vector<VoteSequence>& sequences, bool compare) {
  VoteBatch batch{};
  copy_to(batch, sequences);
  int32_t n_picks = 1;
  for (const VoteSequence& s : sequences) n_picks = std::max(n_picks, s.n_picks);
  const auto n = static_cast<int32_t>(sequences.size());
  if (compare) {
    launch_early(ctx, "vote_compare_kernel", vote_compare_kernel, dim3(n),
                 (n_picks + kWarp - 1) / kWarp * kWarp, 0, batch);
  } else {
    launch_early(ctx, "vote_sort_kernel", vote_sort_kernel, dim3(n),
                 static_cast<int32_t>(std::bit_ceil(static_cast<uint32_t>(n_picks))), 0, batch);
  }
}

}  // namespace

void vote(Context& ctx, std::span<const VoteArgs> list) {
  std::vector<VoteSequence> compared, sorted, many;
  int64_t counters = 0;
  const auto flush = [&](std::vector<VoteSequence>& sequences) {
    if (sequences.empty()) return;
    if (&sequences == &many) {
      vote_many(ctx, many);
      counters = 0;
    } else {
      vote_few(ctx, sequences, &sequences == &compared);
    }
    sequences.clear();
  };
  for (const VoteArgs& a : list) {
    check_vote(a);
    const VoteSequence s = sequence_of(a);
    std::vector<VoteSequence>& kind = s.n_picks <= kComparedPicks ? compared
                                      : s.n_picks <= kSortedPicks ? sorted
                                                             : many;
    if (&kind == &many) {
      if (counters + (s.end - s.begin) > kMaxCounters) flush(many);
      counters += s.end - s.begin;
    }
    kind.push_back(s);
    if (kind.size() == kBatch) flush(kind);
  }
  for (auto* kind : {&compared, &sorted, &many}) flush(*kind);
}

}  // namespace reattn::kernels::cuda
