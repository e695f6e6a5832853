// Expansion: the union of the spans around the anchors, ascending. One block a sequence.
#include <algorithm>

#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/select/expand.cuh"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kBatch = 32;      // sequences of one launch
constexpr int32_t kThreads = 512;
constexpr int32_t kSorted = 4096;   // anchors that are sorted in shared memory

struct ExpandBatch {
  ExpandSequence sequences[kBatch];
};

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
  let_next_start();
  const int32_t n_anchors = max(*s.n_anchors, 0);
  __shared__ int32_t anchors[kSorted], slots[kSorted];
  if (n_anchors <= kThreads) {
    expand_sorted<1>(s, n_anchors, anchors, slots);
  } else if (n_anchors <= kSorted) {
    expand_sorted<kSorted / kThreads>(s, n_anchors, anchors, slots);
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
    launch_early(ctx, expand_kernel, "expand_kernel", dim3(static_cast<unsigned>(n)), kThreads, 0,
                 batch);
  }
}

}  // namespace reattn::kernels::cuda
