// Numbers of 8 bits (E4M3) with a scale for each row: weights as they are held, and what many rows of x become on their way into a product.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/linear.hpp"

namespace reattn::kernels::cuda {

// Device memory to write to, both 16-byte aligned.
struct F8Rows {
  uint8_t* data;  // [n_rows, n_cols]
  float* scales;  // [n_rows]
};

// a.from in device memory, 2-byte aligned.
void quantize_rows(Context& ctx, const QuantizeRowsArgs& a);
// To BF16, rounded: [w.n_rows, w.n_cols], 16-byte aligned.
void expand_f8(Context& ctx, const Matrix& w, void* out);

// Below: rows of a multiple of 4 elements, 16-byte aligned. x: [n_rows, n_cols].
void rows_to_f8(Context& ctx, const float* x, int64_t n_rows, int64_t n_cols, const F8Rows& out);
// rms_norm whose result is F8; a.out is not written.
void rms_norm_to_f8(Context& ctx, const RmsNormArgs& a, const F8Rows& out);
// silu(gate) · up of BF16 numbers, [n_rows, n_cols] each.
void swiglu_to_f8(Context& ctx, const void* gate, const void* up, int64_t n_rows, int64_t n_cols,
                  const F8Rows& out);

// Products with F8 weights of more rows than gemv takes, and of matrices that gemv does not know.
void matmul_f8(Context& ctx, const MatmulArgs& a);
// False where cuBLASLt has no algorithm: what is then in the outputs does not matter.
bool many_rows_qkv_f8(Context& ctx, const QkvArgs& a);
bool many_rows_mlp_f8(Context& ctx, const MlpArgs& a);

}  // namespace reattn::kernels::cuda
