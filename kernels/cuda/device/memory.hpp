// All device memory lies in one range of addresses, which physical memory is mapped into as it is asked for. One TMA tensor map
// over the range serves every cache page there will ever be.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace reattn::kernels::cuda {

class Memory {
 public:
  explicit Memory(int32_t device);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // 256-byte aligned. What was released may be handed out again at once: work on it is ordered by the one stream.
  // Throws Error(kOomDevice) naming the bytes asked for and free.
  void* allocate(size_t bytes);
  void release(void* memory, size_t bytes) noexcept;

  std::byte* base() const { return reinterpret_cast<std::byte*>(base_); }
  size_t range_bytes() const { return range_bytes_; }
  int64_t total() const { return total_; }
  int64_t free() const;  // what allocate could still give

 private:
  struct Block {
    size_t bytes;
    CUmemGenericAllocationHandle handle;
  };
  static size_t slab_class(size_t bytes);  // rounded up to what slabs are cut into
  void* allocate_small(size_t bytes);
  size_t map_block(size_t bytes);  // offset
  size_t take_addresses(size_t bytes);
  void give_addresses(size_t offset, size_t bytes) noexcept;
  bool trim() noexcept;  // unmaps what is kept for later; false where there was nothing
  void unmap(size_t offset) noexcept;

  int32_t device_;
  CUdeviceptr base_ = 0;
  size_t range_bytes_ = 0;
  size_t granularity_ = 0;
  int64_t total_ = 0;

  mutable std::mutex mutex_;
  std::map<size_t, size_t> holes_;              // offset -> bytes of free addresses
  std::map<size_t, Block> mapped_;              // by offset
  std::map<size_t, std::vector<size_t>> kept_;  // bytes -> offsets, mapped and unused
  size_t kept_bytes_ = 0;
  struct Pieces {
    std::vector<void*> free;  // its capacity is that of all slabs of this size
    size_t n_slabs = 0;
  };
  std::map<size_t, Pieces> small_;  // by the bytes of a piece
};

}  // namespace reattn::kernels::cuda
