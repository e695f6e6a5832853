// The caller's structs, texts and buffers, checked at the border.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "reattn/kernels/error.hpp"

namespace reattn::capi {

// No struct of ours will ever be larger; a struct_size above it was never set.
inline constexpr size_t kMaxStructSize = 4096;

inline void check_struct_size(size_t size, const char* name) {
  constexpr size_t kMinStructSize = 2 * sizeof(uint32_t);
  if (size < kMinStructSize || size > kMaxStructSize) {
    fail(ErrorCode::kArg, "'", name, "': struct_size is ", size, ", not ", kMinStructSize, " ... ",
         kMaxStructSize);
  }
}

template <class T>
void require(const T* pointer, const char* name) {
  if (!pointer) fail(ErrorCode::kArg, "'", name, "' is NULL");
}

inline bool to_bool(int32_t value, const char* name) {
  if (value != 0 && value != 1) fail(ErrorCode::kArg, "'", name, "' is ", value, ", not 0 or 1");
  return value == 1;
}

// The fields the caller knows, over the defaults for those it does not.
template <class T>
T read_struct(const T* in, const T& defaults, const char* name) {
  static_assert(std::is_trivially_copyable_v<T>);
  require(in, name);
  const size_t size = in->struct_size;
  check_struct_size(size, name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(in);
  for (size_t i = sizeof(T); i < size; ++i) {
    if (bytes[i] != 0) {
      fail(ErrorCode::kUnsupported, "'", name, "' sets a field at byte ", i,
           " that this library does not know: its struct has ", sizeof(T), " bytes, yours ", size);
    }
  }
  T out = defaults;
  std::memcpy(&out, in, std::min(size, sizeof(T)));
  out.struct_size = sizeof(T);
  return out;
}

// A struct to fill: checked before the work is done, written after.
template <class T>
class StructOut {
 public:
  StructOut(T* out, const char* name) : out_(out) {
    require(out, name);
    size_ = out->struct_size;
    check_struct_size(size_, name);
  }

  void write(T value) const noexcept {
    value.struct_size = size_;
    write_all(out_, size_, value);
  }

  static void write_all(T* out, size_t size, const T& value) noexcept {
    std::memcpy(out, &value, std::min(size, sizeof(T)));
    if (size > sizeof(T))
      std::memset(reinterpret_cast<char*>(out) + sizeof(T), 0, size - sizeof(T));
  }

 private:
  T* out_;
  uint32_t size_ = 0;
};

// For the _init functions: `size` instead of a struct_size that is not set yet.
template <class T>
void init_struct(T* out, size_t size, T defaults, const char* name) {
  require(out, name);
  check_struct_size(size, name);
  defaults.struct_size = static_cast<uint32_t>(size);
  StructOut<T>::write_all(out, size, defaults);
}

// [n] of the caller's memory, only read.
template <class T>
std::span<const T> input(const T* data, uint64_t n, const char* name) {
  constexpr uint64_t kMax =
      static_cast<uint64_t>(std::numeric_limits<ptrdiff_t>::max()) / sizeof(T);
  if (n > kMax) fail(ErrorCode::kArg, "'", name, "' has ", n, " elements, above ", kMax);
  if (n > 0) require(data, name);
  return {data, static_cast<size_t>(n)};
}

inline std::string_view input_text(const uint8_t* data, uint64_t n, const char* name) {
  const auto bytes = input(data, n, name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline std::string input_path(const uint8_t* data, uint64_t n) {
  const std::string_view path = input_text(data, n, "path");
  if (path.empty()) fail(ErrorCode::kArg, "'path' is empty");
  const size_t zero = path.find('\0');
  if (zero != path.npos) fail(ErrorCode::kArg, "'path' has a zero byte at offset ", zero);
  return std::string(path);
}

// A buffer of the caller: checked before the work is done, written after.
template <class T>
class Output {
 public:
  Output(T* data, uint64_t cap, uint64_t* needed, const char* name)
      : data_(data), cap_(cap), needed_(needed), name_(name) {
    if (cap > 0) require(data, name);
  }

  // Throws kBuffer, and says how much is needed, where `n` elements have no room.
  void check(size_t n) const {
    if (n <= cap_) return;
    if (needed_) *needed_ = n;
    fail(ErrorCode::kBuffer, "'", name_, "' has room for ", cap_, " elements, ", n, " are needed");
  }

  template <class Range>
  void write(const Range& values) const {
    static_assert(sizeof(*std::data(values)) == sizeof(T));
    const size_t n = std::size(values);
    check(n);
    if (needed_) *needed_ = n;
    if (n > 0) std::memcpy(data_, std::data(values), n * sizeof(T));
  }

 private:
  T* data_;  // [cap_]
  uint64_t cap_;
  uint64_t* needed_;
  const char* name_;
};

}  // namespace reattn::capi
