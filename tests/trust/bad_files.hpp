// Files that lie, by name: what each is, how it is made, and the status that opening it must give.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reattn/reattn.h"

namespace reattn::test {

using Bytes = std::vector<std::byte>;

struct BadFile {
  enum class Use {
    kModel,     // opened as a model
    kTemplate,  // opened as a model, which succeeds, then asked to render a chat
    kSnapshot,  // opened as a snapshot of the tiny model
  };
  std::string name;  // "gguf/version-0"
  Use use;
  reattn_status expected;
  std::function<void(const std::string& path)> make;  // something at `path`
};

class BadFiles {
 public:
  // Of the family all following names begin with.
  void family(std::string prefix, BadFile::Use use) {
    prefix_ = std::move(prefix);
    use_ = use;
  }
  void add(const std::string& name, reattn_status expected, std::function<Bytes()> content);
  void add_made(const std::string& name, reattn_status expected,
                std::function<void(const std::string& path)> make) {
    files_.push_back({prefix_ + name, use_, expected, std::move(make)});
  }
  const std::vector<BadFile>& files() const { return files_; }

 private:
  std::string prefix_;
  BadFile::Use use_ = BadFile::Use::kModel;
  std::vector<BadFile> files_;
};

// Each adds its families.
void add_bad_gguf(BadFiles& out);         // the container alone
void add_bad_models(BadFiles& out);       // hyper-parameters and tensors
void add_bad_folders(BadFiles& out);      // config.json, tensors and numbers of a folder
void add_bad_safetensors(BadFiles& out);  // headers and indexes
void add_bad_texts(BadFiles& out);        // tokenizers and templates
void add_bad_snapshots(BadFiles& out, const Bytes& good);
void add_bad_places(
    BadFiles& out,
    const std::string& folder);  // what is no regular file; `folder` may be written to

// Numbers as they lie in a file, one after the other.
template <class... Ts>
Bytes raw(const Ts&... numbers) {
  Bytes out;
  const auto append = [&](const auto& v) {
    const auto bytes = std::as_bytes(std::span(&v, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  (append(numbers), ...);
  return out;
}
inline Bytes text_bytes(std::string_view s) {
  const auto bytes = std::as_bytes(std::span(s));
  return {bytes.begin(), bytes.end()};
}
inline Bytes joined(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Values that stand for no key's right one; each is a type id and its bytes.
struct RawValue {
  const char* name;
  uint32_t type;
  Bytes payload;
};
inline RawValue u32_value(const char* name, uint32_t v) {
  return {name, 4, raw(v)};
}
inline RawValue i32_value(const char* name, int32_t v) {
  return {name, 5, raw(v)};
}
inline RawValue f32_value(const char* name, float v) {
  return {name, 6, raw(v)};
}
inline RawValue u64_value(const char* name, uint64_t v) {
  return {name, 10, raw(v)};
}
inline RawValue str_value(const char* name, std::string_view s) {
  return {name, 8, joined(raw(uint64_t{s.size()}), text_bytes(s))};
}
inline RawValue array_value(const char* name, uint32_t element_type, uint64_t n, const Bytes& b) {
  return {name, 9, joined(raw(element_type, n), b)};
}

}  // namespace reattn::test
