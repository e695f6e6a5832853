// A block of device memory with an owner.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "reattn/kernels/device.hpp"

namespace reattn::device {

class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<kernels::Device> device, size_t bytes)
      : device_(std::move(device)), bytes_(bytes), memory_(device_->allocate(bytes)) {}
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }

  size_t bytes() const { return bytes_; }
  template <class T = void>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void reset() noexcept {
    if (memory_) device_->release(memory_, bytes_);
    memory_ = nullptr;
  }
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(bytes_, other.bytes_);
    std::swap(memory_, other.memory_);
  }

  std::shared_ptr<kernels::Device> device_;
  size_t bytes_ = 0;
  void* memory_ = nullptr;
};

}  // namespace reattn::device
