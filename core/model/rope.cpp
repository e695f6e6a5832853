#include "core/model/rope.hpp"

#include <cmath>
#include <vector>

namespace reattn::model {

size_t Rope::bytes(const Config& config, int64_t n_positions) {
  return static_cast<size_t>((n_positions + config.n_sliding) * config.head_dim) * sizeof(float);
}

namespace {

// Appends cos and sin [n_positions, head_dim / 2] each; factors may be empty.
void append_table(const Config& config, double base, const std::vector<float>& factors,
                  int64_t n_positions, std::vector<float>& to) {
  const int64_t half = config.head_dim / 2;
  const size_t n = static_cast<size_t>(n_positions * half), begin = to.size();
  to.resize(begin + 2 * n);
  for (int64_t i = 0; i < half; ++i) {
    double frequency =
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
    if (!factors.empty()) frequency /= factors[static_cast<size_t>(i)];
    for (int64_t p = 0; p < n_positions; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      const size_t at = begin + static_cast<size_t>(p * half + i);
      to[at] = static_cast<float>(std::cos(angle));
      to[at + n] = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace

Rope::Rope(std::shared_ptr<kernels::Device> device, const Config& config, int64_t n_positions)
    : buffer_(device, bytes(config, n_positions)) {
  std::vector<float> angles;
  append_table(config, config.rope_freq_base, config.rope_factors, n_positions, angles);
  append_table(config, config.family.sliding_rope_freq_base, {}, config.n_sliding, angles);
  kernels::Stream stream;
  device->upload(stream, buffer_.as(), angles.data(), angles.size() * sizeof(float));
  const int64_t half = config.head_dim / 2;
  const auto table = [&](float* begin, int64_t n) {
    return kernels::RopeTable{begin, begin + n * half, n, config.rope_layout};
  };
  table_ = table(buffer_.as<float>(), n_positions);
  sliding_table_ = table(buffer_.as<float>() + 2 * n_positions * half, config.n_sliding);
}

}  // namespace reattn::model
