// What the process may use of the machine it runs on.
#pragma once

#include <cstdint>
#include <string>

namespace reattn::kernels::cpu {

// Processors of the affinity mask, no more than the control group's quota pays for; at least 1.
int32_t usable_processors();

struct HostMemory {
  int64_t total = 0;  // bytes, limited by the control group's memory.max
  int64_t free = 0;   // bytes that could be allocated and touched now
};
HostMemory host_memory();

// The processor's brand string, or "CPU" where the machine tells none.
std::string processor_name();

}  // namespace reattn::kernels::cpu
