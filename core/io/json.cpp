#include "core/io/json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "core/base/quote.hpp"
#include "core/io/file.hpp"
#include "core/io/system_error.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {
namespace {

using base::printable;

// Builds the tree from the parser's events. Recursion when it is freed is bounded by the depth.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(const std::string& where) : where_(where) {}

  Json take() { return std::move(root_); }

  bool null() override { return place(Json()); }
  bool boolean(bool v) override { return place(Json(v)); }
  bool number_integer(int64_t v) override { return place(Json(v)); }
  bool number_unsigned(uint64_t v) override {
    if (v > uint64_t{std::numeric_limits<int64_t>::max()})
      return place(Json(static_cast<double>(v)));
    return place(Json(static_cast<int64_t>(v)));
  }
  bool number_float(double v, const std::string& /*text*/) override { return place(Json(v)); }
  bool string(std::string& v) override { return place(Json(std::move(v))); }
  bool binary(nlohmann::json::binary_t& /*never in text*/) override { return false; }

  bool start_object(size_t /*unknown*/) override { return open(Json(Json::Object{})); }
  bool start_array(size_t /*unknown*/) override { return open(Json(Json::Array{})); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool key(std::string& v) override {
    std::get<Json::Object>(open_.back()->value).emplace_back(std::move(v), Json{});
    return true;
  }
  bool end_object() override {
    const auto& members = std::get<Json::Object>(open_.back()->value);
    std::vector<const std::string*> keys;
    keys.reserve(members.size());
    for (const auto& member : members) keys.push_back(&member.first);
    std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a < *b; });
    const auto twice =
        std::adjacent_find(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a == *b; });
    if (twice != keys.end()) {
      fail(ErrorCode::kFormat, where_, ": key '", printable(**twice), "' occurs twice");
    }
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& e) override {
    std::string_view what = e.what();  // "[json.exception.parse_error.101] parse error at ..."
    what.remove_prefix(std::min(what.find("] ") + 2, what.size()));
    fail(ErrorCode::kFormat, where_, ": not JSON at byte ", position, ": ", printable(what, 240));
  }

 private:
  Json* put(Json v) {
    if (++n_values_ > kMaxJsonValues) {
      fail(ErrorCode::kUnsupported, where_, ": more than ", kMaxJsonValues, " values");
    }
    if (open_.empty()) {
      root_ = std::move(v);
      return &root_;
    }
    Json& in = *open_.back();
    if (auto* array = std::get_if<Json::Array>(&in.value)) {
      return &array->emplace_back(std::move(v));
    }
    Json& place = std::get<Json::Object>(in.value).back().second;
    place = std::move(v);
    return &place;
  }
  bool place(Json v) { return put(std::move(v)) != nullptr; }
  bool open(Json v) {
    if (open_.size() == kMaxJsonDepth) {
      fail(ErrorCode::kUnsupported, where_, ": arrays and objects more than ", kMaxJsonDepth,
           " deep");
    }
    open_.push_back(put(std::move(v)));  // stays where it is until it is closed
    return true;
  }

  const std::string& where_;
  Json root_;
  std::vector<Json*> open_;
  size_t n_values_ = 0;
};

std::string text_of(double v) {
  return nlohmann::json(v).dump();
}

void append_text(const Json& json, size_t max_bytes, bool quotes, std::string& out) {
  if (out.size() > max_bytes) return;
  if (const auto* s = json.as<std::string>()) {
    out += quotes ? "\"" + *s + "\"" : *s;
  } else if (const auto* array = json.as<Json::Array>()) {
    out += "[";
    for (size_t i = 0; i < array->size() && out.size() <= max_bytes; ++i) {
      if (i > 0) out += ", ";
      append_text((*array)[i], max_bytes, true, out);
    }
    out += "]";
  } else if (const auto* object = json.as<Json::Object>()) {
    out += "{";
    for (size_t i = 0; i < object->size() && out.size() <= max_bytes; ++i) {
      out += (i > 0 ? ", \"" : "\"") + (*object)[i].first + "\": ";
      append_text((*object)[i].second, max_bytes, true, out);
    }
    out += "}";
  } else if (const auto* b = json.as<bool>()) {
    out += *b ? "true" : "false";
  } else if (const auto* i = json.as<int64_t>()) {
    out += std::to_string(*i);
  } else if (const auto* d = json.as<double>()) {
    out += text_of(*d);
  } else {
    out += "null";
  }
}

template <class T>
T required(std::optional<T> value, const JsonObject& object, std::string_view key,
           std::string_view expected) {
  if (!value) {
    fail(ErrorCode::kFormat, object.name_of(key), " is missing, expected ", expected);
  }
  return *std::move(value);
}

[[noreturn]] void fail_value(const JsonObject& object, std::string_view key, const Json& value,
                             std::string_view expected) {
  fail(ErrorCode::kFormat, object.name_of(key), " is ", value.text(), ", expected ", expected);
}

}  // namespace

Json::Json() noexcept = default;
Json::Json(Value v) noexcept : value(std::move(v)) {}
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(Json&& other) noexcept = default;
Json::~Json() = default;

std::string_view Json::type_name() const {
  constexpr std::string_view kNames[] = {"null",     "a boolean", "an integer", "a number",
                                         "a string", "an array",  "an object"};
  return kNames[value.index()];
}

std::string Json::text(size_t max_bytes) const {
  std::string out;
  append_text(*this, max_bytes, false, out);
  return printable(out, max_bytes);
}

Json parse_json(std::string_view text, const std::string& where) {
  if (text.size() > kMaxJsonBytes) {
    fail(ErrorCode::kUnsupported, where, ": ", text.size(), " bytes of JSON, at most ",
         kMaxJsonBytes, " are read");
  }
  if (const size_t at = text.find('\0');
      at != std::string_view::npos) {  // the parser's end of text
    fail(ErrorCode::kFormat, where, ": not JSON at byte ", at, ": a NUL byte");
  }
  Builder builder(where);
  nlohmann::json::sax_parse(text.data(), text.data() + text.size(), &builder);
  return builder.take();
}

Json read_json(const std::string& path) {
  const File file = File::open(path);
  const std::string where = printable(path, kPathBytes);
  if (file.size() > kMaxJsonBytes) {
    fail(ErrorCode::kUnsupported, where, ": ", file.size(), " bytes of JSON, at most ",
         kMaxJsonBytes, " are read");
  }
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_json(text, where);
}

JsonObject::JsonObject(const Json& value, std::string path, std::string prefix)
    : members_(value.as<Json::Object>()), path_(std::move(path)), prefix_(std::move(prefix)) {
  if (members_ == nullptr) {
    fail(ErrorCode::kFormat, printable(path_, kPathBytes), ": ",
         prefix_.empty() ? std::string() : "'" + printable(prefix_) + "' ", "is ",
         value.type_name(), ", expected an object");
  }
}

std::string JsonObject::name_of(std::string_view key) const {
  const std::string full = prefix_.empty() ? std::string(key) : concat(prefix_, ".", key);
  return concat(printable(path_, kPathBytes), ": '", printable(full), "'");
}

const Json* JsonObject::find(std::string_view key) const {
  for (const auto& [name, value] : *members_) {
    if (name == key) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

std::optional<int64_t> JsonObject::find_int(std::string_view key, int64_t min, int64_t max) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const int64_t* v = value->as<int64_t>();
  if (!v || *v < min || *v > max) {
    fail_value(*this, key, *value, concat("an integer from ", min, " to ", max));
  }
  return *v;
}

std::optional<double> JsonObject::find_float(std::string_view key, double min, double max) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const int64_t* i = value->as<int64_t>();
  const double* d = value->as<double>();
  const double v = i ? static_cast<double>(*i) : d ? *d : min;
  if ((!i && !d) || !(v >= min && v <= max)) {
    fail_value(*this, key, *value, concat("a number from ", text_of(min), " to ", text_of(max)));
  }
  return v;
}

std::optional<bool> JsonObject::find_bool(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->as<bool>()) fail_value(*this, key, *value, "true or false");
  return *value->as<bool>();
}

std::optional<std::string_view> JsonObject::find_string(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->as<std::string>()) fail_value(*this, key, *value, "a string");
  return *value->as<std::string>();
}

std::optional<JsonObject> JsonObject::find_object(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  return JsonObject(*value, path_, prefix_.empty() ? std::string(key) : concat(prefix_, ".", key));
}

const Json::Array* JsonObject::find_array(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return nullptr;
  if (!value->as<Json::Array>()) fail_value(*this, key, *value, "an array");
  return value->as<Json::Array>();
}

int64_t JsonObject::get_int(std::string_view key, int64_t min, int64_t max) const {
  return required(find_int(key, min, max), *this, key, "an integer");
}

double JsonObject::get_float(std::string_view key, double min, double max) const {
  return required(find_float(key, min, max), *this, key, "a number");
}

std::string_view JsonObject::get_string(std::string_view key) const {
  return required(find_string(key), *this, key, "a string");
}

const Json::Array& JsonObject::get_array(std::string_view key) const {
  const Json::Array* array = find_array(key);
  if (!array) required(std::optional<int>(), *this, key, "an array");
  return *array;
}

}  // namespace reattn::io
