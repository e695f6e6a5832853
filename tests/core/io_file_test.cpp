// Files: what opens, what reads, and that a replaced file is always the old or the new one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/io/file.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/gguf_builder.hpp"

namespace reattn::io {
namespace {

using test::TemporaryDirectory;

std::span<const std::byte> bytes_of(std::string_view s) {
  return std::as_bytes(std::span(s));
}

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

size_t n_entries(const std::string& directory) {
  size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    n += entry.exists() || entry.is_symlink();
  }
  return n;
}

std::string read(const File& file, uint64_t offset, size_t n) {
  std::string out(n, '?');
  file.read_at(offset, std::as_writable_bytes(std::span(out)));
  return out;
}

TEST(File, ReadsAtAnyOffset) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), bytes_of("0123456789"));
  const File file = File::open(dir.file("f"));
  EXPECT_EQ(file.size(), 10u);
  EXPECT_EQ(read(file, 0, 10), "0123456789");
  EXPECT_EQ(read(file, 7, 3), "789");
  EXPECT_EQ(read(file, 10, 0), "");
}

TEST(File, MovesItsDescriptor) {
  TemporaryDirectory dir;
  test::write_file(dir.file("a"), bytes_of("aa"));
  test::write_file(dir.file("b"), bytes_of("b"));
  File a = File::open(dir.file("a"));
  File b = File::open(dir.file("b"));
  File c = std::move(a);
  b = std::move(c);
  EXPECT_EQ(b.path(), dir.file("a"));
  EXPECT_EQ(read(b, 0, b.size()), "aa");
}

TEST(File, RefusesWhatIsPastTheEnd) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), bytes_of("0123456789"));
  const File file = File::open(dir.file("f"));
  std::byte buffer[4];
  test::expect_error(ErrorCode::kFormat, {"/f", "4 bytes", "byte 8", "10 bytes"},
                     [&] { file.read_at(8, buffer); });
  test::expect_error(ErrorCode::kFormat, {"/f", "18446744073709551615"},
                     [&] { file.read_at(~uint64_t{0}, buffer); });
}

TEST(File, ReportsThatItShrank) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), bytes_of("0123456789"));
  const File file = File::open(dir.file("f"));
  ASSERT_EQ(::truncate(dir.file("f").c_str(), 6), 0);
  std::byte buffer[4];
  test::expect_error(ErrorCode::kFormat, {"/f", "ends at byte 6", "10 bytes when it was opened"},
                     [&] { file.read_at(5, buffer); });
}

TEST(File, OpensRegularFilesOnly) {
  TemporaryDirectory dir;
  const auto refuses = [](const std::string& path, std::string_view what) {
    test::expect_error(ErrorCode::kIo, {path, what}, [&] { File::open(path); });
  };
  refuses(dir.path(), "is a directory");
  refuses("/dev/null", "is a character device");
  ASSERT_EQ(::mkfifo(dir.file("fifo").c_str(), 0600), 0);
  refuses(dir.file("fifo"), "is a FIFO");
  refuses(dir.file("missing"), "No such file or directory");
  refuses(dir.file("missing/deeper"), "No such file or directory");
  refuses("", "No such file or directory");

  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, dir.file("s").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  refuses(dir.file("s"), "is a socket");
  ::close(fd);

  test::write_file(dir.file("f"), bytes_of("x"));
  std::filesystem::create_symlink(dir.file("f"), dir.file("link"));
  EXPECT_EQ(File::open(dir.file("link")).size(), 1u);
  test::expect_error(ErrorCode::kIo, {"NUL byte"},
                     [&] { File::open(dir.file("f") + std::string(1, '\0') + "x"); });
}

TEST(File, EmptyFileOpens) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), {});
  EXPECT_EQ(File::open(dir.file("f")).size(), 0u);
}

TEST(AtomicFile, AppearsOnCommitOnly) {
  TemporaryDirectory dir;
  AtomicFile out(dir.file("f"));
  out.write(bytes_of("header--"));
  out.write(bytes_of("body"));
  EXPECT_EQ(out.size(), 12u);
  out.write_at(0, bytes_of("HEAD"));
  EXPECT_EQ(out.size(), 12u);
  EXPECT_FALSE(std::filesystem::exists(dir.file("f")));
  out.commit();
  EXPECT_EQ(content(dir.file("f")), "HEADer--body");
  EXPECT_EQ(n_entries(dir.path()), 1u);
}

TEST(AtomicFile, LeavesTheOldFileUnlessCommitted) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), bytes_of("old"));
  {
    AtomicFile out(dir.file("f"));
    out.write(bytes_of("new and longer"));
    EXPECT_EQ(content(dir.file("f")), "old");
  }
  EXPECT_EQ(content(dir.file("f")), "old");
  EXPECT_EQ(n_entries(dir.path()), 1u);
}

TEST(AtomicFile, KeepsPermissionsOfTheOldFile) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), bytes_of("old"));
  ASSERT_EQ(::chmod(dir.file("f").c_str(), 0640), 0);
  AtomicFile out(dir.file("f"));
  out.write(bytes_of("new"));
  out.commit();
  struct stat info {};
  ASSERT_EQ(::stat(dir.file("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_EQ(content(dir.file("f")), "new");
}

TEST(AtomicFile, ReplacesALinkNotItsTarget) {
  TemporaryDirectory dir;
  test::write_file(dir.file("target"), bytes_of("old"));
  std::filesystem::create_symlink(dir.file("target"), dir.file("link"));
  AtomicFile out(dir.file("link"));
  out.write(bytes_of("new"));
  out.commit();
  EXPECT_FALSE(std::filesystem::is_symlink(dir.file("link")));
  EXPECT_EQ(content(dir.file("link")), "new");
  EXPECT_EQ(content(dir.file("target")), "old");
}

TEST(AtomicFile, RefusesWhatItCannotReplace) {
  TemporaryDirectory dir;
  const auto refuses = [](const std::string& path, std::string_view what) {
    test::expect_error(ErrorCode::kIo, {path, what}, [&] { AtomicFile out(path); });
  };
  refuses(dir.path(), "is a directory");
  refuses(dir.file("missing/f"), "No such file or directory");
  refuses("/dev/null", "not a regular file");
  refuses("", "does not name a file");
  refuses(dir.path() + "/", "does not name a file");
  EXPECT_EQ(n_entries(dir.path()), 0u);
}

TEST(AtomicFile, TakesNamesAsLongAsTheyCanBe) {
  TemporaryDirectory dir;
  const std::string path = dir.file(std::string(255, 'n'));
  AtomicFile out(path);
  out.write(bytes_of("x"));
  out.commit();
  EXPECT_EQ(content(path), "x");
}

// The nearest thing to a full disk that needs no privileges: a limit on file sizes.
TEST(AtomicFile, AFailedWriteLeavesNothingBehind) {
  TemporaryDirectory dir;
  test::write_file(dir.file("f"), bytes_of("old"));
  const std::string large(100'000, 'x');
  rlimit old_limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old_limit), 0);
  const rlimit small_limit{65'536, old_limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small_limit), 0);
  test::expect_error(ErrorCode::kIo, {dir.file("f"), "byte 65536", "File too large"}, [&] {
    AtomicFile out(dir.file("f"));
    out.write(bytes_of(large));
  });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old_limit), 0);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(content(dir.file("f")), "old");
  EXPECT_EQ(n_entries(dir.path()), 1u);
}

TEST(AtomicFile, AFailedRenameLeavesNothingBehind) {
  TemporaryDirectory dir;
  {
    AtomicFile out(dir.file("f"));
    out.write(bytes_of("new"));
    std::filesystem::create_directories(dir.file("f") + "/in the way");
    test::expect_error(ErrorCode::kIo, {dir.file("f"), "directory"}, [&] { out.commit(); });
  }
  EXPECT_EQ(n_entries(dir.path()), 1u);
  EXPECT_TRUE(std::filesystem::is_directory(dir.file("f")));
}

}  // namespace
}  // namespace reattn::io
