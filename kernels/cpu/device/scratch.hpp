// Working memory of the kernels: blocks that are kept and lent again, so that no step pays for
// fresh pages.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace reattn::kernels::cpu {

// Any thread may take and give back leases. Holds as many blocks as were ever lent at once. The
// pool outlives its leases.
class ScratchPool {
 public:
  class Lease {  // 64-byte aligned, uninitialised; goes back to the pool at the end of its life
   public:
    Lease(ScratchPool& pool, size_t bytes);  // throws Error(kOomHost)
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    template <class T>
    T* as() const {
      return static_cast<T*>(memory_);
    }

   private:
    ScratchPool& pool_;
    void* memory_;
    size_t bytes_;  // of the block, not of the request
  };
  ScratchPool() = default;
  ~ScratchPool();
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;

 private:
  struct Block {
    void* memory;
    size_t bytes;
  };
  std::mutex mutex_;
  std::vector<Block> free_;
  size_t n_blocks_ = 0;  // free or lent; free_ always has room for them
};

}  // namespace reattn::kernels::cpu
