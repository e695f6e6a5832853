// What libreattn_cuda.so exports.
#include "reattn/kernels/plugin.hpp"

#include "kernels/cuda/device/cuda_device.hpp"
#include "kernels/cuda/device/driver.hpp"

extern "C" __attribute__((visibility("default"))) const reattn::kernels::Plugin* reattn_plugin() {
  static const reattn::kernels::Plugin plugin{
      .build_id = REATTN_BUILD_ID,
      .device_count = reattn::kernels::cuda::device_count,
      .device_info = reattn::kernels::cuda::device_info,
      .make_device = reattn::kernels::cuda::make_device,
  };
  return &plugin;
}
