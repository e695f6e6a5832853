// Fuzzes the GGUF parser and its getters: any bytes are refused with an Error or can be read whole.
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <random>

#include "core/io/gguf.hpp"
#include "reattn/kernels/error.hpp"

using reattn::io::Gguf;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A regular file in memory, rewritten for each input.
const std::string& rewrite(const uint8_t* data, size_t size) {
  static const int fd = ::memfd_create("gguf", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  require(::ftruncate(fd, 0) == 0);
  require(::pwrite(fd, data, size, 0) == static_cast<ssize_t>(size));
  return path;
}

template <class F>
void may_refuse(F&& f) {
  try {
    f();
  } catch (const reattn::Error& e) {
    require(e.code() == reattn::ErrorCode::kFormat || e.code() == reattn::ErrorCode::kUnsupported);
  }
}

void use(const Gguf& g) {
  for (const auto& entry : g.entries()) {
    require(g.find(entry.key) == &entry.value);
    require(entry.value.text(64).size() <= 256);
    may_refuse([&] { g.get_uint(entry.key, 1, 1000); });
    may_refuse([&] { g.get_int(entry.key, -5, 5); });
    may_refuse([&] { g.get_float(entry.key, 0, 1); });
    may_refuse([&] { g.get_bool(entry.key); });
    may_refuse([&] { require(g.get_string(entry.key).size() == entry.value.data.size()); });
    may_refuse([&] { require(g.get_ints(entry.key).size() == entry.value.count); });
    may_refuse([&] { require(g.get_floats(entry.key).size() == entry.value.count); });
    may_refuse([&] {
      uint64_t n_bytes = 0;
      for (const auto s : g.get_strings(entry.key)) n_bytes += sizeof(uint64_t) + s.size();
      require(n_bytes == entry.value.data.size());
    });
  }
  std::vector<std::byte> data;
  for (const auto& t : g.tensors()) {
    require(g.find_tensor(t.name) == &t);
    require(t.offset % g.alignment() == 0 && t.offset + t.n_bytes <= g.size());
    data.resize(t.n_bytes);
    g.read_tensor(t, data);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string& path = rewrite(data, size);
  may_refuse([&] { use(Gguf::open(path)); });
  return 0;
}

// Half of the time overwrites one number of the size GGUF uses with one that is at some edge:
// plain mutation rarely hits eight bytes at once.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  std::minstd_rand random(seed);
  if (size < 8 || random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  constexpr std::array<uint64_t, 16> kEdges = {
      0,  1,          2,          3,          7,          8,          9,          31,
      32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1ull << 61, 1ull << 62, 1ull << 63, ~0ull};
  const size_t n_bytes = random() % 2 ? 8 : 4;
  const size_t at = random() % (size - n_bytes + 1);
  uint64_t value = kEdges[random() % kEdges.size()];
  if (random() % 4 == 0) value = size - at;
  if (random() % 4 == 0) value += random() % 5 - 2;
  std::memcpy(data + at, &value, n_bytes);
  return size;
}
