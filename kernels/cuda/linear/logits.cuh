// What sampling and log-probabilities share: logits in their order, and the largest of a row with
// the sum of exponentials.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace reattn::kernels::cuda {

constexpr int kLogitsPerBlock = 2048;

// Ascending with the logit; 0 for NaN, which comes after all.
__device__ inline uint32_t order_of(float logit) {
  if (isnan(logit)) return 0;
  const uint32_t bits = __float_as_uint(logit + 0.0F);  // -0 is 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ inline float logit_of(uint32_t order) {
  if (order == 0) return -INFINITY;
  return __uint_as_float(order & 0x80000000u ? order & 0x7FFFFFFFu : ~order);
}

// The largest logit of a part of a row, of equals the one with the lowest id, and the sum of
// exp(logit - largest).
struct Peak {
  uint64_t best;  // order_of << 32 | ~id
  double sum;

  __device__ float max() const { return logit_of(static_cast<uint32_t>(best >> 32)); }
  __device__ int32_t id() const { return static_cast<int32_t>(~static_cast<uint32_t>(best)); }
  // False where no logit is a number above minus infinity.
  __device__ bool valid() const { return max() > -INFINITY; }
};

// Relative to the largest logit's; NaN has no chance. Where the largest is infinite, its equals
// share all.
__device__ inline double weight_of(float logit, float max, double inverse_temperature) {
  if (logit == max) return 1.0;
  return logit < max ? exp((static_cast<double>(logit) - max) * inverse_temperature) : 0.0;
}

// Over a block of kThreads, in every thread. At most once in a kernel each.
template <int kThreads>
__device__ uint64_t block_max(uint64_t v) {
  constexpr int kWarps = kThreads / 32;
  __shared__ uint64_t values[kWarps];
  for (int step = 16; step > 0; step /= 2) v = max(v, __shfl_xor_sync(0xFFFFFFFFu, v, step));
  if (threadIdx.x % 32 == 0) values[threadIdx.x / 32] = v;
  __syncthreads();
  v = values[threadIdx.x % kWarps];
  for (int step = kWarps / 2; step > 0; step /= 2) {
    v = max(v, __shfl_xor_sync(0xFFFFFFFFu, v, step));
  }
  return v;
}
template <int kThreads>
__device__ double block_sum(double v) {
  constexpr int kWarps = kThreads / 32;
  __shared__ double values[kWarps];
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, step);
  if (threadIdx.x % 32 == 0) values[threadIdx.x / 32] = v;
  __syncthreads();
  v = values[threadIdx.x % kWarps];
  for (int step = kWarps / 2; step > 0; step /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, step);
  return v;
}

// The best of the whole row from those of its parts.
template <int kThreads>
__device__ uint64_t merge_bests(const Peak* peaks, int n) {
  uint64_t best = 0;
  for (int i = threadIdx.x; i < n; i += kThreads) best = max(best, peaks[i].best);
  return block_max<kThreads>(best);
}

// The peak of the whole row, likewise.
template <int kThreads>
__device__ Peak merge_peaks(const Peak* peaks, int n) {
  Peak all{merge_bests<kThreads>(peaks, n), 0};
  double sum = 0;
  for (int i = threadIdx.x; i < n; i += kThreads) {
    sum += peaks[i].sum * weight_of(peaks[i].max(), all.max(), 1.0);
  }
  all.sum = block_sum<kThreads>(sum);
  return all;
}

}  // namespace reattn::kernels::cuda
