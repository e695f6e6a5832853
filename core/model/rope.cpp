#include "core/model/rope.hpp"

#include <cmath>
#include <vector>

namespace reattn::model {

size_t Rope::bytes(const Config& config, int64_t n_positions) {
  return static_cast<size_t>(n_positions * config.head_dim) * sizeof(float);
}

Rope::Rope(std::shared_ptr<kernels::Device> device, const Config& config, int64_t n_positions)
    : buffer_(device, bytes(config, n_positions)) {
  const int64_t half = config.head_dim / 2;
  const size_t n = static_cast<size_t>(n_positions * half);
  std::vector<float> angles(2 * n);
  for (int64_t i = 0; i < half; ++i) {
    const double frequency =
        std::pow(config.rope_freq_base,
                 -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    for (int64_t p = 0; p < n_positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      const size_t at = static_cast<size_t>(p * half + i);
      angles[at] = static_cast<float>(std::cos(angle));
      angles[n + at] = static_cast<float>(std::sin(angle));
    }
  }
  kernels::Stream stream;
  device->upload(stream, buffer_.as(), angles.data(), angles.size() * sizeof(float));
  table_ = {buffer_.as<float>(), buffer_.as<float>() + n, n_positions, config.rope_layout};
}

}  // namespace reattn::model
