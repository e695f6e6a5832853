// The kernel for one row of x.
#pragma once

#include "kernels/cuda/device/context.hpp"
#include "kernels/cuda/linear/gemv_parts.cuh"

namespace reattn::kernels::cuda {

// False where x is too long: nothing was launched.
bool launch_gemv_row(Context& ctx, const gemv_parts::Params& p, bool gate_up);

}  // namespace reattn::kernels::cuda
