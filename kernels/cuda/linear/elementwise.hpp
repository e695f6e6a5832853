// What the products of many rows are fed with: 16-bit numbers.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/linear.hpp"

namespace reattn::kernels::cuda {

// n f32 numbers, rounded to F16 or BF16.
void round_to_16_bits(Context& ctx, const float* x, int64_t n, DType dtype, void* out);
// rms_norm whose result is BF16; a.out is not written.
void rms_norm_to_bf16(Context& ctx, const RmsNormArgs& a, void* out);
// silu(gate) · up of BF16 numbers, f32 inside. out may be gate or up.
void swiglu_bf16(Context& ctx, const void* gate, const void* up, int64_t n, void* out);

}  // namespace reattn::kernels::cuda
