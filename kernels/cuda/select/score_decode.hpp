// Scoring for few queries: a scan of the middle keys at the memory's speed.
#pragma once

#include <span>

#include "kernels/cuda/device/context.hpp"
#include "reattn/kernels/select.hpp"

namespace reattn::kernels::cuda {

// At most 8 queries, 16 query heads a KV head, F16 or BF16 pages, head_dim 64, 80, 96, 112, 128 or 256, no block1.
bool score_decode_fits(const ScoreArgs&);
// All of the list fits; nothing is asked of its entries in common, but equal geometries share a launch. q and the
// pages begin at multiples of 16 bytes.
void score_decode(Context&, std::span<const ScoreArgs>);

}  // namespace reattn::kernels::cuda
