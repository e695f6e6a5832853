// The GGUF model file: its header read and checked, its tensors located.
//
// Everything the header claims is checked before it is used or allocated. What a caller gets:
//
//   kIo           the path cannot be opened or read, or is not a regular file
//   kFormat       empty, truncated, wrong magic, version 0; a count, length or size that the file
//                 cannot hold or that overflows; an unknown value or tensor type id; a boolean that
//                 is neither 0 nor 1; a key or tensor name that is empty, too long, doubled, not
//                 UTF-8 or holds a NUL; n_dims not 1..4, a dimension below 1, a row that is no
//                 multiple of its block; a bad general.alignment; tensors that are unaligned, past
//                 the end, overlapping or with holes between them; bytes after the last tensor
//                 beyond its padding; a key missing or of another type or out of range, asked for
//                 by a getter
//   kUnsupported  version 1 or above 3, big-endian; nested arrays; a known tensor type this engine
//                 has no kernel for; a header beyond the limits below
//
// Each message names the file, the key or tensor, what was found and what was allowed. Parsing
// holds at most the header's bytes once, plus a fixed cost per key and per tensor.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/tensors.hpp"

namespace reattn::io {

inline constexpr uint64_t kMaxKeys = 65'536;
inline constexpr uint64_t kMaxTensors = 262'144;
inline constexpr uint64_t kMaxHeaderBytes = 256ull << 20;
inline constexpr uint64_t kMaxKeyBytes = 65'535;       // the format's limit
inline constexpr uint64_t kMaxTensorNameBytes = 64;    // the format's limit
inline constexpr uint64_t kMaxAlignment = 1ull << 20;  // of general.alignment; at least 8

// Ids as in the file.
enum class ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// One metadata value.
struct Value {
  ValueType type = ValueType::kU8;
  ValueType element_type = ValueType::kU8;  // of an array
  uint64_t count = 1;                       // elements of an array
  // As in the file, little-endian; a string without its length, an array without type and count.
  std::vector<std::byte> data;

  // "u32", "string", "string[49152]".
  std::string type_name() const;
  // For people: numbers and strings as they are, the first elements of an array; cut at about
  // max_bytes, unprintable bytes escaped.
  std::string text(size_t max_bytes = 80) const;
};

struct Entry {
  std::string key;
  Value value;
};

// A parsed header and the open file behind it. Move-only; const calls may overlap.
class Gguf : public Tensors {
 public:
  static Gguf open(const std::string& path);
  static Gguf parse(File file);

  uint64_t size() const noexcept { return files_[0].size(); }
  uint32_t version() const noexcept { return version_; }  // 2 or 3
  uint64_t alignment() const noexcept { return alignment_; }

  // In file order.
  const std::vector<Entry>& entries() const noexcept { return entries_; }

  // Null where there is none.
  const Value* find(std::string_view key) const;

  // Typed values. find_* give nothing where the key is missing, get_* throw kFormat; both throw
  // kFormat on another type or a number outside [min, max]. Integers of any width and signedness
  // count as integers, f32 and f64 as floats; NaN is in no range.
  std::optional<uint64_t> find_uint(std::string_view key, uint64_t min = 0,
                                    uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  std::optional<int64_t> find_int(std::string_view key,
                                  int64_t min = std::numeric_limits<int64_t>::min(),
                                  int64_t max = std::numeric_limits<int64_t>::max()) const;
  std::optional<double> find_float(std::string_view key,
                                   double min = std::numeric_limits<double>::lowest(),
                                   double max = std::numeric_limits<double>::max()) const;
  std::optional<bool> find_bool(std::string_view key) const;
  // Any bytes; the view lives as long as this object.
  std::optional<std::string_view> find_string(std::string_view key) const;

  uint64_t get_uint(std::string_view key, uint64_t min = 0,
                    uint64_t max = std::numeric_limits<uint64_t>::max()) const;
  int64_t get_int(std::string_view key, int64_t min = std::numeric_limits<int64_t>::min(),
                  int64_t max = std::numeric_limits<int64_t>::max()) const;
  double get_float(std::string_view key, double min = std::numeric_limits<double>::lowest(),
                   double max = std::numeric_limits<double>::max()) const;
  bool get_bool(std::string_view key) const;
  std::string_view get_string(std::string_view key) const;

  // Arrays; ask find(key)->count first where the number of elements has a limit.
  // Elements are any bytes; the views live as long as this object.
  std::vector<std::string_view> get_strings(std::string_view key) const;
  std::vector<int64_t> get_ints(std::string_view key) const;  // any integer type, or bool
  std::vector<float> get_floats(std::string_view key) const;  // f32 or f64

 private:
  explicit Gguf(File file) : Tensors(file.path()) { files_.push_back(std::move(file)); }

  const Value& get(std::string_view key, std::string_view expected) const;

  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  std::vector<Entry> entries_;
  std::vector<uint32_t> keys_by_name_;  // indices into entries_, sorted by key
};

}  // namespace reattn::io
