// A plug-in with devices, opened at run time: libreattn_cuda.so.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "reattn/kernels/plugin.hpp"

namespace reattn::device {

// Never unloaded: what a device library starts in a process it does not stop. Any thread.
class Backend {
 public:
  // path empty: the file beside the library this code is in. Throws Error(kNoDevice) with the reason: no such file, not a
  // plug-in, or one of another build.
  explicit Backend(const std::string& path);

  const std::string& path() const { return path_; }
  // What follows throws Error(kNoDevice) with the reason where the machine has none that can be used.
  int32_t n_devices() const;
  kernels::DeviceInfo info(int32_t index) const;
  // One object for each device, shared by all who use it at the same time.
  std::shared_ptr<kernels::Device> device(int32_t index);

 private:
  std::string path_;
  const kernels::Plugin* plugin_ = nullptr;
  std::mutex mutex_;
  std::vector<std::weak_ptr<kernels::Device>> devices_;
};

}  // namespace reattn::device
