// Expansion: the union of the spans around the anchors, ascending. One block a sequence.
#include <algorithm>

#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/block.cuh"
#include "kernels/cuda/select/launch.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kBatch = 32;      // sequences of one launch
constexpr int32_t kThreads = 512;
constexpr int32_t kCompared = kThreads;  // anchors that are ordered by comparing all with all
constexpr int32_t kSorted = 4096;        // anchors that are sorted in shared memory

struct ExpandSequence {
  const int32_t* anchors;
  const int32_t* n_anchors;
  int32_t* positions;
  int32_t* n_positions;
  uint32_t* bitmap;      // [(end − begin + 31) / 32] used by very many anchors only
  int32_t begin, end;    // the middle
  int32_t span;
};

struct ExpandBatch {
  ExpandSequence sequences[kBatch];
};

// What an anchor adds to those before it in order: [begin, end).
struct Addition {
  int64_t begin, end;
  __device__ int32_t length() const { return static_cast<int32_t>(max(end - begin, int64_t{0})); }
};

__device__ Addition addition(const ExpandSequence& s, int32_t anchor, bool has_previous,
                             int32_t previous) {
  const int64_t from = static_cast<int64_t>(anchor) - s.span / 2;
  int64_t covered = s.begin;
  if (has_previous) covered = max(covered, static_cast<int64_t>(previous) - s.span / 2 + s.span);
  return {max(from, covered), min(from + s.span, static_cast<int64_t>(s.end))};
}

__device__ void write_addition(const ExpandSequence& s, int64_t begin, int32_t length, int32_t slot) {
  for (int32_t i = threadIdx.x % kWarp; i < length; i += kWarp) {
    s.positions[slot + i] = static_cast<int32_t>(begin + i);
  }
}

// Few anchors: each is compared with all, by n_lanes neighbouring threads.
__device__ void expand_compared(const ExpandSequence& s, int32_t n_anchors) {
  __shared__ int4 anchors[kCompared / 4], lengths[kCompared / 4];
  __shared__ int32_t begins[kCompared], slots[kCompared];
  const int32_t me = threadIdx.x;
  reinterpret_cast<int32_t*>(anchors)[me] = me < n_anchors ? s.anchors[me] : INT32_MAX;
  reinterpret_cast<int32_t*>(lengths)[me] = 0;
  __syncthreads();
  int32_t n_lanes = 1;
  while (n_lanes < kWarp && 2 * n_lanes * n_anchors <= kThreads) n_lanes *= 2;
  const int32_t i = me / n_lanes, part = me % n_lanes;
  const int32_t mine = reinterpret_cast<const int32_t*>(anchors)[i];
  const int32_t n_fours = (n_anchors + 3) / 4;
  const auto is_before = [&](int32_t other, int32_t j) {
    return other < mine || (other == mine && j < i);
  };
  int32_t previous = INT32_MIN;
  for (int32_t j = part; j < n_fours; j += n_lanes) {
    const int4 four = anchors[j];
    if (is_before(four.x, 4 * j)) previous = max(previous, four.x);
    if (is_before(four.y, 4 * j + 1)) previous = max(previous, four.y);
    if (is_before(four.z, 4 * j + 2)) previous = max(previous, four.z);
    if (is_before(four.w, 4 * j + 3)) previous = max(previous, four.w);
  }
  for (int32_t distance = 1; distance < n_lanes; distance *= 2) {
    previous = max(previous, __shfl_xor_sync(kAllLanes, previous, distance));
  }
  const Addition added = addition(s, mine, previous != INT32_MIN, previous);
  if (part == 0 && i < n_anchors) {
    begins[i] = static_cast<int32_t>(added.begin);
    reinterpret_cast<int32_t*>(lengths)[i] = added.length();
  }
  __syncthreads();
  int32_t slot = 0, total = 0;
  for (int32_t j = part; j < n_fours; j += n_lanes) {
    const int4 four = anchors[j], length = lengths[j];
    if (is_before(four.x, 4 * j)) slot += length.x;
    if (is_before(four.y, 4 * j + 1)) slot += length.y;
    if (is_before(four.z, 4 * j + 2)) slot += length.z;
    if (is_before(four.w, 4 * j + 3)) slot += length.w;
    total += length.x + length.y + length.z + length.w;
  }
  for (int32_t distance = 1; distance < n_lanes; distance *= 2) {
    slot += __shfl_xor_sync(kAllLanes, slot, distance);
    total += __shfl_xor_sync(kAllLanes, total, distance);
  }
  if (part == 0 && i < n_anchors) slots[i] = slot;
  if (me == 0) *s.n_positions = total;
  __syncthreads();
  for (int32_t a = me / kWarp; a < n_anchors; a += kThreads / kWarp) {
    write_addition(s, begins[a], reinterpret_cast<const int32_t*>(lengths)[a], slots[a]);
  }
}

// More anchors, in ascending order.
__device__ void expand_sorted(const ExpandSequence& s, int32_t n_anchors) {
  constexpr int kPer = kSorted / kThreads;
  __shared__ int32_t anchors[kSorted];
  __shared__ int32_t slots[kSorted];
  __shared__ int32_t warp_sums[kThreads / kWarp + 1];
  const int32_t me = threadIdx.x;
  int32_t keys[kPer];
#pragma unroll
  for (int r = 0; r < kPer; ++r) {
    const int32_t i = me * kPer + r;
    keys[r] = i < n_anchors ? s.anchors[i] : INT32_MAX;
  }
  block_sort<false>(keys, next_power_of_two(n_anchors), anchors);
#pragma unroll
  for (int r = 0; r < kPer; ++r) anchors[me * kPer + r] = keys[r];
  __syncthreads();
  const auto added = [&](int32_t i) {
    return addition(s, anchors[i], i > 0, i > 0 ? anchors[i - 1] : 0);
  };
  int32_t total = 0;
  for (int32_t base = 0; base < n_anchors; base += kThreads) {
    const int32_t i = base + me;
    const Prefix prefix = block_prefix(i < n_anchors ? added(i).length() : 0, warp_sums);
    if (i < n_anchors) slots[i] = total + prefix.before;
    total += prefix.total;
  }
  if (me == 0) *s.n_positions = total;
  __syncthreads();
  for (int32_t i = me / kWarp; i < n_anchors; i += kThreads / kWarp) {
    const Addition a = added(i);
    write_addition(s, a.begin, a.length(), slots[i]);
  }
}

// Any number of anchors, in no order: a bit a position.
__device__ void expand_marked(const ExpandSequence& s, int32_t n_anchors) {
  __shared__ int32_t warp_sums[kThreads / kWarp + 1];
  const int32_t me = threadIdx.x;
  const int32_t n_words = (s.end - s.begin + 31) / 32;
  for (int32_t i = me; i < n_words; i += kThreads) s.bitmap[i] = 0;
  __syncthreads();
  for (int32_t i = me; i < n_anchors; i += kThreads) {
    const int64_t from = static_cast<int64_t>(s.anchors[i]) - s.span / 2;
    const int64_t end = min(from + s.span, static_cast<int64_t>(s.end));
    for (int64_t t = max(from, static_cast<int64_t>(s.begin)); t < end; ++t) {
      const auto at = static_cast<int32_t>(t - s.begin);
      atomicOr(&s.bitmap[at / 32], 1U << (at % 32));
    }
  }
  __syncthreads();
  int32_t total = 0;
  for (int32_t base = 0; base < n_words; base += kThreads) {
    const int32_t i = base + me;
    uint32_t word = i < n_words ? __ldcg(&s.bitmap[i]) : 0;
    const Prefix prefix = block_prefix(__popc(word), warp_sums);
    for (int32_t slot = total + prefix.before; word != 0; word &= word - 1, ++slot) {
      s.positions[slot] = s.begin + 32 * i + __ffs(static_cast<int>(word)) - 1;
    }
    total += prefix.total;
  }
  if (me == 0) *s.n_positions = total;
}

__global__ void __launch_bounds__(kThreads) expand_kernel(const __grid_constant__ ExpandBatch batch) {
  const ExpandSequence& s = batch.sequences[blockIdx.x];
  wait_for_previous();
  start_next();
  const int32_t n_anchors = max(*s.n_anchors, 0);
  if (n_anchors <= kCompared) {
    expand_compared(s, n_anchors);
  } else if (n_anchors <= kSorted) {
    expand_sorted(s, n_anchors);
  } else {
    expand_marked(s, n_anchors);
  }
}

void check_expand(const ExpandArgs& a) {
  if (a.span < 1) fail(ErrorCode::kArg, "expand: span is ", a.span);
  if (a.middle_begin < 0 || a.middle_end < a.middle_begin || a.middle_end > INT32_MAX) {
    fail(ErrorCode::kArg, "expand: the middle [", a.middle_begin, ", ", a.middle_end,
         ") must be a range of 31-bit positions");
  }
}

size_t bitmap_bytes(const ExpandArgs& a) {
  return Scratch::padded(static_cast<size_t>(a.middle_end - a.middle_begin + 31) / 32 * 4);
}

}  // namespace

void expand(Context& ctx, std::span<const ExpandArgs> list) {
  size_t bytes = 0;
  for (const ExpandArgs& a : list) {
    check_expand(a);
    bytes += bitmap_bytes(a);
  }
  if (list.empty()) return;
  ctx.scratch.begin(bytes);
  ExpandBatch batch{};
  for (size_t first = 0; first < list.size(); first += kBatch) {
    const size_t n = std::min<size_t>(kBatch, list.size() - first);
    for (size_t i = 0; i < n; ++i) {
      const ExpandArgs& a = list[first + i];
      batch.sequences[i] = {a.anchors,
                            a.n_anchors,
                            a.positions,
                            a.n_positions,
                            ctx.scratch.take<uint32_t>(bitmap_bytes(a) / 4),
                            static_cast<int32_t>(a.middle_begin),
                            static_cast<int32_t>(a.middle_end),
                            a.span};
    }
    launch_early(ctx, "expand_kernel", expand_kernel, dim3(static_cast<unsigned>(n)), kThreads, 0,
                 batch);
  }
}

}  // namespace reattn::kernels::cuda
