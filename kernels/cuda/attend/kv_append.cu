// Writes new keys and values into the cache pages, rounded to the pages' type.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "kernels/cpu/reference/check.hpp"
#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/prim/early_launch.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kThreads = 256;
constexpr int32_t kBatch = 16;  // sequences of one launch

struct Batch {
  KvAppendArgs sequences[kBatch];
};

template <class T>
__device__ T rounded(float x) {
  if constexpr (std::is_same_v<T, __half>) return __float2half_rn(x);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return __float2bfloat16_rn(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

// blockIdx.y: 2 · sequence, + 1 for values. A thread writes kWide elements of one row.
template <class T, int kWide>
__global__ void __launch_bounds__(kThreads) kv_append_kernel(const __grid_constant__ Batch batch) {
  wait_for_previous();
  let_next_start();
  const KvAppendArgs& a = batch.sequences[blockIdx.y / 2];
  const bool is_v = blockIdx.y % 2 == 1;
  const float* __restrict__ from = is_v ? a.v : a.k;
  void* const* table = is_v ? a.pages.v : a.pages.k;
  const int32_t head_dim = a.pages.head_dim, n_kv_heads = a.pages.n_kv_heads;
  const int64_t at = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kWide;
  if (at >= a.n_new * n_kv_heads * head_dim) return;
  const int64_t row = at / head_dim;
  const auto column = static_cast<int32_t>(at - row * head_dim);
  const int64_t token = row / n_kv_heads + a.begin;
  const int64_t head = row % n_kv_heads;
  T* to = static_cast<T*>(table[token / kPageTokens]) +
          (head * kPageTokens + token % kPageTokens) * head_dim + column;
  if constexpr (kWide == 1) {
    *to = rounded<T>(from[at]);
  } else {
    static_assert(kWide == 8);
    const float4 low = reinterpret_cast<const float4*>(from + at)[0];
    const float4 high = reinterpret_cast<const float4*>(from + at)[1];
    alignas(16) T out[8] = {rounded<T>(low.x),  rounded<T>(low.y),  rounded<T>(low.z),
                            rounded<T>(low.w),  rounded<T>(high.x), rounded<T>(high.y),
                            rounded<T>(high.z), rounded<T>(high.w)};
#pragma unroll
    for (size_t i = 0; i < sizeof(out) / 16; ++i) {
      reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(out)[i];
    }
  }
}

bool wide(const KvAppendArgs& a) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  return a.pages.head_dim % 8 == 0 && aligned(a.k) && aligned(a.v);
}

template <class T>
void launch(Context& ctx, const Batch& batch, int32_t n) {
  int64_t most = 0;
  bool all_wide = true;
  for (int32_t i = 0; i < n; ++i) {
    const KvAppendArgs& a = batch.sequences[i];
    most = std::max(most, a.n_new * a.pages.n_kv_heads * a.pages.head_dim);
    all_wide = all_wide && wide(a);
  }
  const int64_t per_block = kThreads * (all_wide ? 8 : 1);
  const dim3 grid(static_cast<unsigned>((most + per_block - 1) / per_block),
                  static_cast<unsigned>(2 * n));
  launch_early(ctx, all_wide ? kv_append_kernel<T, 8> : kv_append_kernel<T, 1>, "kv_append_kernel",
               grid, kThreads, 0, batch);
}

}  // namespace

void kv_append(Context& ctx, std::span<const KvAppendArgs> sequences) {
  for (const KvAppendArgs& a : sequences) reference::check(a);
  size_t i = 0;
  while (i < sequences.size()) {
    Batch batch{};
    int32_t n = 0;
    const DType dtype = sequences[i].pages.dtype;
    for (; i < sequences.size() && n < kBatch && sequences[i].pages.dtype == dtype; ++i) {
      if (sequences[i].n_new > 0) batch.sequences[n++] = sequences[i];
    }
    if (n == 0) continue;
    switch (dtype) {
      case DType::kF16: launch<__half>(ctx, batch, n); break;
      case DType::kBF16: launch<__nv_bfloat16>(ctx, batch, n); break;
      default: launch<float>(ctx, batch, n);
    }
  }
}

}  // namespace reattn::kernels::cuda
