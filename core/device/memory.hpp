// Asking for memory that may not be there, before anything is done that needs it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "reattn/kernels/device.hpp"

namespace reattn::device {

inline uint64_t free_bytes(const kernels::DeviceInfo& info) {
  return static_cast<uint64_t>(std::max<int64_t>(0, info.memory_free));
}

// Throws Error(kOomHost or kOomDevice) where `what` ("the weights of x.gguf take") is more than the device has free.
inline void check_free(const kernels::Device& device, uint64_t bytes, std::string_view what) {
  const kernels::DeviceInfo info = device.info();
  if (bytes <= free_bytes(info)) return;
  fail(info.kind == "cpu" ? ErrorCode::kOomHost : ErrorCode::kOomDevice, what, " ", bytes,
       " bytes, ", free_bytes(info), " are free");
}

}  // namespace reattn::device
