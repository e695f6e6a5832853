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
  // Throws Error(kNoDevice): no such device; kOomDevice.
  std::shared_ptr<Device> (*make_device)(int32_t index);
};

}  // namespace reattn::kernels

// The one symbol a plug-in exports.
extern "C" const reattn::kernels::Plugin* reattn_plugin();
