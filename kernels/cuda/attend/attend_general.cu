// Attention by plain f32 arithmetic: right for every type of pages, any group and any even head_dim up to kMaxHeadDim, on any GPU.
// Keys are gathered and rotated tile by tile; the fast kernels are held against this one.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

#include "kernels/cuda/attend/attend.hpp"
#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/int8.cuh"

namespace reattn::kernels::cuda {
namespace {

constexpr int32_t kThreads = 256;
constexpr int32_t kRows = 16;  // (query, head of the group) pairs of one block
constexpr int32_t kKeys = 32;  // keys of one tile
constexpr int32_t kLanes = kThreads / kRows;  // threads of one row, all in one warp
constexpr int32_t kColumns = kMaxHeadDim / kLanes;

template <class T>
__device__ float widened(T x) {
  if constexpr (std::is_same_v<T, __half>) return __half2float(x);
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return __bfloat162float(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

// Pair i of a row: where its two elements are.
__device__ int2 pair_at(RopeLayout layout, int32_t head_dim, int32_t i) {
  return layout == RopeLayout::kInterleaved ? make_int2(2 * i, 2 * i + 1)
                                            : make_int2(i, i + head_dim / 2);
}

// Dynamic shared memory: q [kRows, d + 1], k [kKeys, d + 1], v [kKeys, d], p [kRows, kKeys + 1].
__host__ __device__ constexpr int32_t shared_floats(int32_t d) {
  return kRows * (d + 1) + kKeys * (d + 1) + kKeys * d + kRows * (kKeys + 1);
}

// blockIdx.y: KV head.
template <class T>
__global__ void __launch_bounds__(kThreads)
    general_attend_kernel(const __grid_constant__ AttendArgs a) {
  extern __shared__ float shared[];
  const int32_t d = a.pages.head_dim, half = d / 2;
  float* q_tile = shared;
  float* k_tile = q_tile + kRows * (d + 1);
  float* v_tile = k_tile + kKeys * (d + 1);
  float* p_tile = v_tile + kKeys * d;

  const int32_t kv_head = static_cast<int32_t>(blockIdx.y);
  const int32_t group = a.n_heads / a.pages.n_kv_heads;
  const int64_t scope = device_scope(a);
  const int64_t n_rows = a.n_queries * group;
  const int64_t first_row = int64_t{blockIdx.x} * kRows;
  const int64_t last_row = min(first_row + kRows, n_rows) - 1;
  const int64_t seen_by_block = scope - a.n_queries + last_row / group + 1;
  const auto thread = static_cast<int32_t>(threadIdx.x);

  for (int32_t at = thread; at < kRows * half; at += kThreads) {
    const int64_t row = min(first_row + at / half, n_rows - 1);
    const int32_t i = at % half;
    const int64_t query = row / group, position = scope - a.n_queries + query;
    const float* q =
        a.q + (query * a.n_heads + int64_t{kv_head} * group + row % group) * d;
    const float c = a.rope.cos[position * half + i], s = a.rope.sin[position * half + i];
    const int2 pair = pair_at(a.rope.layout, d, i);
    const float even = q[pair.x], odd = q[pair.y];
    float* to = q_tile + at / half * (d + 1);
    to[pair.x] = even * c - odd * s;
    to[pair.y] = even * s + odd * c;
  }

  const int32_t my_row = thread / kLanes, lane = thread % kLanes;
  const int64_t row = min(first_row + my_row, n_rows - 1);
  const int64_t seen = scope - a.n_queries + row / group + 1;
  float largest = -INFINITY, sum = 0;
  float out[kColumns] = {};

  for (int64_t begin = 0; begin < seen_by_block; begin += kKeys) {
    const auto n_keys = static_cast<int32_t>(min(int64_t{kKeys}, seen_by_block - begin));
    __syncthreads();
    for (int32_t at = thread; at < n_keys * half; at += kThreads) {
      const int32_t key = at / half, i = at % half;
      const int64_t position = begin + key;
      const int64_t token =
          device_token(a, static_cast<int32_t>(scope), static_cast<int32_t>(position));
      const int64_t offset = (kv_head * kPageTokens + token % kPageTokens) * d;
      const bool in_int8 = token < a.int8_end;
      const void* k = (in_int8 ? a.pages.k8 : a.pages.k)[token / kPageTokens];
      const void* v = (in_int8 ? a.pages.v8 : a.pages.v)[token / kPageTokens];
      const auto element = [&](const void* page, int32_t e) {
        if (!in_int8) return widened(static_cast<const T*>(page)[offset + e]);
        const float scale = int8_scales(page, a.pages.n_kv_heads, d)[int8_scale_index(kv_head, token)];
        return static_cast<float>(static_cast<const int8_t*>(page)[offset + e]) * scale;
      };
      const float c = a.rope.cos[position * half + i], s = a.rope.sin[position * half + i];
      const int2 pair = pair_at(a.rope.layout, d, i);
      const float even = element(k, pair.x), odd = element(k, pair.y);
      k_tile[key * (d + 1) + pair.x] = even * c - odd * s;
      k_tile[key * (d + 1) + pair.y] = even * s + odd * c;
      v_tile[key * d + pair.x] = element(v, pair.x);
      v_tile[key * d + pair.y] = element(v, pair.y);
    }
    __syncthreads();

    float scores[kKeys / kLanes];
    float tile_largest = -INFINITY;
#pragma unroll
    for (int32_t i = 0; i < kKeys / kLanes; ++i) {
      const int32_t key = lane + i * kLanes;
      scores[i] = -INFINITY;
      if (key < n_keys && begin + key < seen) {
        float dot = 0;
        for (int32_t x = 0; x < d; ++x) {
          dot += q_tile[my_row * (d + 1) + x] * k_tile[key * (d + 1) + x];
        }
        scores[i] = dot * a.scale;
      }
      tile_largest = fmaxf(tile_largest, scores[i]);
    }
#pragma unroll
    for (int32_t step = kLanes / 2; step > 0; step /= 2) {
      tile_largest = fmaxf(tile_largest, __shfl_xor_sync(~0u, tile_largest, step));
    }
    const float before = largest;
    largest = fmaxf(largest, tile_largest);
    // A row of −inf only: nothing is seen of this tile (or NaN comes out, as it must).
    const float keep = before == largest ? 1.0f : expf(before - largest);
    float tile_sum = 0;
#pragma unroll
    for (int32_t i = 0; i < kKeys / kLanes; ++i) {
      const int32_t key = lane + i * kLanes;
      const bool visible = key < n_keys && begin + key < seen;
      const float p = visible ? expf(scores[i] - largest) : 0.0f;
      p_tile[my_row * (kKeys + 1) + key] = p;
      tile_sum += p;
    }
#pragma unroll
    for (int32_t step = kLanes / 2; step > 0; step /= 2) {
      tile_sum += __shfl_xor_sync(~0u, tile_sum, step);
    }
    sum = sum * keep + tile_sum;
    __syncwarp();
#pragma unroll
    for (int32_t i = 0; i < kColumns; ++i) out[i] *= keep;
    for (int32_t key = 0; key < n_keys && begin + key < seen; ++key) {
      const float p = p_tile[my_row * (kKeys + 1) + key];
#pragma unroll
      for (int32_t i = 0; i < kColumns; ++i) {
        const int32_t x = lane + i * kLanes;
        if (x < d) out[i] += p * v_tile[key * d + x];
      }
    }
  }

  if (first_row + my_row < n_rows) {
    float* to =
        a.out + (row / group * a.n_heads + int64_t{kv_head} * group + row % group) * d;
#pragma unroll
    for (int32_t i = 0; i < kColumns; ++i) {
      const int32_t x = lane + i * kLanes;
      if (x < d) to[x] = out[i] / sum;
    }
  }
}

template <class T>
void launch(Context& ctx, const AttendArgs& a) {
  const int64_t n_rows = a.n_queries * (a.n_heads / a.pages.n_kv_heads);
  const size_t shared_bytes = sizeof(float) * static_cast<size_t>(shared_floats(a.pages.head_dim));
  check(cudaFuncSetAttribute(general_attend_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(sizeof(float)) * shared_floats(kMaxHeadDim)),
        "cudaFuncSetAttribute");
  const dim3 grid(static_cast<unsigned>((n_rows + kRows - 1) / kRows),
                  static_cast<unsigned>(a.pages.n_kv_heads));
  general_attend_kernel<T><<<grid, kThreads, shared_bytes, ctx.stream>>>(a);
  check_launch("general_attend_kernel");
}

}  // namespace

void attend_general(Context& ctx, const AttendArgs& a) {
  if (a.n_queries == 0) return;
  switch (a.pages.dtype) {
    case DType::kF16: return launch<__half>(ctx, a);
    case DType::kBF16: return launch<__nv_bfloat16>(ctx, a);
    default: return launch<float>(ctx, a);
  }
}

}  // namespace reattn::kernels::cuda
