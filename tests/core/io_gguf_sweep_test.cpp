// Every truncation and every flipped bit of a small model's header: refused or read, never worse.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/io/gguf.hpp"
#include "reattn/kernels/error.hpp"
#include "tests/support/tiny_llama.hpp"

namespace reattn::io {
namespace {

using kernels::DType;

// A small file in memory, rewritten in place; quick enough for ten thousands of variants.
class ScratchFile {
 public:
  explicit ScratchFile(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {
    test::write_file(path(), bytes_);
    fd_ = ::open(path().c_str(), O_RDWR | O_CLOEXEC);
  }
  ~ScratchFile() { ::close(fd_); }

  std::string path() const { return dir_.file("m.gguf"); }
  size_t size() const { return bytes_.size(); }
  void truncate(size_t n) { ASSERT_EQ(::ftruncate(fd_, static_cast<off_t>(n)), 0); }
  void flip(size_t bit) {
    bytes_[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_EQ(::pwrite(fd_, &bytes_[bit / 8], 1, static_cast<off_t>(bit / 8)), 1);
  }

 private:
  test::TemporaryDirectory dir_;
  std::vector<std::byte> bytes_;
  int fd_ = -1;
};

// Small enough for every bit: a few keys of each kind, two tensors.
std::vector<std::byte> small_model() {
  return test::GgufBuilder()
      .kv_str("general.architecture", "llama")
      .kv_u32("general.alignment", 32)
      .kv_f32("llama.rope.freq_base", 10000)
      .kv_bool("tokenizer.ggml.add_bos_token", false)
      .kv_arr_str("tokenizer.ggml.tokens", {"<|endoftext|>", "a", "b", "ab"})
      .kv_arr_i32("tokenizer.ggml.token_type", {3, 1, 1, 1})
      .tensor_zeros("token_embd.weight", {32, 4}, DType::kQ4_1)
      .tensor_zeros("output_norm.weight", {33}, DType::kF32)
      .bytes();
}

// What a caller does with a file that parses: looks at all of it.
void use(const Gguf& g) {
  for (const auto& entry : g.entries()) {
    const Value& v = entry.value;
    ASSERT_EQ(g.find(entry.key), &v);
    ASSERT_FALSE(v.type_name().empty());
    ASSERT_LE(v.text(40).size(), 200u);
    if (v.type == ValueType::kArray && v.element_type == ValueType::kString) {
      ASSERT_EQ(g.get_strings(entry.key).size(), v.count);
    }
  }
  std::vector<std::byte> data;
  for (const auto& t : g.tensors()) {
    data.resize(t.n_bytes);
    g.read_tensor(t, data);
  }
}

// Whether it parsed; anything but a documented refusal fails the test.
bool parses(const std::string& path) {
  try {
    use(Gguf::open(path));
    return true;
  } catch (const Error& e) {
    EXPECT_TRUE(e.code() == ErrorCode::kFormat || e.code() == ErrorCode::kUnsupported) << e.what();
    EXPECT_NE(std::string_view(e.what()).find(path), std::string_view::npos) << e.what();
    return false;
  }
}

size_t header_bytes(const std::string& path) {
  return Gguf::open(path).tensors().front().offset;
}

TEST(GgufSweep, TruncatedAtEveryByte) {
  ScratchFile file(small_model());
  ASSERT_TRUE(parses(file.path()));
  for (size_t n = file.size(); n-- > 0;) {
    file.truncate(n);
    ASSERT_FALSE(parses(file.path())) << "cut at " << n << " of " << file.size();
  }
}

TEST(GgufSweep, WholeModelTruncated) {
  ScratchFile file(test::tiny_llama({.dtype = DType::kQ4_1}));
  const size_t step = std::max<size_t>(1, file.size() / 5000);
  for (size_t n = file.size(); n-- > step; n -= step) {
    file.truncate(n);
    ASSERT_FALSE(parses(file.path())) << "cut at " << n << " of " << file.size();
  }
}

TEST(GgufSweep, EveryBitOfTheHeader) {
  ScratchFile file(small_model());
  const size_t n_bytes = header_bytes(file.path());
  size_t n_refused = 0;
  for (size_t bit = 0; bit < n_bytes * 8; ++bit) {
    file.flip(bit);
    n_refused += !parses(file.path());
    file.flip(bit);
  }
  EXPECT_GT(n_refused, n_bytes);  // counts, lengths, types and sizes alone are more than this
}

TEST(GgufSweep, ABitOfEveryByteOfAWholeModelsHeader) {
  ScratchFile file(test::tiny_llama({.n_layers = 1, .dtype = DType::kQ4_1}));
  const size_t n_bytes = header_bytes(file.path());
  size_t n_refused = 0;
  for (size_t byte = 0; byte < n_bytes; ++byte) {
    const size_t bit = byte * 8 + byte % 8;
    file.flip(bit);
    n_refused += !parses(file.path());
    file.flip(bit);
  }
  EXPECT_GT(n_refused, n_bytes / 4);
}

TEST(GgufSweep, HugeClaimsCostNothing) {
  // 4 TiB of holes on the disk: what is claimed fits the file, but no header is that large.
  test::TemporaryDirectory dir;
  const std::string path = dir.file("sparse.gguf");
  const uint64_t n = uint64_t{1} << 38;
  const auto payload = [&](uint32_t element_type) {
    std::vector<std::byte> out(12);
    std::memcpy(out.data(), &element_type, 4);
    std::memcpy(out.data() + 4, &n, 8);
    return out;
  };
  for (const uint32_t element_type : {0u, 8u, 10u}) {
    test::GgufBuilder().kv_raw("k", 9, payload(element_type)).write(path);
    if (::truncate(path.c_str(), off_t{1} << 42) != 0) GTEST_SKIP() << "no sparse files here";
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(parses(path));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(1));
  }
}

}  // namespace
}  // namespace reattn::io
