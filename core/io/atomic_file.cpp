// Replacing a file all at once: write beside it, flush, rename, flush the directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>

#include "core/io/file.hpp"
#include "core/io/system_error.hpp"

namespace reattn::io {
namespace {

// Not made from the target's name, which may already be as long as a name can be.
std::string temporary_name(const std::string& directory) {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  std::random_device random;
  std::string name = directory + "/.reattn-";
  for (int i = 0; i < 4; ++i) {
    for (uint32_t bits = random(), j = 0; j < 4; ++j, bits >>= 5)
      name.push_back(kDigits[bits & 31]);
  }
  return name + ".tmp";
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void write_all(int fd, const std::string& path, uint64_t offset, std::span<const std::byte> bytes) {
  constexpr size_t kMostAtOnce = size_t{1} << 30;
  while (!bytes.empty()) {
    const ssize_t n = retry([&] {
      return ::pwrite(fd, bytes.data(), std::min(bytes.size(), kMostAtOnce),
                      static_cast<off_t>(offset));
    });
    if (n < 0) fail_system(path, concat("cannot be written at byte ", offset), errno);
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void sync_all(int fd, const std::string& path) {
  if (retry([&] { return ::fsync(fd); }) != 0) {
    fail_system(path, "cannot be flushed to the disk", errno);
  }
}

void sync_directory(const std::string& directory, const std::string& path) {
  const int fd =
      retry([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) {
    // A directory may be writable and not readable; then there is no way to flush it.
    if (errno == EACCES) return;
    fail_system(path, "is in place, but its directory cannot be flushed", errno);
  }
  const int result = retry([&] { return ::fsync(fd); });
  const int error = errno;
  ::close(fd);
  // EINVAL: a file system without this operation on directories.
  if (result != 0 && error != EINVAL) {
    fail_system(path, "is in place, but its directory cannot be flushed", error);
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), directory_(directory_of(path)) {
  if (path.empty() || path.back() == '/' || path.find('\0') != std::string::npos) {
    fail(ErrorCode::kIo, "'", base::printable(path, kPathBytes), "' does not name a file to write");
  }
  struct stat info {};
  const bool exists = ::lstat(path.c_str(), &info) == 0;
  if (!exists && errno != ENOENT) fail_system(path, "cannot be written", errno);
  if (exists && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
    fail(ErrorCode::kIo, base::printable(path, kPathBytes), ": cannot be replaced: it is ",
         S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
  }
  for (int attempt = 0; fd_ < 0; ++attempt) {
    temporary_ = temporary_name(directory_);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno != EINTR && (errno != EEXIST || attempt >= 100)) {
      fail_system(path, "cannot be written", errno);
    }
  }
  if (exists && S_ISREG(info.st_mode) && ::fchmod(fd_, info.st_mode & 0777) != 0) {
    const int error = errno;
    ::close(fd_);
    ::unlink(temporary_.c_str());
    fail_system(path, "cannot be written with the permissions it has", error);
  }
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_all(fd_, path_, size_, bytes);
  size_ += bytes.size();
}

void AtomicFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  write_all(fd_, path_, offset, bytes);
}

void AtomicFile::commit() {
  sync_all(fd_, path_);
  const int fd = fd_;
  fd_ = -1;
  // Some network file systems report a failed write only here.
  if (::close(fd) != 0 && errno != EINTR) fail_system(path_, "cannot be closed", errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail_system(path_, "cannot be replaced", errno);
  }
  temporary_.clear();
  sync_directory(directory_, path_);
}

}  // namespace reattn::io
