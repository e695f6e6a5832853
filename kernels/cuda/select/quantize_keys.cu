// The int8 keys and values of complete blocks: a thread block reads the keys of one block of one KV head, which lie together, twice, the second
// time from the caches: first their maximum, then the numbers. And rows back from int8.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "kernels/cpu/reference/check.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/ops.hpp"
#include "kernels/cuda/prim/int8.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kThreads = 256;
constexpr int32_t kWide = 8;   // elements that a thread takes at once
constexpr int32_t kBatch = 16;  // sequences of one launch

struct Batch {
  QuantizeKeysArgs sequences[kBatch];
};

// Planes and blocks begin at multiples of 16 bytes: 128 elements of at least 2 bytes each.
template <class T>
__device__ void load(const T* from, float (&out)[kWide]) {
  alignas(16) T in[kWide];
#pragma unroll
  for (size_t i = 0; i < sizeof(in) / 16; ++i) {
    reinterpret_cast<uint4*>(in)[i] = reinterpret_cast<const uint4*>(from)[i];
  }
#pragma unroll
  for (int i = 0; i < kWide; ++i) out[i] = static_cast<float>(in[i]);
}

__device__ uint32_t packed(const float* x, float scale) {  // 4 numbers, the first lowest
  uint32_t out = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) out |= (static_cast<uint32_t>(to_int8(x[i], scale)) & 0xffU) << 8 * i;
  return out;
}

// blockIdx.x: block of the sequence and KV head, the head fastest; blockIdx.z: 1 for values.
template <class T>
__global__ void __launch_bounds__(kThreads)
    quantize_keys_kernel(const __grid_constant__ Batch batch) {
  __shared__ float warp_most[kThreads / 32];
  const QuantizeKeysArgs& a = batch.sequences[blockIdx.y];
  const int32_t n_kv_heads = a.pages.n_kv_heads, head_dim = a.pages.head_dim;
  const int32_t head = static_cast<int32_t>(blockIdx.x) % n_kv_heads;
  const int64_t begin = a.begin + static_cast<int64_t>(blockIdx.x / n_kv_heads) * kScaleBlock;
  const bool is_v = blockIdx.z == 1;
  void* const* table8 = is_v ? a.pages.v8 : a.pages.k8;
  if (begin >= a.end || table8 == nullptr) return;
  const int64_t at = (head * kPageTokens + begin % kPageTokens) * head_dim;
  const T* from = static_cast<const T*>((is_v ? a.pages.v : a.pages.k)[begin / kPageTokens]) + at;
  void* page8 = table8[begin / kPageTokens];
  const int32_t n = static_cast<int32_t>(kScaleBlock) * head_dim;

  float most = 0;
  for (int32_t i = static_cast<int32_t>(threadIdx.x) * kWide; i < n; i += kThreads * kWide) {
    float x[kWide];
    load(from + i, x);
#pragma unroll
    for (int e = 0; e < kWide; ++e) most = fmaxf(most, fabsf(x[e]));
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(~0U, most, step));
  if (threadIdx.x % 32 == 0) warp_most[threadIdx.x / 32] = most;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) most = fmaxf(most, warp_most[w]);
  const float scale = int8_scale(most);

  for (int32_t i = static_cast<int32_t>(threadIdx.x) * kWide; i < n; i += kThreads * kWide) {
    float x[kWide];
    load(from + i, x);
    *reinterpret_cast<uint2*>(static_cast<int8_t*>(page8) + at + i) = {packed(x, scale),
                                                                       packed(x + 4, scale)};
  }
  if (threadIdx.x == 0) {
    int8_scales(page8, n_kv_heads, head_dim)[int8_scale_index(head, begin)] = scale;
  }
}

template <class T>
void launch(Context& ctx, const Batch& batch, int32_t n) {
  int64_t most = 0;
  bool has_values = false;
  for (int32_t i = 0; i < n; ++i) {
    const QuantizeKeysArgs& a = batch.sequences[i];
    has_values = has_values || a.pages.v8 != nullptr;
    most = std::max(most, (a.end - a.begin) / kScaleBlock * a.pages.n_kv_heads);
  }
  const dim3 grid(static_cast<unsigned>(most), static_cast<unsigned>(n), has_values ? 2 : 1);
  quantize_keys_kernel<T><<<grid, kThreads, 0, ctx.stream>>>(batch);
  check_launch("quantize_keys_kernel");
}

template <class T>
__device__ T rounded(float x) {
  if constexpr (std::is_same_v<T, __half>) return __float2half_rn(x);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return __float2bfloat16_rn(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

// blockIdx.x: row, blockIdx.y: KV head, blockIdx.z: 1 for values.
template <class T>
__global__ void __launch_bounds__(kThreads) restore_rows_kernel(const RestoreRowsArgs a) {
  const int32_t head_dim = a.pages.head_dim, head = static_cast<int32_t>(blockIdx.y);
  const int64_t t = a.begin + blockIdx.x;
  const void* from = (blockIdx.z == 1 ? a.pages.v8 : a.pages.k8)[t / kPageTokens];
  void* to = (blockIdx.z == 1 ? a.pages.v : a.pages.k)[t / kPageTokens];
  const int64_t at = (head * kPageTokens + t % kPageTokens) * head_dim;
  const float scale = int8_scales(from, a.pages.n_kv_heads, head_dim)[int8_scale_index(head, t)];
  for (auto i = static_cast<int32_t>(threadIdx.x); i < head_dim; i += kThreads) {
    static_cast<T*>(to)[at + i] =
        rounded<T>(static_cast<float>(static_cast<const int8_t*>(from)[at + i]) * scale);
  }
}

template <class T>
void launch(Context& ctx, const RestoreRowsArgs& a) {
  const dim3 grid(static_cast<unsigned>(a.end - a.begin), static_cast<unsigned>(a.pages.n_kv_heads), 2);
  restore_rows_kernel<T><<<grid, kThreads, 0, ctx.stream>>>(a);
  check_launch("restore_rows_kernel");
}

}  // namespace

// Rare: a cache was truncated.
void restore_rows(Context& ctx, std::span<const RestoreRowsArgs> list) {
  for (const RestoreRowsArgs& a : list) reference::check(a);
  for (const RestoreRowsArgs& a : list) {
    if (a.begin == a.end) continue;
    switch (a.pages.dtype) {
      case DType::kF16: launch<__half>(ctx, a); break;
      case DType::kBF16: launch<__nv_bfloat16>(ctx, a); break;
      default: launch<float>(ctx, a);
    }
  }
}

void quantize_keys(Context& ctx, std::span<const QuantizeKeysArgs> list) {
  for (const QuantizeKeysArgs& a : list) reference::check(a);
  for (size_t i = 0; i < list.size();) {
    Batch batch{};
    int32_t n = 0;
    const DType dtype = list[i].pages.dtype;
    for (; i < list.size() && n < kBatch && list[i].pages.dtype == dtype; ++i) {
      if (list[i].begin < list[i].end) batch.sequences[n++] = list[i];
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
