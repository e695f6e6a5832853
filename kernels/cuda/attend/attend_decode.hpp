// Attention for few queries over the selected set: memory-bound, so split over the whole GPU.
#pragma once

#include <span>

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/attend.hpp"

namespace reattn::kernels::cuda {

// At most 8 queries, F32, F16 or BF16 pages, head_dim a multiple of 8 and at most 256.
bool attend_decode_fits(const AttendArgs&);
// All of the list fits; nothing is asked of its entries in common, but equal geometries share a launch. q, the RoPE table and the
// pages begin at multiples of 16 bytes.
void attend_decode(Context&, std::span<const AttendArgs>);

}  // namespace reattn::kernels::cuda
