// Files as the engine reads and replaces them: whole reads at an offset, all-or-nothing writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace reattn::io {

// An open regular file, for reading. Move-only; reads from several threads at once are fine.
class File {
 public:
  // Throws kIo naming the path: it cannot be opened (with the system's reason), or it is a
  // directory, a FIFO, a device, a socket. Never blocks on a FIFO. An empty file opens.
  static File open(const std::string& path);

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  const std::string& path() const noexcept { return path_; }
  // Bytes the file had when it was opened.
  uint64_t size() const noexcept { return size_; }

  // Fills all of `out` from byte `offset` on. Throws kFormat where that is past size() or the file
  // shrank since, kIo where the system cannot read.
  void read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  File() = default;

  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Whether something has that name, a link to nothing included. Throws kIo where the system cannot tell.
bool exists(const std::string& path);
// Whether that is a directory, or a link to one; false where there is nothing. Throws as exists().
bool is_directory(const std::string& path);

// A file that appears under its name complete or not at all. It is written beside `path` under
// another name, and commit() puts it in place; until then, and after any failure, what stood at
// `path` is untouched. Where `path` is a symbolic link, the link is replaced, not what it points
// to. Every failure is kIo with the path and the system's reason. Not for concurrent use.
class AtomicFile {
 public:
  // Creates the temporary file. Throws where `path` names something other than a regular file or a
  // symbolic link. A file already there passes its permission bits on.
  explicit AtomicFile(const std::string& path);
  // Removes the temporary file unless commit() succeeded.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Appends all of `bytes`.
  void write(std::span<const std::byte> bytes);
  // Writes all of `bytes` at `offset`, which does not move where write() goes on; for a header
  // that is known last.
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  // Bytes appended so far.
  uint64_t size() const noexcept { return size_; }

  // Flushes to the disk, renames to `path`, flushes the directory. After it only destruction.
  void commit();

 private:
  std::string path_;
  std::string directory_;
  std::string temporary_;  // empty once renamed
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace reattn::io
