// Makes this process's own calls fail: memory, threads and what the library asks of the file system. Linked into a test program,
// these definitions stand before those of the C and C++ libraries, for the program and for libreattn.so alike.
#pragma once

#include <cstdint>

namespace reattn::test {

enum class Call : uint32_t {
  kAllocation = 1 << 0,  // operator new, aligned_alloc
  kThread = 1 << 1,      // pthread_create
  kStat = 1 << 2,        // stat, lstat, fstat
  kOpen = 1 << 3,
  kRead = 1 << 4,   // pread
  kWrite = 1 << 5,  // pwrite
  kSync = 1 << 6,   // fsync
  kClose = 1 << 7,
  kRename = 1 << 8,
  kChmod = 1 << 9,  // fchmod
};
constexpr uint32_t operator|(Call a, Call b) {
  return static_cast<uint32_t>(a) | static_cast<uint32_t>(b);
}

struct Fault {
  uint32_t calls = 0;          // the Calls that are counted
  int64_t at = 0;              // the first of them that fails
  bool and_all_after = false;  // else that one alone
  int error = 0;               // errno of it; of kRead and kWrite 0: does half of what is asked
  bool ends_early = false;     // of kRead: finds the end of the file instead
};

// From here to disarm() in any thread. What a test itself allocates between them counts too: it should do nothing there but call the
// library.
void arm(const Fault& fault);
// Whether a call failed.
bool disarm();

}  // namespace reattn::test
