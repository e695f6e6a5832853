// What one thread block does together: sums, ordered counts, sorting in shared memory.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace reattn::kernels::cuda {

constexpr int32_t kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

struct Prefix {
  int32_t before;  // sum over the threads before this one
  int32_t total;   // over the block
};

// All threads of the block call it; warp_sums: [blockDim.x / 32 + 1] of shared memory, free again after it.
__device__ inline Prefix block_prefix(int32_t value, int32_t* warp_sums) {
  const int32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int32_t n_warps = (blockDim.x + kWarp - 1) / kWarp;
  int32_t sum = value;
#pragma unroll
  for (int32_t step = 1; step < kWarp; step *= 2) {
    const int32_t other = __shfl_up_sync(kAllLanes, sum, step);
    if (lane >= step) sum += other;
  }
  if (lane == kWarp - 1) warp_sums[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    const int32_t own = lane < n_warps ? warp_sums[lane] : 0;
    int32_t all = own;
#pragma unroll
    for (int32_t step = 1; step < kWarp; step *= 2) {
      const int32_t other = __shfl_up_sync(kAllLanes, all, step);
      if (lane >= step) all += other;
    }
    if (lane < n_warps) warp_sums[lane] = all - own;
    if (lane == kWarp - 1) warp_sums[n_warps] = all;
  }
  __syncthreads();
  const Prefix out{warp_sums[warp] + sum - value, warp_sums[n_warps]};
  __syncthreads();
  return out;
}

// Sorts the first n keys of the block, n a power of two and at most blockDim.x · kPer; key r of thread t is number t · kPer + r.
// Bitonic: within a thread in registers, within a warp by shuffles, else through `shared`, [blockDim.x · kPer].
template <bool kDescending, int kPer, class Key>
__device__ void block_sort(Key (&keys)[kPer], int32_t n, Key* shared) {
  const int32_t me = threadIdx.x;
  const auto keep = [&](int r, Key other, int32_t run, int32_t stride) {
    const int32_t index = me * kPer + r;
    const bool is_low = (index & stride) == 0, ascending = ((index & run) == 0) != kDescending;
    if ((is_low == ascending) == (other < keys[r])) keys[r] = other;
  };
  const bool has_keys = me / kWarp * kWarp * kPer < n;  // the warp
  for (int32_t run = 2; run <= n; run *= 2) {
    int32_t stride = run / 2;
    for (; stride >= kWarp * kPer; stride /= 2) {
      __syncthreads();
      if (has_keys) {
#pragma unroll
        for (int r = 0; r < kPer; ++r) shared[r * blockDim.x + me] = keys[r];
      }
      __syncthreads();
      if (has_keys) {
#pragma unroll
        for (int r = 0; r < kPer; ++r) {
          keep(r, shared[r * blockDim.x + (me ^ stride / kPer)], run, stride);
        }
      }
    }
    if (!has_keys) continue;
    for (; stride >= kPer; stride /= 2) {
#pragma unroll
      for (int r = 0; r < kPer; ++r) {
        keep(r, __shfl_xor_sync(kAllLanes, keys[r], stride / kPer), run, stride);
      }
    }
#pragma unroll
    for (int within = kPer / 2; within > 0; within /= 2) {
      if (within >= run) continue;
#pragma unroll
      for (int r = 0; r < kPer; ++r) {
        if ((r & within) != 0) continue;
        const Key low = keys[r], high = keys[r + within];
        keep(r, high, run, within);
        keep(r + within, low, run, within);
      }
    }
  }
  __syncthreads();
}

__device__ inline int32_t next_power_of_two(int32_t n) {
  return n <= 1 ? 1 : 1 << (32 - __clz(n - 1));
}

}  // namespace reattn::kernels::cuda
