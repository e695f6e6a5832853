// Fuzzes the snapshot file: any bytes are refused with an Error, or give a whole snapshot. The first
// byte of an input says which checksums are made right, so that what lies behind them is reached.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/io/checksum.hpp"
#include "reattn/kernels/error.hpp"
#include "tests/fuzz/snapshot_case.hpp"

namespace {

using namespace reattn;

constexpr size_t kHeaderBytes = 256;

void require(bool condition) {
  if (!condition) std::abort();
}

template <class T>
T field(const std::vector<uint8_t>& file, size_t offset) {
  T value;
  std::memcpy(&value, &file[offset], sizeof value);
  return value;
}

void repair(std::vector<uint8_t>& file, size_t begin, size_t end) {
  if (end > file.size() || file.size() - end < sizeof(uint64_t)) return;
  const uint64_t sum = io::checksum(&file[begin], end - begin);
  std::memcpy(&file[end], &sum, sizeof sum);
}

// Offsets as in docs/snapshot-format.md.
void repair_blocks(std::vector<uint8_t>& file) {
  const auto n_tokens = field<uint64_t>(file, 120);
  if (n_tokens > 2000) return;
  const size_t element = field<int32_t>(file, 112) == 0 ? 4 : 2;
  const bool is_int8 = field<uint32_t>(file, 132) == 1;
  const auto n_planes = 2 * static_cast<size_t>(test::kIdentity.n_layers);
  const auto width = n_planes * static_cast<size_t>(test::kIdentity.head_dim);
  const auto page_bytes = [&](size_t rows) {
    const size_t n_blocks = is_int8 ? rows / 128 : 0;
    return n_blocks * (128 * width + n_planes * sizeof(float)) +
           (rows - 128 * n_blocks) * width * element;
  };
  std::vector<size_t> blocks{4 * n_tokens, 4 * n_tokens,
                             field<uint32_t>(file, 116) ? 4 * size_t{8} : 0};
  for (size_t at = 0; at < n_tokens; at += 512)
    blocks.push_back(page_bytes(std::min<size_t>(512, n_tokens - at)));
  size_t begin = kHeaderBytes;
  for (const size_t bytes : blocks) {
    if (begin + bytes > file.size()) return;
    repair(file, begin, begin + bytes);
    begin += bytes + sizeof(uint64_t);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::vector<uint8_t> file(data + 1, data + size);
  if (file.size() >= kHeaderBytes) {
    if (data[0] & 1) repair(file, 0, kHeaderBytes - sizeof(uint64_t));
    if (data[0] & 2) repair_blocks(file);
  }
  static const int fd = ::memfd_create("snapshot", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  static const auto device = std::make_shared<test::HostMemory>();
  require(::ftruncate(fd, 0) == 0);
  require(::pwrite(fd, file.data(), file.size(), 0) == static_cast<ssize_t>(file.size()));
  try {
    const auto s = cache::open(path, test::kIdentity, device);
    require(s->identity == test::kIdentity);
    require(static_cast<int64_t>(s->ids.size()) == s->cache.n_tokens());
    require(s->logprobs.size() == s->ids.size());
    require(s->logits.empty() || s->logits.size() == 8);
    for (const int32_t id : s->ids) require(id >= 0 && id < 8);
    require(s->cache.n_pages() == cache::Layout::n_pages(s->cache.n_tokens()));
  } catch (const Error& e) {
    require(e.code() == ErrorCode::kFormat || e.code() == ErrorCode::kUnsupported ||
            e.code() == ErrorCode::kMismatch || e.code() == ErrorCode::kOomHost);
  }
  return 0;
}
