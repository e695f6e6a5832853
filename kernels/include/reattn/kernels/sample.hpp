// From logits to a token, and log-probabilities of given tokens.
#pragma once

#include "reattn/kernels/types.hpp"

namespace reattn::kernels {

// temperature 0: the largest logit (equal: the lower id). Otherwise the candidates are cut by top_k (0: off), then
// top_p (1: off), then min_p (0: off) on probabilities at the given temperature, and the one in which `uniform` falls
// is taken; candidates are ordered by logit descending, then id ascending, so the same uniform gives the same token.
struct SampleArgs {
  const float* logits;      // [n_vocab]
  int64_t n_vocab;
  float temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  double uniform;           // [0, 1)
  int32_t* token;           // [1]
  float* logprob;           // [1] natural log of the token's probability at temperature 1, nothing cut
};

// out[i] = log softmax(logits[i])[ids[i]], natural log.
struct LogprobArgs {
  const float* logits;      // [n_rows, n_vocab]
  int64_t n_rows, n_vocab;
  const int32_t* ids;       // [n_rows]
  float* out;               // [n_rows]
};

}  // namespace reattn::kernels
