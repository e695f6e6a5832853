// Memory of the CPU devices.
#pragma once

#include <cstddef>

namespace reattn::kernels::cpu {

// 64-byte aligned, uninitialised, its pages already there. Throws Error(kOomHost) when more than
// the machine has left is asked for: an allocation that only overcommit would grant fails here, not
// when it is touched.
void* allocate_memory(size_t bytes);
void release_memory(void* memory) noexcept;

}  // namespace reattn::kernels::cpu
