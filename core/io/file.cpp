// Reading regular files.
#include "core/io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "core/io/system_error.hpp"

namespace reattn::io {
namespace {

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode)) return "a character device";
  if (S_ISBLK(mode)) return "a block device";
  return "not a regular file";
}

void check_regular(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode)) {
    fail(ErrorCode::kIo, base::printable(path, kPathBytes), ": is ", kind_of(info.st_mode),
         ", expected a regular file");
  }
}

// Of what has the name; none: nothing has.
std::optional<mode_t> mode_of(const std::string& path, int (*ask)(const char*, struct stat*)) {
  struct stat info {};
  if (ask(path.c_str(), &info) == 0) return info.st_mode;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  fail_system(path, "cannot be examined", errno);
}

}  // namespace

bool exists(const std::string& path) {
  return mode_of(path, ::lstat).has_value();
}

bool is_directory(const std::string& path) {
  const auto mode = mode_of(path, ::stat);
  return mode && S_ISDIR(*mode);
}

File File::open(const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    fail(ErrorCode::kIo, base::printable(path, kPathBytes), ": the path holds a NUL byte");
  }
  // Looked at before it is opened, as opening a device can already do something to it.
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) fail_system(path, "cannot be opened", errno);
  check_regular(path, info);

  File file;
  file.path_ = path;
  file.fd_ =
      retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); });
  if (file.fd_ < 0) fail_system(path, "cannot be opened", errno);
  if (::fstat(file.fd_, &info) != 0) fail_system(path, "cannot be examined", errno);
  check_regular(path, info);
  file.size_ = static_cast<uint64_t>(info.st_size);
  return file;
}

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

void File::read_at(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    fail(ErrorCode::kFormat, base::printable(path_, kPathBytes), ": ", out.size(),
         " bytes are needed at byte ", offset, ", the file has ", size_, " bytes");
  }
  constexpr size_t kMostAtOnce = size_t{1} << 30;  // some systems refuse 2 GiB and more
  while (!out.empty()) {
    const ssize_t n = retry([&] {
      return ::pread(fd_, out.data(), std::min(out.size(), kMostAtOnce),
                     static_cast<off_t>(offset));
    });
    if (n < 0) fail_system(path_, concat("cannot be read at byte ", offset), errno);
    if (n == 0) {
      fail(ErrorCode::kFormat, base::printable(path_, kPathBytes), ": ends at byte ", offset,
           ", it had ", size_, " bytes when it was opened");
    }
    offset += static_cast<uint64_t>(n);
    out = out.subspan(static_cast<size_t>(n));
  }
}

}  // namespace reattn::io
