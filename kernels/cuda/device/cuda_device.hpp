// One GPU as a device of the kernels' interface.
#pragma once

#include <memory>

#include "reattn/kernels/device.hpp"

namespace reattn::kernels::cuda {

// Throws Error(kNoDevice): no such device, or it cannot run this build.
DeviceInfo device_info(int32_t index);
// Throws Error(kNoDevice): no such device, or it cannot run this build.
std::shared_ptr<Device> make_device(int32_t index);

}  // namespace reattn::kernels::cuda
