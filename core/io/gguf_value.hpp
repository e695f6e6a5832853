// How metadata values lie in memory, for the parser and the getters.
#pragma once

#include <cstring>
#include <span>
#include <string_view>

#include "core/io/gguf.hpp"

namespace reattn::io {

// Bytes of one number or boolean; 0 for strings and arrays.
constexpr uint64_t scalar_bytes(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    case ValueType::kString:
    case ValueType::kArray:
      return 0;
  }
  return 0;
}

std::string_view value_type_name(ValueType type);
// The shortest text that reads back as v.
std::string float_text(double v);

inline bool is_integer(ValueType type) {
  return scalar_bytes(type) != 0 && type != ValueType::kF32 && type != ValueType::kF64 &&
         type != ValueType::kBool;
}
inline bool is_float(ValueType type) {
  return type == ValueType::kF32 || type == ValueType::kF64;
}

// Whether `bytes` are exactly `count` strings, each after its u64 length.
bool strings_fit(std::span<const std::byte> bytes, uint64_t count);

// Takes the first string off `bytes`, which strings_fit.
inline std::string_view take_string(std::span<const std::byte>& bytes) {
  uint64_t n = 0;
  std::memcpy(&n, bytes.data(), sizeof n);
  const std::string_view out(reinterpret_cast<const char*>(bytes.data()) + sizeof n, n);
  bytes = bytes.subspan(sizeof n + n);
  return out;
}

// Calls f with the number of `type` at p, as its C++ type; a boolean as uint8_t.
template <class F>
decltype(auto) with_scalar(ValueType type, const std::byte* p, F&& f) {
  const auto as = [p]<class T>(T value) {
    std::memcpy(&value, p, sizeof value);
    return value;
  };
  switch (type) {
    case ValueType::kI8:
      return f(as(int8_t{}));
    case ValueType::kU16:
      return f(as(uint16_t{}));
    case ValueType::kI16:
      return f(as(int16_t{}));
    case ValueType::kU32:
      return f(as(uint32_t{}));
    case ValueType::kI32:
      return f(as(int32_t{}));
    case ValueType::kF32:
      return f(as(float{}));
    case ValueType::kU64:
      return f(as(uint64_t{}));
    case ValueType::kI64:
      return f(as(int64_t{}));
    case ValueType::kF64:
      return f(as(double{}));
    default:
      return f(as(uint8_t{}));
  }
}

}  // namespace reattn::io
