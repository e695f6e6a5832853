// A block of an input row as the machine multiplies it with blocks of weights.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reattn::kernels::cpu {

constexpr float kRoundedMost = 8'355'600;  // three int8 hold up to 127 · 65,536 + 127 · 256 + 127

struct RoundedBlock {
  // 32 of them: int8 [3, 32], highest bytes first, or float [32]
  alignas(64) std::byte numbers[128];
  // [·][h], h < 2: what is added to the sum of products of unsigned weights with half h; else 0
  int32_t offsets[3][4];
  float scale;  // x ≈ number · scale
  float sum;    // of the block's x
};

}  // namespace reattn::kernels::cpu
