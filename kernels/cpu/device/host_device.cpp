#include "kernels/cpu/device/host_device.hpp"

#include <cstring>
#include <utility>

#include "kernels/cpu/device/host.hpp"
#include "kernels/cpu/device/memory.hpp"

namespace reattn::kernels::cpu {

DeviceInfo HostDevice::describe(std::string instructions, int32_t n_threads) {
  const HostMemory memory = host_memory();
  return {"cpu", processor_name(), std::move(instructions), memory.total, memory.free, n_threads};
}

void* HostDevice::allocate(size_t bytes) {
  const std::lock_guard lock(allocating_);
  return allocate_memory(bytes);
}

void HostDevice::release(void* memory, size_t) noexcept {
  release_memory(memory);
}

void HostDevice::upload(Stream& s, void* to_device, const void* from_host, size_t bytes) {
  copy(s, to_device, from_host, bytes);
}

void HostDevice::download(Stream& s, void* to_host, const void* from_device, size_t bytes) {
  copy(s, to_host, from_device, bytes);
}

void HostDevice::copy(Stream&, void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memmove(to, from, bytes);
}

}  // namespace reattn::kernels::cpu
