// Lends the smallest kept block that is large enough; what is too small is replaced, not added to.
#include "kernels/cpu/device/scratch.hpp"

#include <cstdlib>
#include <limits>

#include "kernels/cpu/device/host.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr size_t kCheckedBytes = size_t{16} << 20;  // from here on the machine is asked first

// Steps of an eighth, so that a need that grows slowly does not allocate afresh each time.
size_t block_bytes(size_t bytes) {
  size_t step = 4096;
  while (step * 16 <= bytes) step *= 2;
  return bytes == 0 ? step : (bytes + step - 1) / step * step;
}

void* allocate_block(size_t bytes) {
  if (bytes >= kCheckedBytes) {
    const int64_t free = host_memory().free;
    if (bytes > static_cast<uint64_t>(free)) {
      fail(ErrorCode::kOomHost, "working memory of ", bytes, " bytes does not fit: ", free,
           " bytes are free");
    }
  }
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) {
    fail(ErrorCode::kOomHost, "working memory of ", bytes, " bytes could not be allocated");
  }
  return memory;
}

}  // namespace

ScratchPool::Lease::Lease(ScratchPool& pool, size_t bytes) : pool_(pool) {
  if (bytes > std::numeric_limits<size_t>::max() / 4) {
    fail(ErrorCode::kOomHost, "working memory of ", bytes, " bytes could not be allocated");
  }
  void* too_small = nullptr;
  {
    const std::lock_guard lock(pool.mutex_);
    auto best = pool.free_.end(), largest = pool.free_.end();
    for (auto b = pool.free_.begin(); b != pool.free_.end(); ++b) {
      if (b->bytes >= bytes && (best == pool.free_.end() || b->bytes < best->bytes)) best = b;
      if (largest == pool.free_.end() || b->bytes > largest->bytes) largest = b;
    }
    if (best != pool.free_.end()) {
      memory_ = best->memory;
      bytes_ = best->bytes;
      pool.free_.erase(best);
      return;
    }
    if (largest != pool.free_.end()) {
      too_small = largest->memory;
      pool.free_.erase(largest);
    } else {
      pool.free_.reserve(pool.n_blocks_ + 1);
      ++pool.n_blocks_;
    }
  }
  std::free(too_small);
  bytes_ = block_bytes(bytes);
  try {
    memory_ = allocate_block(bytes_);
  } catch (...) {
    const std::lock_guard lock(pool.mutex_);
    --pool.n_blocks_;
    throw;
  }
}

ScratchPool::Lease::~Lease() {
  const std::lock_guard lock(pool_.mutex_);
  pool_.free_.push_back({memory_, bytes_});
}

ScratchPool::~ScratchPool() {
  for (const Block& block : free_) std::free(block.memory);
}

}  // namespace reattn::kernels::cpu
