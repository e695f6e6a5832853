// Metadata values: their names and their texts.
#include "core/io/gguf_value.hpp"

#include <array>
#include <charconv>

#include "core/base/quote.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {
namespace {

template <class T>
std::string to_text(T v) {
  std::array<char, 40> text;
  return std::string(text.data(), std::to_chars(text.data(), text.data() + text.size(), v).ptr);
}

std::string number_text(ValueType type, const std::byte* p) {
  if (type == ValueType::kBool) return *p == std::byte{0} ? "false" : "true";
  return with_scalar(type, p, [](auto v) { return to_text(v); });
}

}  // namespace

std::string_view value_type_name(ValueType type) {
  constexpr std::array<std::string_view, 13> kNames = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                       "i32", "f32", "bool", "string", "array",
                                                       "u64", "i64", "f64"};
  return kNames.at(static_cast<size_t>(type));
}

std::string float_text(double v) {
  return to_text(v);
}

bool strings_fit(std::span<const std::byte> bytes, uint64_t count) {
  for (; count > 0; --count) {
    uint64_t n = 0;
    if (bytes.size() < sizeof n) return false;
    std::memcpy(&n, bytes.data(), sizeof n);
    bytes = bytes.subspan(sizeof n);
    if (n > bytes.size()) return false;
    bytes = bytes.subspan(n);
  }
  return bytes.empty();
}

std::string Value::type_name() const {
  if (type != ValueType::kArray) return std::string(value_type_name(type));
  return concat(value_type_name(element_type), "[", count, "]");
}

std::string Value::text(size_t max_bytes) const {
  const auto as_text = [](std::span<const std::byte> bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  if (type == ValueType::kString) return base::printable(as_text(data), max_bytes);
  if (type != ValueType::kArray) return number_text(type, data.data());

  std::string out = "[";
  std::span<const std::byte> rest(data);
  for (uint64_t i = 0; i < count; ++i) {
    if (i > 0) out += ", ";
    if (out.size() >= max_bytes) return out + "...]";
    if (element_type == ValueType::kString) {
      out += concat("'", base::printable(take_string(rest), max_bytes - out.size()), "'");
    } else {
      out += number_text(element_type, rest.data());
      rest = rest.subspan(scalar_bytes(element_type));
    }
  }
  return out + "]";
}

}  // namespace reattn::io
