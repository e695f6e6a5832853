// The plug-in of this process, and the devices that models are opened on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/device/backend.hpp"

namespace reattn::capi {

// The plug-in: the one reattn_backend_load named, else the one beside this library, opened at the first call. Throws
// Error(kNoDevice) with the reason, the same one every time.
std::shared_ptr<device::Backend> backend();
// Throws Error(kBusy) where another one is in use already, and what Backend throws.
void load_backend(const std::string& path);

// kind: REATTN_DEVICE_*; AUTO takes CUDA device `index` where it can, and says in the log what it took and why.
std::shared_ptr<kernels::Device> open_device(int32_t kind, int32_t index, int32_t n_threads);

}  // namespace reattn::capi
