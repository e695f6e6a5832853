// Angles of the contiguous positions that a session's steps use.
#pragma once

#include <memory>

#include "core/device/buffer.hpp"
#include "core/model/config.hpp"

namespace reattn::model {

class Rope {
 public:
  // Positions 0 … n_positions − 1, angles computed in f64.
  Rope(std::shared_ptr<kernels::Device> device, const Config& config, int64_t n_positions);

  const kernels::RopeTable& table() const { return table_; }
  // Of layers with a sliding window: as many positions as it has, none where there are no such layers.
  const kernels::RopeTable& sliding_table() const { return sliding_table_; }
  static size_t bytes(const Config& config, int64_t n_positions);

 private:
  device::Buffer buffer_;  // f32 [cos, sin][n_positions, head_dim / 2], of both tables
  kernels::RopeTable table_{}, sliding_table_{};
};

}  // namespace reattn::model
