// Vote: the positions picked most often. Few picks are sorted by one block; many are counted in an array over the middle.
#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/vote_many.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int64_t kMaxCounters = int64_t{16} << 20;  // of one launch, unless one sequence needs more

// A thread a pick.
__global__ void __launch_bounds__(kComparedPicks)
    vote_compare_kernel(const __grid_constant__ VoteBatch batch) {
  const VoteSequence& s = batch.sequences[blockIdx.x];
  const auto me = static_cast<int32_t>(threadIdx.x);
  wait_for_previous();
  let_next_start();
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
  let_next_start();
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
  launch_early(ctx, vote_keep_kernel, "vote_keep_kernel", dim3(n_blocks, n), kKeepThreads, 0, batch);
}

void vote_few(Context& ctx, const std::vector<VoteSequence>& sequences, bool compare) {
  VoteBatch batch{};
  copy_to(batch, sequences);
  int32_t n_picks = 1;
  for (const VoteSequence& s : sequences) n_picks = std::max(n_picks, s.n_picks);
  const auto n = static_cast<int32_t>(sequences.size());
  if (compare) {
    launch_early(ctx, vote_compare_kernel, "vote_compare_kernel", dim3(n),
                 (n_picks + kWarp - 1) / kWarp * kWarp, 0, batch);
  } else {
    launch_early(ctx, vote_sort_kernel, "vote_sort_kernel", dim3(n),
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
    if (kind.size() == kVoteBatch) flush(kind);
  }
  for (auto* kind : {&compared, &sorted, &many}) flush(*kind);
}

}  // namespace reattn::kernels::cuda
