// Working memory of one operation. Operations run one after the other on one stream, so they share a block that only grows.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/cuda/device/memory.hpp"

namespace reattn::kernels::cuda {

class Scratch {
 public:
  explicit Scratch(Memory& memory) : memory_(memory) {}
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // Everything taken before is free again. `bytes` is what the next takes may sum up to, their alignment included.
  void begin(size_t bytes);
  // 256-byte aligned; valid until the next begin().
  template <class T>
  T* take(size_t n) {
    return static_cast<T*>(take_bytes(n * sizeof(T)));
  }
  static constexpr size_t padded(size_t bytes) { return (bytes + 255) / 256 * 256; }

 private:
  void* take_bytes(size_t bytes);

  Memory& memory_;
  std::byte* block_ = nullptr;
  size_t bytes_ = 0, used_ = 0;
};

}  // namespace reattn::kernels::cuda
