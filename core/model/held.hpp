// How a device is asked to hold weights, and the bytes of a matrix held so.
#pragma once

#include <cstdint>

#include "reattn/kernels/device.hpp"

namespace reattn::model {

// Of the layers' matrices: the embedding and the output matrix are always held as the device wants them.
enum class WeightType : int32_t { kAuto, kF8 };

inline void check_weight_type(const kernels::Device& device, WeightType type) {
  if (type == WeightType::kF8 && !device.holds_f8()) {
    fail(ErrorCode::kUnsupported, "weights is fp8, the device '", device.info().kind,
         "' holds no weights in FP8");
  }
}

// F8's scales lie behind the elements, in one block of memory.
struct Held {
  kernels::DType type;
  int64_t n_rows, n_cols;

  uint64_t element_bytes() const {
    return static_cast<uint64_t>(n_rows * kernels::row_bytes(type, n_cols));
  }
  uint64_t scales_at() const { return (element_bytes() + 63) / 64 * 64; }
  uint64_t bytes() const {
    if (type != kernels::DType::kF8) return element_bytes();
    return scales_at() + static_cast<uint64_t>(n_rows) * sizeof(float);
  }
  kernels::Matrix at(const std::byte* memory) const {
    return {memory, type, n_rows, n_cols,
            type == kernels::DType::kF8 ? reinterpret_cast<const float*>(memory + scales_at())
                                        : nullptr};
  }
};

}  // namespace reattn::model
