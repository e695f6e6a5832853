// Attention for few queries: the parts of the set in parallel, then their sum.
#include "kernels/cuda/attend/attend_decode.hpp"

#include <algorithm>

#include "kernels/cuda/attend/attend.hpp"
#include "kernels/cuda/attend/split_attend.cuh"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int64_t kMaxQueries = 8;

template <class Split>
__global__ void __launch_bounds__(32 * kAttendWarps, 2)
    attend_split_kernel(const __grid_constant__ AttendBatch batch) {
  extern __shared__ __align__(16) unsigned char shared[];
  Split::run(batch, shared);
}

// A block a row of the output: groups of head_dim / 4 threads share the splits, and are added up in a fixed order.
constexpr int32_t kJoinThreads = 512, kMaxSplits = 512;

__device__ float2 join_weights(const float2& a, const float2& b) {
  const float most = fmaxf(a.x, b.x);
  return make_float2(most, a.y * exp2f(a.x - most) + b.y * exp2f(b.x - most));
}

__global__ void __launch_bounds__(kJoinThreads)
    attend_join_kernel(const __grid_constant__ AttendBatch b, int32_t n_splits) {
  __shared__ float2 weights[kMaxSplits];
  __shared__ float2 of_warps[kJoinThreads / 32];
  __shared__ float4 totals[kJoinThreads];
  const int32_t me = threadIdx.x, d = b.head_dim;
  const int64_t row = static_cast<int64_t>(blockIdx.y) * b.n_queries * b.n_heads + blockIdx.x;
  const int32_t n_lanes = d / 4, n_groups = kJoinThreads / n_lanes, group = me / n_lanes, i = me % n_lanes;
  const auto* sums = reinterpret_cast<const float4*>(b.sums + row * n_splits * d) + i;
  wait_for_previous();
  let_next_start();
  constexpr int32_t kAtOnce = 8;
  float4 parts[kAtOnce];
#pragma unroll
  for (int32_t j = 0; j < kAtOnce; ++j) {
    const int32_t split = group + j * n_groups;
    if (group < n_groups && split < n_splits) parts[j] = sums[split * n_lanes];
  }
  float2 weight = make_float2(-1e30f, 0);
  if (me < n_splits) weight = weights[me] = b.weights[row * n_splits + me];
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const float2 other = make_float2(__shfl_xor_sync(~0u, weight.x, distance),
                                     __shfl_xor_sync(~0u, weight.y, distance));
    weight = (me & distance) == 0 ? join_weights(weight, other) : join_weights(other, weight);
  }
  if (me % 32 == 0) of_warps[me / 32] = weight;
  __syncthreads();
  weight = of_warps[0];
  for (int32_t w = 1; w < min(kJoinThreads, n_splits + 31) / 32; ++w) {
    weight = join_weights(weight, of_warps[w]);
  }
  float4 total = make_float4(0, 0, 0, 0);
  const auto add = [&](const float4& part, int32_t split) {
    const float factor = exp2f(weights[split].x - weight.x);
    total.x += factor * part.x;
    total.y += factor * part.y;
    total.z += factor * part.z;
    total.w += factor * part.w;
  };
  if (group < n_groups) {
#pragma unroll
    for (int32_t j = 0; j < kAtOnce; ++j) {
      const int32_t split = group + j * n_groups;
      if (split < n_splits) add(parts[j], split);
    }
    for (int32_t split = group + kAtOnce * n_groups; split < n_splits; split += n_groups) {
      add(sums[split * n_lanes], split);
    }
  }
  totals[me] = total;
  __syncthreads();
  if (me >= d) return;
  const auto* all = reinterpret_cast<const float*>(totals);
  float sum = 0;
#pragma unroll 8
  for (int32_t g = 0; g < n_groups; ++g) sum += all[g * d + me];
  b.sequences[blockIdx.y].out[static_cast<int64_t>(blockIdx.x) * d + me] = sum / weight.y;
}

struct Geometry {
  DType dtype;
  int32_t n_kv_heads, head_dim, n_heads;
  RopeLayout layout;
  int64_t n_queries;
  bool operator==(const Geometry&) const = default;
};

Geometry geometry_of(const AttendArgs& a) {
  return {a.pages.dtype, a.pages.n_kv_heads, a.pages.head_dim, a.n_heads, a.rope.layout, a.n_queries};
}

// The largest divisor of n_kv_heads that is at most 4: KV heads of one block share the angles, through the cache.
int32_t heads_per_block(int32_t n_kv_heads) {
  int32_t n = 4;
  while (n_kv_heads % n != 0) --n;
  return n;
}

template <class Split>
void attend_alike(Context& ctx, std::span<const AttendArgs> list) {
  const AttendArgs& first = list[0];
  AttendBatch batch{};
  batch.n_queries = static_cast<int32_t>(first.n_queries);
  batch.n_heads = first.n_heads;
  batch.n_kv_heads = first.pages.n_kv_heads;
  batch.group = first.n_heads / first.pages.n_kv_heads;
  batch.head_dim = first.pages.head_dim;
  batch.n_row_blocks = (batch.group * batch.n_queries + kAttendRows - 1) / kAttendRows;
  batch.heads_per_block = heads_per_block(batch.n_kv_heads);
  batch.warps_per_head = kAttendWarps / batch.heads_per_block;
  batch.chunk = std::max(32, batch.warps_per_head * Split::kKeys);
  batch.interleaved = first.rope.layout == RopeLayout::kInterleaved;
  int64_t longest = 1;
  for (size_t i = 0; i < list.size(); ++i) {
    const AttendArgs& a = list[i];
    batch.sequences[i] = {a.pages.k,
                          a.pages.v,
                          a.pages.k8,
                          a.pages.v8,
                          a.q,
                          a.out,
                          a.recalled,
                          a.n_recalled,
                          a.rope.cos,
                          a.rope.sin,
                          static_cast<int32_t>(a.n_tokens),
                          static_cast<int32_t>(a.n_global),
                          static_cast<int32_t>(a.local_begin),
                          static_cast<int32_t>(std::min<int64_t>(a.int8_end, INT32_MAX)),
                          a.scale};
    longest = std::max(longest, std::min(a.rope.n_positions, a.n_tokens));
  }
  const int32_t n_groups = batch.n_kv_heads / batch.heads_per_block * batch.n_row_blocks;
  const int64_t n_blocks = static_cast<int64_t>(n_groups) * static_cast<int64_t>(list.size());
  const auto n_splits = static_cast<int32_t>(std::clamp<int64_t>(
      2 * ctx.n_sms / n_blocks, 1,
      std::min<int64_t>((longest + batch.chunk / 2 - 1) / (batch.chunk / 2), kMaxSplits)));
  const size_t n_sums = list.size() * static_cast<size_t>(batch.n_queries) *
                        static_cast<size_t>(batch.n_heads) * static_cast<size_t>(n_splits);
  const size_t sum_bytes = n_sums * static_cast<size_t>(batch.head_dim) * sizeof(float);
  ctx.scratch.begin(Scratch::padded(sum_bytes) + Scratch::padded(n_sums * sizeof(float2)));
  batch.sums = ctx.scratch.take<float>(sum_bytes / sizeof(float));
  batch.weights = ctx.scratch.take<float2>(n_sums);

  const int32_t n_warps = batch.heads_per_block * batch.warps_per_head;
  const size_t shared = Split::shared_bytes(batch.head_dim, batch.chunk, n_warps);
  if (shared > ctx.most_shared_bytes) {  // not on Hopper
    for (const AttendArgs& a : list) attend_general(ctx, a);
    return;
  }
  check(cudaFuncSetAttribute(attend_split_kernel<Split>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
        "attend: cudaFuncSetAttribute");
  const dim3 grid(static_cast<unsigned>(n_splits), static_cast<unsigned>(n_groups),
                  static_cast<unsigned>(list.size()));
  launch_early(ctx, attend_split_kernel<Split>, "attend_split_kernel", grid, 32 * n_warps,
               shared, batch);
  const dim3 rows(static_cast<unsigned>(batch.n_queries * batch.n_heads),
                  static_cast<unsigned>(list.size()));
  launch_early(ctx, attend_join_kernel, "attend_join_kernel", rows, kJoinThreads, 0, batch,
               n_splits);
}

template <class T, bool kInt8>
void attend_typed(Context& ctx, std::span<const AttendArgs> list) {
  const int32_t d = list[0].pages.head_dim;
  if constexpr (sizeof(T) == 2) {
    if (d == 64) return attend_alike<SplitAttend<T, 8, 64, kInt8>>(ctx, list);
    if (d == 128) return attend_alike<SplitAttend<T, 16, 128, kInt8>>(ctx, list);
  }
  d <= 64    ? attend_alike<SplitAttend<T, 8, 0, kInt8>>(ctx, list)
  : d <= 128 ? attend_alike<SplitAttend<T, 16, 0, kInt8>>(ctx, list)
             : attend_alike<SplitAttend<T, 32, 0, kInt8>>(ctx, list);
}

template <class T>
void attend_typed(Context& ctx, std::span<const AttendArgs> list) {
  const bool int8 = std::any_of(list.begin(), list.end(), [](const AttendArgs& a) { return a.int8_end > 0; });
  int8 ? attend_typed<T, true>(ctx, list) : attend_typed<T, false>(ctx, list);
}

}  // namespace

bool attend_decode_fits(const AttendArgs& a) {
  return a.n_queries >= 1 && a.n_queries <= kMaxQueries && a.pages.head_dim % 8 == 0 &&
         a.pages.head_dim <= 256 && a.n_tokens <= INT32_MAX &&
         (a.pages.dtype == DType::kF32 || a.pages.dtype == DType::kF16 ||
          a.pages.dtype == DType::kBF16);
}

void attend_decode(Context& ctx, std::span<const AttendArgs> list) {
  while (!list.empty()) {
    const Geometry geometry = geometry_of(list[0]);
    size_t n = 1;
    while (n < list.size() && n < kAttendBatch && geometry_of(list[n]) == geometry) ++n;
    const std::span<const AttendArgs> alike = list.first(n);
    switch (geometry.dtype) {
      case DType::kF16: attend_typed<__half>(ctx, alike); break;
      case DType::kBF16: attend_typed<__nv_bfloat16>(ctx, alike); break;
      default: attend_typed<float>(ctx, alike); break;
    }
    list = list.subspan(n);
  }
}

}  // namespace reattn::kernels::cuda
