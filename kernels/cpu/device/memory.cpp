// Asks the machine before it allocates, and touches what it got before the next one asks.
#include "kernels/cpu/device/memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#include "kernels/cpu/device/host.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kCheckedBytes = size_t{64} << 10;

}  // namespace

void* allocate_memory(size_t bytes) {
  if (bytes >= kCheckedBytes) {
    const auto free = static_cast<uint64_t>(host_memory().free);
    if (bytes > free) {
      fail(ErrorCode::kOomHost, bytes, " bytes were asked for, ", free, " bytes are free");
    }
  }
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : 64;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) {
    fail(ErrorCode::kOomHost, bytes, " bytes were asked for, the process cannot have them");
  }
  // A refusal costs speed only.
  if (alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
  if (bytes >= kCheckedBytes) {
    auto* touched = static_cast<volatile char*>(memory);
    for (size_t at = 0; at < bytes; at += kPage) touched[at] = 0;
  }
  return memory;
}

void release_memory(void* memory) noexcept {
  std::free(memory);
}

}  // namespace reattn::kernels::cpu
