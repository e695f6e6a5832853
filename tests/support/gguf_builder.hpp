// Writes GGUF files for tests: good ones, and ones that lie about a chosen number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/gguf.hpp"

namespace reattn::test {

// Tensors are laid out in the order they were added. Nothing is checked: names may be empty or
// doubled, shapes and bytes may contradict each other.
class GgufBuilder {
 public:
  GgufBuilder& version(uint32_t v);
  GgufBuilder& magic(std::string_view four_bytes);
  // What the header states instead of the true counts.
  GgufBuilder& claim_kv(uint64_t n);
  GgufBuilder& claim_tensors(uint64_t n);
  // What tensors are padded to. Writes no key: add general.alignment by kv_u32.
  GgufBuilder& pad_to(uint64_t alignment);

  GgufBuilder& kv_u32(std::string_view key, uint32_t v);
  GgufBuilder& kv_f32(std::string_view key, float v);
  GgufBuilder& kv_bool(std::string_view key, bool v);
  GgufBuilder& kv_str(std::string_view key, std::string_view v);
  GgufBuilder& kv_arr_str(std::string_view key, const std::vector<std::string>& v);
  GgufBuilder& kv_arr_i32(std::string_view key, const std::vector<int32_t>& v);
  GgufBuilder& kv_arr_f32(std::string_view key, const std::vector<float>& v);
  // Any number type: kv("k", ValueType::kU16, uint16_t{3}).
  template <class T>
  GgufBuilder& kv(std::string_view key, io::ValueType type, T v) {
    return kv_raw(key, static_cast<uint32_t>(type), std::as_bytes(std::span(&v, 1)));
  }
  // A value given as its type id and bytes.
  GgufBuilder& kv_raw(std::string_view key, uint32_t type, std::span<const std::byte> payload);
  // Without the key; its successor with another value goes last.
  GgufBuilder& without_kv(std::string_view key);
  GgufBuilder& without_tensor(std::string_view name);
  // A key whose length is stated as `length`.
  GgufBuilder& kv_raw_length(std::string_view key, uint64_t length);

  GgufBuilder& tensor(std::string_view name, const std::vector<int64_t>& shape,
                      kernels::DType dtype, std::vector<std::byte> data);
  // Zeros of the size that shape and dtype ask for.
  GgufBuilder& tensor_zeros(std::string_view name, const std::vector<int64_t>& shape,
                            kernels::DType dtype);
  // Every field as stated; without an offset, the next free one.
  GgufBuilder& tensor_raw(std::string_view name, const std::vector<int64_t>& shape,
                          uint32_t type_id, std::vector<std::byte> data,
                          std::optional<uint64_t> offset = {}, std::optional<uint32_t> n_dims = {});

  std::vector<std::byte> bytes() const;
  void write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    uint32_t n_dims;
    uint32_t type_id;
    std::optional<uint64_t> offset;
    std::vector<std::byte> data;
  };

  std::string magic_ = "GGUF";
  uint32_t version_ = 3;
  uint64_t alignment_ = 32;
  std::optional<uint64_t> claimed_kv_, claimed_tensors_;
  struct Kv {
    std::string key;
    std::vector<std::byte> bytes;  // with the key
  };
  std::vector<Kv> kvs_;
  std::vector<Tensor> tensors_;
};

// The type's number in GGUF files.
uint32_t ggml_id(kernels::DType dtype);

// Writes or replaces a file; throws std::runtime_error where it cannot.
void write_file(const std::string& path, std::span<const std::byte> bytes);

// A fresh directory below the system's one for temporary files, removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

}  // namespace reattn::test
