// Puts GGUF files together byte by byte.
#include "tests/support/gguf_builder.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "core/io/ggml_types.hpp"

namespace reattn::test {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
void append_number(Bytes& out, T v) {
  append(out, std::as_bytes(std::span(&v, 1)));
}

void append_string(Bytes& out, std::string_view s) {
  append_number<uint64_t>(out, s.size());
  append(out, std::as_bytes(std::span(s)));
}

uint64_t align_up(uint64_t n, uint64_t alignment) {
  return (n + alignment - 1) / alignment * alignment;
}

Bytes array_head(io::ValueType element_type, uint64_t count) {
  Bytes out;
  append_number(out, static_cast<uint32_t>(element_type));
  append_number(out, count);
  return out;
}

template <class T>
Bytes array(io::ValueType element_type, const std::vector<T>& v) {
  Bytes out = array_head(element_type, v.size());
  append(out, std::as_bytes(std::span(v)));
  return out;
}

}  // namespace

GgufBuilder& GgufBuilder::version(uint32_t v) {
  version_ = v;
  return *this;
}

GgufBuilder& GgufBuilder::magic(std::string_view four_bytes) {
  magic_ = four_bytes;
  return *this;
}

GgufBuilder& GgufBuilder::claim_kv(uint64_t n) {
  claimed_kv_ = n;
  return *this;
}

GgufBuilder& GgufBuilder::claim_tensors(uint64_t n) {
  claimed_tensors_ = n;
  return *this;
}

GgufBuilder& GgufBuilder::pad_to(uint64_t alignment) {
  alignment_ = alignment;
  return *this;
}

GgufBuilder& GgufBuilder::kv_u32(std::string_view key, uint32_t v) {
  return kv(key, io::ValueType::kU32, v);
}

GgufBuilder& GgufBuilder::kv_f32(std::string_view key, float v) {
  return kv(key, io::ValueType::kF32, v);
}

GgufBuilder& GgufBuilder::kv_bool(std::string_view key, bool v) {
  return kv(key, io::ValueType::kBool, static_cast<uint8_t>(v));
}

GgufBuilder& GgufBuilder::kv_str(std::string_view key, std::string_view v) {
  Bytes payload;
  append_string(payload, v);
  return kv_raw(key, static_cast<uint32_t>(io::ValueType::kString), payload);
}

GgufBuilder& GgufBuilder::kv_arr_str(std::string_view key, const std::vector<std::string>& v) {
  Bytes payload = array_head(io::ValueType::kString, v.size());
  for (const auto& s : v) append_string(payload, s);
  return kv_raw(key, static_cast<uint32_t>(io::ValueType::kArray), payload);
}

GgufBuilder& GgufBuilder::kv_arr_i32(std::string_view key, const std::vector<int32_t>& v) {
  return kv_raw(key, static_cast<uint32_t>(io::ValueType::kArray), array(io::ValueType::kI32, v));
}

GgufBuilder& GgufBuilder::kv_arr_f32(std::string_view key, const std::vector<float>& v) {
  return kv_raw(key, static_cast<uint32_t>(io::ValueType::kArray), array(io::ValueType::kF32, v));
}

GgufBuilder& GgufBuilder::kv_raw(std::string_view key, uint32_t type,
                                 std::span<const std::byte> payload) {
  Bytes& bytes = kvs_.emplace_back(Kv{std::string(key), {}}).bytes;
  append_string(bytes, key);
  append_number(bytes, type);
  append(bytes, payload);
  return *this;
}

GgufBuilder& GgufBuilder::kv_raw_length(std::string_view key, uint64_t length) {
  Bytes& bytes = kvs_.emplace_back(Kv{std::string(key), {}}).bytes;
  append_number(bytes, length);
  append(bytes, std::as_bytes(std::span(key)));
  append_number<uint32_t>(bytes, 0);
  append_number<uint8_t>(bytes, 0);
  return *this;
}

GgufBuilder& GgufBuilder::without_kv(std::string_view key) {
  std::erase_if(kvs_, [&](const Kv& kv) { return kv.key == key; });
  return *this;
}

GgufBuilder& GgufBuilder::without_tensor(std::string_view name) {
  std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  return *this;
}

GgufBuilder& GgufBuilder::tensor(std::string_view name, const std::vector<int64_t>& shape,
                                 kernels::DType dtype, Bytes data) {
  return tensor_raw(name, shape, ggml_id(dtype), std::move(data));
}

GgufBuilder& GgufBuilder::tensor_zeros(std::string_view name, const std::vector<int64_t>& shape,
                                       kernels::DType dtype) {
  int64_t n_rows = 1;
  for (size_t i = 1; i < shape.size(); ++i) n_rows *= shape[i];
  return tensor(name, shape, dtype,
                Bytes(static_cast<size_t>(n_rows * kernels::row_bytes(dtype, shape[0]))));
}

GgufBuilder& GgufBuilder::tensor_raw(std::string_view name, const std::vector<int64_t>& shape,
                                     uint32_t type_id, Bytes data, std::optional<uint64_t> offset,
                                     std::optional<uint32_t> n_dims) {
  tensors_.push_back({std::string(name), shape,
                      n_dims.value_or(static_cast<uint32_t>(shape.size())), type_id, offset,
                      std::move(data)});
  return *this;
}

Bytes GgufBuilder::bytes() const {
  Bytes out;
  append(out, std::as_bytes(std::span(magic_)));
  append_number(out, version_);
  append_number<uint64_t>(out, claimed_tensors_.value_or(tensors_.size()));
  append_number<uint64_t>(out, claimed_kv_.value_or(kvs_.size()));
  for (const Kv& kv : kvs_) append(out, kv.bytes);
  uint64_t next = 0;
  for (const auto& t : tensors_) {
    append_string(out, t.name);
    append_number(out, t.n_dims);
    for (const int64_t n : t.shape) append_number(out, n);
    append_number(out, t.type_id);
    append_number<uint64_t>(out, t.offset.value_or(next));
    next = align_up(next + t.data.size(), alignment_);
  }
  if (tensors_.empty()) return out;
  for (const auto& t : tensors_) {
    out.resize(align_up(out.size(), alignment_));
    append(out, t.data);
  }
  return out;
}

void GgufBuilder::write(const std::string& path) const {
  write_file(path, bytes());
}

uint32_t ggml_id(kernels::DType dtype) {
  for (const auto& type : io::kGgmlTypes) {
    if (type.dtype == dtype) return type.id;
  }
  throw std::logic_error("a DType without a GGUF id");
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw std::runtime_error("cannot write " + path);
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = (std::filesystem::temp_directory_path() / "reattn-test-XXXXXX").string();
  if (!::mkdtemp(path_.data())) throw std::runtime_error("cannot make a directory like " + path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace reattn::test
