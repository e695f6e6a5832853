// The kernels for few rows of x and F8 weights.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/linear/gemv_parts.cuh"

namespace reattn::kernels::cuda {

void launch_gemv_f8(Context& ctx, const gemv_parts::Params& p, bool gate_up);
// One row. False where x is too long: nothing was launched.
bool launch_gemv_row_f8(Context& ctx, const gemv_parts::Params& p, bool gate_up);

}  // namespace reattn::kernels::cuda
