// Products of up to 8 rows: every weight is read once, at the speed of memory, without cuBLASLt.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/linear.hpp"

namespace reattn::kernels::cuda {

constexpr int64_t kMaxGemvRows = 8;

// One product with one x, or up to three.
struct GemvOutput {
  Matrix w;
  const float* bias;  // or null
  float* out;         // [n_rows, w.n_rows]
};
struct Gemv {
  const float* x;               // [n_rows, n_in]
  const float* norm = nullptr;  // [n_in]: x is put through RMSNorm first; null: it is not
  float eps = 0;
  int64_t n_rows, n_in;  // n_rows up to 8
  GemvOutput outputs[3];
  int32_t n_outputs;
  bool accumulate = false;
};

// Whether gemv and gemv_swiglu know the matrix: BF16 or F8, rows of a multiple of 16 bytes, 16-byte
// aligned. All matrices of a Gemv are of one type. x is never rounded to 8 bits here.
bool gemv_knows(const Matrix& w);

// What a row gives depends neither on the rows beside it nor on the device's size; but a row alone
// is summed up in another order than one of several.
void gemv(Context& ctx, const Gemv& g);
// out = silu(norm(x) · gateᵀ) · (norm(x) · upᵀ); outputs[0] is the gate, outputs[1] up. Only
// outputs[0].out is written.
void gemv_swiglu(Context& ctx, const Gemv& g);

// Any plain type, length and alignment; any number of rows, the weights read once for 8 of them.
void general_matmul(Context& ctx, const MatmulArgs& a);

}  // namespace reattn::kernels::cuda
