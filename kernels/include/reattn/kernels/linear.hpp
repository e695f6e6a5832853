// Dense layers: embedding rows, RMSNorm, matrix products, SwiGLU; and what a layer does with them at once.
#pragma once

#include "reattn/kernels/types.hpp"

namespace reattn::kernels {

// out[i] = table row ids[i], as f32. Ids have been checked against n_rows.
struct EmbedArgs {
  Matrix table;             // [n_vocab, n_embd]
  const int32_t* ids;       // [n_rows]
  int64_t n_rows;
  float* out;               // [n_rows, n_embd]
};

// out = x / sqrt(mean(x^2) + eps) * weight, row by row. out may be x.
struct RmsNormArgs {
  const float* x;           // [n_rows, n_cols]
  const float* weight;      // [n_cols]
  int64_t n_rows, n_cols;
  float eps;
  float* out;               // [n_rows, n_cols]
};

// out = x · wᵀ (+ bias) (+ out, when accumulate). Rows of x and out may be strided.
struct MatmulArgs {
  const float* x;           // [n_rows, w.n_cols]
  int64_t n_rows;
  Matrix w;                 // [n_out, n_in]
  const float* bias;        // [n_out] or null
  float* out;               // [n_rows, w.n_rows]
  bool accumulate;          // add to what out holds: the residual stream
};

// out = silu(gate) * up, element by element. out may be gate or up.
struct SwigluArgs {
  const float* gate;        // [n]
  const float* up;          // [n]
  int64_t n;
  float* out;               // [n]
};

// Queries, keys and values of the normed residual stream.
struct QkvArgs {
  const float* x;           // [n_rows, n_embd] residual
  int64_t n_rows, n_embd;
  const float* norm;        // [n_embd]
  float eps;
  Matrix q, k, v;           // [outputs, n_embd]
  const float* q_bias;      // [q.n_rows] or null; likewise below
  const float* k_bias;
  const float* v_bias;
  float* normed;            // [n_rows, n_embd] working memory
  float* q_out;             // [n_rows, q.n_rows]
  float* k_out;             // [n_rows, k.n_rows]
  float* v_out;             // [n_rows, v.n_rows]
};

// x += down(silu(gate(norm x)) * up(norm x)).
struct MlpArgs {
  float* x;                 // [n_rows, n_embd] residual, added to
  int64_t n_rows, n_embd, n_ff;
  const float* norm;        // [n_embd]
  float eps;
  Matrix gate, up;          // [n_ff, n_embd]
  Matrix down;              // [n_embd, n_ff]
  float* normed;            // [n_rows, n_embd] working memory
  float* gate_out;          // [n_rows, n_ff] working memory
  float* up_out;            // [n_rows, n_ff] working memory
};

}  // namespace reattn::kernels
