// Dense layers: embedding rows, RMSNorm, matrix products, gated activations; and what a layer does with them at once.
#pragma once

#include "reattn/kernels/types.hpp"

namespace reattn::kernels {

// out[i] = table row ids[i] * scale, as f32. Ids have been checked against n_rows, or are what sample() wrote; of its −1 any row is made,
// or Error(kInternal) thrown.
struct EmbedArgs {
  Matrix table;        // [n_vocab, n_embd]
  const int32_t* ids;  // [n_rows]
  int64_t n_rows;
  float* out;  // [n_rows, n_embd]
  float scale = 1;
};

// out = x / sqrt(mean(x^2) + eps) * weight (+ out, when accumulate), row by row. out may be x unless it accumulates.
struct RmsNormArgs {
  const float* x;       // [n_rows, n_cols]
  const float* weight;  // [n_cols]
  int64_t n_rows, n_cols;
  float eps;
  float* out;  // [n_rows, n_cols]
  bool accumulate = false;
};

// out = x · wᵀ (+ bias) (+ out, when accumulate). Rows of x and out may be strided.
struct MatmulArgs {
  const float* x;  // [n_rows, w.n_cols]
  int64_t n_rows;
  Matrix w;           // [n_out, n_in]
  const float* bias;  // [n_out] or null
  float* out;         // [n_rows, w.n_rows]
  bool accumulate;    // add to what out holds: the residual stream
};

// Rows as F8: scale = max|x| / 448, element = x * (448 / max|x|) to the nearest E4M3, ties to even. A row whose scale would be
// below the smallest normal number gets the scale 1 and zeros.
struct QuantizeRowsArgs {
  Matrix from;  // of any other type
  Matrix to;    // F8, of the same shape; `data` and `scales` are written
};

// Of swiglu, out = silu(gate) * up; of geglu, out = gelu(gate) * up with
// gelu(x) = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))). Element by element; out may be gate or up.
struct SwigluArgs {
  const float* gate;  // [n]
  const float* up;    // [n]
  int64_t n;
  float* out;  // [n]
};

// What stands before attention in a layer: normed = rms_norm(x), then q_out, k_out and v_out = normed · qᵀ, kᵀ and vᵀ (+ bias).
// Rounding inside may differ from that of rms_norm and matmul called one after the other.
struct QkvArgs {
  const float* x;  // [n_rows, n_embd] residual stream
  int64_t n_rows, n_embd;
  const float* norm;  // [n_embd]
  float eps;
  Matrix q, k, v;       // [n_q, n_embd], [n_kv, n_embd] twice
  const float* q_bias;  // [n_q] or null
  const float* k_bias;  // [n_kv] or null
  const float* v_bias;  // [n_kv] or null
  float* normed;        // [n_rows, n_embd] working memory: undefined afterwards
  float* q_out;         // [n_rows, n_q]
  float* k_out;         // [n_rows, n_kv]
  float* v_out;         // [n_rows, n_kv]
};

enum class Activation : int32_t { kSilu, kGelu };

// The feed-forward part of a layer: normed = rms_norm(x), then x += (act(normed · gateᵀ) * (normed · upᵀ)) · downᵀ; with a
// post_norm, what is added is rms_norm'ed by it first.
// Rounding inside may differ from that of the single operations called one after the other.
struct MlpArgs {
  float* x;  // [n_rows, n_embd] residual stream, added to
  int64_t n_rows, n_embd, n_ff;
  const float* norm;  // [n_embd]
  float eps;
  Matrix gate, up, down;  // [n_ff, n_embd] twice, [n_embd, n_ff]
  float* normed;    // [n_rows, n_embd] working memory: undefined afterwards, as are the next two
  float* gate_out;  // [n_rows, n_ff]
  float* up_out;    // [n_rows, n_ff]
  Activation activation = Activation::kSilu;
  const float* post_norm = nullptr;  // [n_embd] or null
};

}  // namespace reattn::kernels
