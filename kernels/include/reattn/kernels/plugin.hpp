// What libreattn and a device plug-in built beside it know of each other. Both sides are C++ of one build: the build id,
// a hash over these headers and the compiler, is compared before anything else is touched.
#pragma once

#include <cstdint>
#include <memory>

#include "reattn/kernels/device.hpp"

namespace reattn::kernels {

struct Plugin {
  const char* build_id;  // first, so that it can be read whatever follows
  // Devices that can be used. Throws Error(kNoDevice) with the reason where there is no driver, or too old a one.
  int32_t (*device_count)();
  // What it is and what is free on it, without taking hold of it.
  DeviceInfo (*device_info)(int32_t index);
  // Throws Error(kNoDevice): no such device, or it cannot run this build; kOomDevice.
  std::shared_ptr<Device> (*make_device)(int32_t index);
};

}  // namespace reattn::kernels

// The one symbol a plug-in exports.
extern "C" const reattn::kernels::Plugin* reattn_plugin();
