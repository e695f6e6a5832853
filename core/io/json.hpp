// JSON as a model's folder has it: parsed within bounds, read by getters that name the key they miss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace reattn::io {

inline constexpr uint64_t kMaxJsonBytes = 8ull << 20;
inline constexpr size_t kMaxJsonValues = size_t{1} << 18;  // bounds the memory, some 20 MiB
inline constexpr size_t kMaxJsonDepth = 16;                // of arrays and objects in one another

struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in the text's order, no key twice
  // A whole number beyond int64_t is a double.
  using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object>;

  Json() noexcept;
  explicit Json(Value v) noexcept;
  Json(Json&& other) noexcept;
  Json& operator=(Json&& other) noexcept;
  ~Json();

  Value value;

  bool is_null() const { return std::holds_alternative<std::monostate>(value); }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&value);
  }
  // "null", "a boolean", "an integer", "a number", "a string", "an array", "an object"
  std::string_view type_name() const;
  // For people: strings without quotes, arrays and objects as JSON; cut at about max_bytes, unprintable bytes escaped.
  std::string text(size_t max_bytes = 80) const;
};

// `where` begins each message. Throws kFormat: no JSON (RFC 8259, UTF-8), a key twice, numbers beyond a double; kUnsupported:
// beyond the limits above.
Json parse_json(std::string_view text, const std::string& where);
// Of a file. Throws what File::open and parse_json do.
Json read_json(const std::string& path);

// An object, and what messages call it: "PATH: 'rope_scaling." before the key. A value of null counts as missing. The find_* give
// nothing where the key is missing, the get_* throw kFormat; both throw kFormat for another type or a number outside [min, max].
class JsonObject {
 public:
  // Throws kFormat unless `value` is an object, which is to outlive this.
  JsonObject(const Json& value, std::string path, std::string prefix = {});

  const Json::Object& members() const { return *members_; }
  const std::string& path() const { return path_; }
  // Null where there is none.
  const Json* find(std::string_view key) const;

  std::optional<int64_t> find_int(std::string_view key, int64_t min, int64_t max) const;
  std::optional<double> find_float(std::string_view key, double min, double max) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<JsonObject> find_object(std::string_view key) const;
  const Json::Array* find_array(std::string_view key) const;  // null where there is none

  int64_t get_int(std::string_view key, int64_t min, int64_t max) const;
  double get_float(std::string_view key, double min, double max) const;
  std::string_view get_string(std::string_view key) const;
  const Json::Array& get_array(std::string_view key) const;

  // "PATH: 'prefix.key'", for messages
  std::string name_of(std::string_view key) const;

 private:
  const Json::Object* members_;
  std::string path_, prefix_;
};

}  // namespace reattn::io
