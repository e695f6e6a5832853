// Looking things up in a parsed GGUF header.
#include "core/io/gguf.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/base/quote.hpp"
#include "core/io/gguf_value.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {
namespace {

template <class... Ts>
[[noreturn]] void fail_key(const Gguf& gguf, std::string_view key, const Ts&... parts) {
  fail(ErrorCode::kFormat, base::printable(gguf.path(), 512), ": key '", base::printable(key), "' ",
       parts...);
}

[[noreturn]] void fail_type(const Gguf& gguf, std::string_view key, const Value& value,
                            std::string_view expected) {
  fail_key(gguf, key, "is ", value.type_name(), ", expected ", expected);
}

// The integer at p where it is within [min, max].
template <class T>
T integer_within(const Gguf& gguf, std::string_view key, const Value& value, T min, T max) {
  if (!is_integer(value.type)) {
    fail_type(gguf, key, value, std::is_signed_v<T> ? "an integer" : "a non-negative integer");
  }
  return with_scalar(value.type, value.data.data(), [&](auto v) -> T {
    if constexpr (std::is_integral_v<decltype(v)>) {
      if (std::cmp_greater_equal(v, min) && std::cmp_less_equal(v, max)) return static_cast<T>(v);
    }
    fail_key(gguf, key, "is ", v, ", expected ", min, " to ", max);
  });
}

template <class T>
T required(std::optional<T> value, const Gguf& gguf, std::string_view key,
           std::string_view expected) {
  if (!value) fail_key(gguf, key, "is missing, expected ", expected);
  return *value;
}

}  // namespace

const Value* Gguf::find(std::string_view key) const {
  const auto it = std::lower_bound(
      keys_by_name_.begin(), keys_by_name_.end(), key,
      [&](uint32_t i, std::string_view wanted) { return entries_[i].key < wanted; });
  return it != keys_by_name_.end() && entries_[*it].key == key ? &entries_[*it].value : nullptr;
}

const Value& Gguf::get(std::string_view key, std::string_view expected) const {
  const Value* value = find(key);
  if (!value) fail_key(*this, key, "is missing, expected ", expected);
  return *value;
}

std::optional<uint64_t> Gguf::find_uint(std::string_view key, uint64_t min, uint64_t max) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  return integer_within<uint64_t>(*this, key, *value, min, max);
}

std::optional<int64_t> Gguf::find_int(std::string_view key, int64_t min, int64_t max) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  return integer_within<int64_t>(*this, key, *value, min, max);
}

std::optional<double> Gguf::find_float(std::string_view key, double min, double max) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (!is_float(value->type)) fail_type(*this, key, *value, "a float");
  const double v = with_scalar(value->type, value->data.data(),
                               [](auto number) { return static_cast<double>(number); });
  if (!(v >= min && v <= max)) {
    fail_key(*this, key, "is ", value->text(), ", expected ", float_text(min), " to ",
             float_text(max));
  }
  return v;
}

std::optional<bool> Gguf::find_bool(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != ValueType::kBool) fail_type(*this, key, *value, "bool");
  return value->data[0] != std::byte{0};
}

std::optional<std::string_view> Gguf::find_string(std::string_view key) const {
  const Value* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != ValueType::kString) fail_type(*this, key, *value, "string");
  return std::string_view(reinterpret_cast<const char*>(value->data.data()), value->data.size());
}

uint64_t Gguf::get_uint(std::string_view key, uint64_t min, uint64_t max) const {
  return required(find_uint(key, min, max), *this, key, "a non-negative integer");
}

int64_t Gguf::get_int(std::string_view key, int64_t min, int64_t max) const {
  return required(find_int(key, min, max), *this, key, "an integer");
}

double Gguf::get_float(std::string_view key, double min, double max) const {
  return required(find_float(key, min, max), *this, key, "a float");
}

bool Gguf::get_bool(std::string_view key) const {
  return required(find_bool(key), *this, key, "bool");
}

std::string_view Gguf::get_string(std::string_view key) const {
  return required(find_string(key), *this, key, "string");
}

std::vector<std::string_view> Gguf::get_strings(std::string_view key) const {
  const Value& value = get(key, "an array of strings");
  if (value.type != ValueType::kArray || value.element_type != ValueType::kString) {
    fail_type(*this, key, value, "an array of strings");
  }
  std::vector<std::string_view> out(value.count);
  std::span<const std::byte> rest(value.data);
  for (auto& s : out) s = take_string(rest);
  return out;
}

std::vector<int64_t> Gguf::get_ints(std::string_view key) const {
  const Value& value = get(key, "an array of integers");
  const bool fits = is_integer(value.element_type) || value.element_type == ValueType::kBool;
  if (value.type != ValueType::kArray || !fits) {
    fail_type(*this, key, value, "an array of integers");
  }
  std::vector<int64_t> out(value.count);
  const std::byte* p = value.data.data();
  for (auto& element : out) {
    element = with_scalar(value.element_type, p, [&](auto v) -> int64_t {
      if constexpr (std::is_same_v<decltype(v), uint64_t>) {
        if (v > uint64_t{std::numeric_limits<int64_t>::max()}) {
          fail_key(*this, key, "holds ", v, ", expected at most 2^63 - 1");
        }
      }
      return static_cast<int64_t>(v);
    });
    p += scalar_bytes(value.element_type);
  }
  return out;
}

std::vector<float> Gguf::get_floats(std::string_view key) const {
  const Value& value = get(key, "an array of floats");
  if (value.type != ValueType::kArray || !is_float(value.element_type)) {
    fail_type(*this, key, value, "an array of floats");
  }
  std::vector<float> out(value.count);
  const std::byte* p = value.data.data();
  for (auto& element : out) {
    element = with_scalar(value.element_type, p, [](auto v) { return static_cast<float>(v); });
    p += scalar_bytes(value.element_type);
  }
  return out;
}

}  // namespace reattn::io
