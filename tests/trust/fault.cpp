#include "tests/trust/fault.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <new>

namespace reattn::test {
namespace {

Fault armed;                     // written before `calls`, read after
std::atomic<uint32_t> calls{0};  // 0: disarmed
std::atomic<int64_t> n_counted{0};
std::atomic<bool> has_struck{false};

bool strikes(Call call) {
  if (!(calls.load(std::memory_order_acquire) & static_cast<uint32_t>(call))) return false;
  const int64_t n = n_counted.fetch_add(1);
  if (n != armed.at && !(armed.and_all_after && n > armed.at)) return false;
  has_struck.store(true);
  return true;
}

bool fails(Call call) {
  if (!strikes(call)) return false;
  errno = armed.error;
  return true;
}

// What stands behind the definition here.
template <class F>
F* next(F* /*of this type*/, const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

void* allocate(size_t n) {
  return strikes(Call::kAllocation) ? nullptr : std::malloc(n > 0 ? n : 1);
}

void* allocate_or_throw(size_t n) {
  if (void* memory = allocate(n)) return memory;
  throw std::bad_alloc();
}

}  // namespace

void arm(const Fault& fault) {
  armed = fault;
  n_counted.store(0);
  has_struck.store(false);
  calls.store(fault.calls, std::memory_order_release);
}

bool disarm() {
  calls.store(0);
  return has_struck.load();
}

}  // namespace reattn::test

using reattn::test::Call;
namespace test = reattn::test;

void* operator new(size_t n) {
  return test::allocate_or_throw(n);
}
void* operator new[](size_t n) {
  return test::allocate_or_throw(n);
}
void* operator new(size_t n, const std::nothrow_t&) noexcept {
  return test::allocate(n);
}
void* operator new[](size_t n, const std::nothrow_t&) noexcept {
  return test::allocate(n);
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete[](void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, size_t) noexcept {
  std::free(p);
}
void operator delete[](void* p, size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}
void operator delete[](void* p, const std::nothrow_t&) noexcept {
  std::free(p);
}

extern "C" {

void* aligned_alloc(size_t alignment, size_t n) noexcept {
  if (test::strikes(Call::kAllocation)) return nullptr;
  static auto* const real = test::next(&aligned_alloc, "aligned_alloc");
  return real(alignment, n);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* argument) noexcept {
  if (test::strikes(Call::kThread)) return EAGAIN;
  static auto* const real = test::next(&pthread_create, "pthread_create");
  return real(thread, attributes, run, argument);
}

int stat(const char* path, struct stat* out) noexcept {
  if (test::fails(Call::kStat)) return -1;
  static auto* const real =
      test::next(static_cast<int (*)(const char*, struct stat*)>(&stat), "stat");
  return real(path, out);
}

int lstat(const char* path, struct stat* out) noexcept {
  if (test::fails(Call::kStat)) return -1;
  static auto* const real = test::next(&lstat, "lstat");
  return real(path, out);
}

int fstat(int fd, struct stat* out) noexcept {
  if (test::fails(Call::kStat)) return -1;
  static auto* const real = test::next(&fstat, "fstat");
  return real(fd, out);
}

int open(const char* path, int flags, ...) {
  if (test::fails(Call::kOpen)) return -1;
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  static auto* const real = test::next(&open, "open");
  return real(path, flags, mode);
}

ssize_t pread(int fd, void* out, size_t n, off_t at) {
  static auto* const real = test::next(&pread, "pread");
  if (test::strikes(Call::kRead)) {
    if (test::armed.ends_early) return 0;
    errno = test::armed.error;
    if (errno != 0) return -1;
    n = std::max<size_t>(1, n / 2);
  }
  return real(fd, out, n, at);
}

ssize_t pwrite(int fd, const void* bytes, size_t n, off_t at) {
  static auto* const real = test::next(&pwrite, "pwrite");
  if (test::strikes(Call::kWrite)) {
    errno = test::armed.error;
    if (errno != 0) return -1;
    n = std::max<size_t>(1, n / 2);
  }
  return real(fd, bytes, n, at);
}

int fsync(int fd) {
  if (test::fails(Call::kSync)) return -1;
  static auto* const real = test::next(&fsync, "fsync");
  return real(fd);
}

// The descriptor is gone also where closing fails, as on Linux.
int close(int fd) {
  static auto* const real = test::next(&close, "close");
  const int result = real(fd);
  return test::fails(Call::kClose) ? -1 : result;
}

int rename(const char* from, const char* to) noexcept {
  if (test::fails(Call::kRename)) return -1;
  static auto* const real = test::next(&rename, "rename");
  return real(from, to);
}

int fchmod(int fd, mode_t mode) noexcept {
  if (test::fails(Call::kChmod)) return -1;
  static auto* const real = test::next(&fchmod, "fchmod");
  return real(fd, mode);
}

}  // extern "C"
