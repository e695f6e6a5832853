// Working memory of the kernels: blocks that are kept and lent again, so that no step pays for fresh pages.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace reattn::kernels::cpu {

class ScratchPool {
 public:
  class Lease {  // 64-byte aligned, uninitialised; goes back to the pool at the end of its life
   public:
    Lease(ScratchPool& pool, size_t bytes);
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
    size_t bytes_;
  };
  ~ScratchPool();

 private:
  struct Block {
    void* memory;
    size_t bytes;
  };
  std::mutex mutex_;
  std::vector<Block> free_;
};

}  // namespace reattn::kernels::cpu
