// Made-up weights: the same numbers on every device.
#pragma once

#include <cstdint>

namespace reattn::kernels {

struct RandomArgs {
  uint64_t seed;
  float deviation;  // standard deviation
};

// Element i of a made-up matrix: uniform, mean 0. constexpr, so that device code may call it too.
constexpr float random_element(const RandomArgs& a, uint64_t i) {
  uint64_t z = (a.seed << 40) + i + 0x9E3779B97F4A7C15u;  // splitmix64, Steele, Lea and Flood 2014
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  const auto centred = static_cast<int32_t>(z >> 40) - (1 << 23);  // 24 bits: exact as f32
  return static_cast<float>(centred) * (a.deviation * 1.7320508F * 0x1p-23F);
}

}  // namespace reattn::kernels
