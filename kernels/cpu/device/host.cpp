// Reads affinity, control group limits (version 2), memory and the processor's name.
#include "kernels/cpu/device/host.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

namespace reattn::kernels::cpu {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
// Left to the rest of the process: allocating the very last page ends in the kernel's OOM killer.
constexpr int64_t kReserveBytes = int64_t{64} << 20;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The process's own control group and those above it, innermost first: each one's limit holds.
std::vector<std::string> control_groups() {
  std::vector<std::string> folders;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("0::/", 0) != 0) continue;
    for (std::string path = line.substr(3);;) {
      folders.push_back("/sys/fs/cgroup" + path);
      const size_t slash = path.rfind('/');
      if (path.size() <= 1 || slash == std::string::npos) break;
      path.resize(std::max<size_t>(slash, 1));
    }
  }
  return folders;
}

// kNoLimit where the file is absent or says "max".
int64_t number_in(const std::string& path) {
  std::istringstream line(first_line(path));
  int64_t value = 0;
  return line >> value && value >= 0 ? value : kNoLimit;
}

int32_t affinity_count() {
  for (int n_cpus = 1024; n_cpus <= (1 << 20); n_cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(n_cpus),
                                                               [](cpu_set_t* s) { CPU_FREE(s); });
    if (!set) break;
    const size_t bytes = CPU_ALLOC_SIZE(n_cpus);
    if (sched_getaffinity(0, bytes, set.get()) == 0) return CPU_COUNT_S(bytes, set.get());
  }
  return static_cast<int32_t>(std::thread::hardware_concurrency());
}

int64_t meminfo_bytes(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) != 0) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    int64_t kib = 0;
    if (rest >> kib) return kib * 1024;
  }
  return 0;
}

}  // namespace

int32_t usable_processors() {
  int64_t n = affinity_count();
  for (const std::string& folder : control_groups()) {
    std::istringstream line(first_line(folder + "/cpu.max"));
    int64_t quota = 0, period = 0;  // µs; quota "max" fails to parse: no limit
    if (line >> quota >> period && quota > 0 && period > 0) n = std::min(n, quota / period);
  }
  return static_cast<int32_t>(std::max<int64_t>(n, 1));
}

HostMemory host_memory() {
  HostMemory memory{meminfo_bytes("MemTotal"), meminfo_bytes("MemAvailable")};
  for (const std::string& folder : control_groups()) {
    const int64_t limit = number_in(folder + "/memory.max");
    if (limit == kNoLimit) continue;
    memory.total = std::min(memory.total, limit);
    const int64_t current = number_in(folder + "/memory.current");
    if (current != kNoLimit) memory.free = std::min(memory.free, limit - current);
  }
  memory.free = std::max<int64_t>(memory.free - kReserveBytes, 0);
  return memory;
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t at = line.find_first_not_of(" \t", line.find(':') + 1);
    if (at != std::string::npos) return line.substr(at);
  }
  return "CPU";
}

}  // namespace reattn::kernels::cpu
