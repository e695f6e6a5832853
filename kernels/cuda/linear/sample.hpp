// The steps of sampling.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/linear/logits.cuh"
#include "reattn/kernels/sample.hpp"

namespace reattn::kernels::cuda {

inline int64_t n_peaks(int64_t n_vocab) {
  return (n_vocab + kLogitsPerBlock - 1) / kLogitsPerBlock;
}

// peaks: [n_rows, n_peaks(n_vocab)], of each part of kLogitsPerBlock logits.
void find_peaks(Context& ctx, const float* logits, int64_t n_rows, int64_t n_vocab, Peak* peaks);

// Sampling at a temperature above 0.
void sample_candidates(Context& ctx, const SampleArgs& a);

}  // namespace reattn::kernels::cuda
