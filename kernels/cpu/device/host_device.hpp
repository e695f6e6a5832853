// What the CPU devices have in common: host memory is their device memory.
#pragma once

#include <mutex>

#include "reattn/kernels/device.hpp"

namespace reattn::kernels::cpu {

class HostDevice : public Device {
 public:
  // Unpacked weight tiles, packed keys, score tiles: measured below this on the models at hand.
  uint64_t scratch_bytes() const override { return uint64_t{128} << 20; }

  void* allocate(size_t bytes) override;
  void release(void* memory, size_t bytes) noexcept override;
  void upload(Stream& s, void* to_device, const void* from_host, size_t bytes) override;
  void download(Stream& s, void* to_host, const void* from_device, size_t bytes) override;
  void copy(Stream& s, void* to, const void* from, size_t bytes) override;

 protected:
  static DeviceInfo describe(std::string instructions, int32_t n_threads);

 private:
  std::mutex allocating_;  // one at a time: what is free is asked, then taken
};

}  // namespace reattn::kernels::cpu
