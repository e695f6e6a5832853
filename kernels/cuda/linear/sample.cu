// From logits to a token, and log-probabilities: each block finds the peak of its part of a row, a
// second launch merges them. Where no logit is a number above minus infinity the token is -1 and
// the log-probability NaN: there is no other way to tell.
#include "kernels/cuda/linear/sample.hpp"

#include "kernels/cuda/device/error.hpp"
#include "kernels/cuda/prim/early_launch.cuh"
#include "kernels/cuda/ops.hpp"

namespace reattn::kernels::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int kPerThread = kLogitsPerBlock / kBlock;

__global__ void __launch_bounds__(kBlock)
    peaks_kernel(const float* logits, int64_t n_vocab, int n_parts, Peak* peaks) {
  wait_for_previous();
  let_next_start();
  const int64_t row = blockIdx.x / n_parts;
  const int64_t begin = int64_t{blockIdx.x % n_parts} * kLogitsPerBlock + threadIdx.x;
  logits += row * n_vocab;
  float v[kPerThread];
  uint64_t best = 0;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t id = begin + i * kBlock;
    v[i] = id < n_vocab ? logits[id] : NAN;
  }
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const uint64_t order = order_of(v[i]);
    if (order == 0) continue;
    best =
        max(best, order << 32 | static_cast<uint32_t>(~static_cast<uint32_t>(begin + i * kBlock)));
  }
  Peak peak{block_max<kBlock>(best), 0};
  const float max = peak.max();
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    sum += v[i] == max ? 1.0F : v[i] < max ? expf(v[i] - max) : 0.0F;
  }
  peak.sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) peaks[blockIdx.x] = peak;
}

__global__ void __launch_bounds__(kBlock)
    greedy_kernel(const Peak* peaks, int n_parts, int32_t* token, float* logprob) {
  wait_for_previous();
  let_next_start();
  const Peak peak = merge_peaks<kBlock>(peaks, n_parts);
  if (threadIdx.x != 0) return;
  *token = peak.valid() ? peak.id() : -1;
  *logprob = peak.valid() ? static_cast<float>(-log(peak.sum)) : NAN;
}

__global__ void __launch_bounds__(kBlock)
    logprob_kernel(const Peak* peaks, int n_parts, const float* logits, int64_t n_vocab,
                   const int32_t* ids, float* out) {
  wait_for_previous();
  let_next_start();
  const Peak peak = merge_peaks<kBlock>(peaks + int64_t{blockIdx.x} * n_parts, n_parts);
  if (threadIdx.x != 0) return;
  const int32_t id = ids[blockIdx.x];
  float result = NAN;
  if (peak.valid() && id >= 0 && id < n_vocab) {
    const float logit = logits[int64_t{blockIdx.x} * n_vocab + id], max = peak.max();
    const double above = logit == max ? 0.0 : static_cast<double>(logit) - max;
    result = static_cast<float>(above - log(peak.sum));
  }
  out[blockIdx.x] = result;
}

void check_vocabulary(const char* op, int64_t n_vocab) {
  if (n_vocab < 1 || n_vocab > INT32_MAX) fail(ErrorCode::kArg, op, ": n_vocab is ", n_vocab);
}

}  // namespace

void find_peaks(Context& ctx, const float* logits, int64_t n_rows, int64_t n_vocab, Peak* peaks) {
  const int64_t n_parts = n_peaks(n_vocab);
  launch_early(ctx, peaks_kernel, "peaks_kernel", dim3(static_cast<unsigned>(n_rows * n_parts)),
               kBlock, 0, logits, n_vocab, static_cast<int>(n_parts), peaks);
}

void sample(Context& ctx, const SampleArgs& a) {
  check_vocabulary("sample", a.n_vocab);
  if (a.temperature > 0) return sample_candidates(ctx, a);
  const auto n_parts = static_cast<int>(n_peaks(a.n_vocab));
  ctx.scratch.begin(Scratch::padded(static_cast<size_t>(n_parts) * sizeof(Peak)));
  Peak* peaks = ctx.scratch.take<Peak>(static_cast<size_t>(n_parts));
  find_peaks(ctx, a.logits, 1, a.n_vocab, peaks);
  launch_early(ctx, greedy_kernel, "greedy_kernel", dim3(1), kBlock, 0, peaks, n_parts, a.token,
               a.logprob);
}

void logprob(Context& ctx, const LogprobArgs& a) {
  check_vocabulary("logprob", a.n_vocab);
  if (a.n_rows == 0) return;
  const auto n_parts = static_cast<int>(n_peaks(a.n_vocab));
  const size_t n = static_cast<size_t>(n_parts) * static_cast<size_t>(a.n_rows);
  ctx.scratch.begin(Scratch::padded(n * sizeof(Peak)));
  Peak* peaks = ctx.scratch.take<Peak>(n);
  find_peaks(ctx, a.logits, a.n_rows, a.n_vocab, peaks);
  launch_early(ctx, logprob_kernel, "logprob_kernel", dim3(static_cast<unsigned>(a.n_rows)), kBlock,
               0, peaks, n_parts, a.logits, a.n_vocab, a.ids, a.out);
}

}  // namespace reattn::kernels::cuda
