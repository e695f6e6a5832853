// Parsing a GGUF header; trusts nothing in it.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "core/base/checked.hpp"
#include "core/base/quote.hpp"
#include "core/io/ggml_types.hpp"
#include "core/io/gguf.hpp"
#include "core/io/gguf_value.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies in the file");

using base::checked_add;
using base::checked_align_up;
using base::checked_mul;
using base::printable;

constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1;             // length, name, type, value
constexpr uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // ... n_dims, dimension, type, offset

// A cursor over the file with one small buffer. `where` is what is being read, for messages.
class HeaderReader {
 public:
  explicit HeaderReader(const File& file) : file_(file) {}

  std::string where = "header";

  template <class... Ts>
  [[noreturn]] void fail_here(ErrorCode code, const Ts&... parts) const {
    fail(code, printable(file_.path(), 512), ": ", where, ": ", parts...);
  }

  uint64_t position() const { return position_; }
  uint64_t left() const { return file_.size() - position_; }

  // Fails unless n more bytes, which are `what`, lie in the file and within the header's limit.
  void need(uint64_t n, std::string_view what) const {
    if (n > left()) {
      fail_here(ErrorCode::kFormat, what, " needs ", n, " bytes at byte ", position_, ", ", left(),
                " are left: the file is cut short or the number is wrong");
    }
    if (n > kMaxHeaderBytes || position_ > kMaxHeaderBytes - n) {
      fail_here(ErrorCode::kUnsupported, what, " of ", n, " bytes ends past byte ", kMaxHeaderBytes,
                ", the most a header may have");
    }
  }

  void read(std::span<std::byte> out, std::string_view what) {
    need(out.size(), what);
    if (out.empty()) return;
    if (out.size() > buffer_.size()) {
      file_.read_at(position_, out);
      position_ += out.size();
      return;
    }
    if (position_ < begin_ || position_ + out.size() > end_) {
      const uint64_t n = std::min<uint64_t>(buffer_.size(), left());
      begin_ = end_ = position_;
      file_.read_at(position_, std::span(buffer_).first(n));
      end_ += n;
    }
    std::memcpy(out.data(), buffer_.data() + (position_ - begin_), out.size());
    position_ += out.size();
  }

  template <class T>
  T number(std::string_view what) {
    std::array<std::byte, sizeof(T)> bytes;
    read(bytes, what);
    return std::bit_cast<T>(bytes);
  }

  std::vector<std::byte> bytes(uint64_t n, std::string_view what) {
    need(n, what);
    std::vector<std::byte> out(n);
    read(out, what);
    return out;
  }

  void skip(uint64_t n, std::string_view what) {
    need(n, what);
    position_ += n;
  }
  void seek(uint64_t position) { position_ = position; }

  // A key or a tensor's name.
  std::string name(std::string_view what, uint64_t max_bytes) {
    const auto n = number<uint64_t>(concat("the length of ", what));
    if (n == 0) fail_here(ErrorCode::kFormat, what, " is empty");
    need(n, what);
    if (n > max_bytes) {
      fail_here(ErrorCode::kFormat, what, " has ", n, " bytes, the format allows ", max_bytes);
    }
    std::string out(n, '\0');
    read(std::as_writable_bytes(std::span(out)), what);
    if (out.find('\0') != std::string::npos) {
      fail_here(ErrorCode::kFormat, what, " '", printable(out), "' holds a NUL byte");
    }
    if (!base::valid_utf8(out)) {
      fail_here(ErrorCode::kFormat, what, " '", printable(out), "' is not valid UTF-8");
    }
    return out;
  }

 private:
  const File& file_;
  uint64_t position_ = 0;
  std::array<std::byte, 16384> buffer_;
  uint64_t begin_ = 0, end_ = 0;  // the part of the file in buffer_
};

uint32_t read_version(HeaderReader& in) {
  constexpr std::string_view kMagic = "GGUF";
  std::array<char, 4> magic;
  if (in.left() == 0) in.fail_here(ErrorCode::kFormat, "the file is empty");
  in.read(std::as_writable_bytes(std::span(magic)), "magic");
  const std::string_view found(magic.data(), magic.size());
  if (found != kMagic) {
    in.fail_here(ErrorCode::kFormat, "magic is '", printable(found), "', expected 'GGUF'");
  }
  const auto version = in.number<uint32_t>("version");
  const uint32_t swapped = __builtin_bswap32(version);
  if (version == 0) in.fail_here(ErrorCode::kFormat, "version is 0, expected 2 or 3");
  if (swapped <= 0xFFFF) {
    in.fail_here(ErrorCode::kUnsupported, "version ", swapped, " in big-endian byte order");
  }
  if (version < 2 || version > 3) {
    in.fail_here(ErrorCode::kUnsupported, "version ", version, ", this build reads 2 and 3");
  }
  return version;
}

// A count read from the header against the bytes that are left for what it counts.
void check_count(const HeaderReader& in, std::string_view what, uint64_t n, uint64_t min_bytes,
                 uint64_t limit) {
  if (n > in.left() / min_bytes) {
    in.fail_here(ErrorCode::kFormat, what, " is ", n, ", the ", in.left(),
                 " bytes left hold at most ", in.left() / min_bytes);
  }
  if (n > limit) {
    in.fail_here(ErrorCode::kUnsupported, what, " is ", n, ", the limit is ", limit);
  }
}

void check_bools(const HeaderReader& in, const Value& value) {
  for (const std::byte b : value.data) {
    if (std::to_integer<int>(b) > 1) {
      in.fail_here(ErrorCode::kFormat, "boolean is ", std::to_integer<int>(b), ", expected 0 or 1");
    }
  }
}

// Where strings end is known only after walking them: walked once without keeping anything, then
// read at exactly their size.
std::vector<std::byte> read_strings(HeaderReader& in, uint64_t count) {
  const uint64_t begin = in.position();
  for (uint64_t i = 0; i < count; ++i) {
    const auto n = in.number<uint64_t>("the length of a string in the array");
    if (n > in.left()) in.need(n, concat("string ", i, " of the array"));
    in.skip(n, "a string of the array");
  }
  const uint64_t end = in.position();
  in.seek(begin);
  std::vector<std::byte> out = in.bytes(end - begin, "the array of strings");
  if (!strings_fit(out, count)) {
    in.fail_here(ErrorCode::kFormat, "the array of strings changed while it was read");
  }
  return out;
}

ValueType read_type(HeaderReader& in, std::string_view what) {
  const auto id = in.number<uint32_t>(what);
  if (id > static_cast<uint32_t>(ValueType::kF64)) {
    in.fail_here(ErrorCode::kFormat, what, " is ", id, ", the format has 0 to 12");
  }
  return static_cast<ValueType>(id);
}

Value read_value(HeaderReader& in) {
  Value value;
  value.type = read_type(in, "value type");
  if (value.type == ValueType::kString) {
    const auto n = in.number<uint64_t>("the length of the string");
    value.data = in.bytes(n, "the string");
    return value;
  }
  if (value.type != ValueType::kArray) {
    value.data = in.bytes(scalar_bytes(value.type), "the value");
    if (value.type == ValueType::kBool) check_bools(in, value);
    return value;
  }
  value.element_type = read_type(in, "array element type");
  value.count = in.number<uint64_t>("array length");
  if (value.element_type == ValueType::kArray) {
    in.fail_here(ErrorCode::kUnsupported, "an array of arrays");
  }
  const bool strings = value.element_type == ValueType::kString;
  const uint64_t min_bytes = strings ? sizeof(uint64_t) : scalar_bytes(value.element_type);
  check_count(in, "array length", value.count, min_bytes, kMaxHeaderBytes / min_bytes);
  value.data =
      strings ? read_strings(in, value.count) : in.bytes(value.count * min_bytes, "the array");
  if (value.element_type == ValueType::kBool) check_bools(in, value);
  return value;
}

// Reads one tensor's description; its offset is still relative to the data section.
TensorInfo read_tensor_info(HeaderReader& in, uint64_t index, uint64_t n_tensors) {
  in.where = concat("tensor ", index, " of ", n_tensors);
  TensorInfo tensor;
  tensor.name = in.name("the name", kMaxTensorNameBytes);
  in.where = concat("tensor '", printable(tensor.name), "'");

  const auto n_dims = in.number<uint32_t>("n_dims");
  if (n_dims < 1 || n_dims > 4) {
    in.fail_here(ErrorCode::kFormat, "n_dims is ", n_dims, ", expected 1 to 4");
  }
  int64_t n_elements = 1;
  for (uint32_t i = 0; i < n_dims; ++i) {
    const auto n = in.number<int64_t>("a dimension");
    if (n < 1)
      in.fail_here(ErrorCode::kFormat, "dimension ", i, " is ", n, ", expected at least 1");
    tensor.shape.push_back(n);
    const auto product = checked_mul(n_elements, n);
    if (!product) {
      in.fail_here(ErrorCode::kFormat, "the product of dimensions 0 to ", i, ", the last ", n,
                   ", exceeds 2^63 - 1");
    }
    n_elements = *product;
  }

  const auto type_id = in.number<uint32_t>("type");
  const GgmlType* type = ggml_type(type_id);
  if (!type) in.fail_here(ErrorCode::kFormat, "type ", type_id, " is not known");
  if (!type->dtype) {
    in.fail_here(
        ErrorCode::kUnsupported, "type ", type->name,
        ", this build reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K",
        " and IQ4_NL");
  }
  tensor.dtype = *type->dtype;
  const auto info = kernels::dtype_info(tensor.dtype);
  if (tensor.shape[0] % info.block_elements != 0) {
    in.fail_here(ErrorCode::kFormat, "a row of ", tensor.shape[0], " elements is no multiple of ",
                 type->name, "'s block of ", info.block_elements);
  }
  const auto n_bytes = checked_mul(n_elements / info.block_elements, int64_t{info.block_bytes});
  if (!n_bytes) {
    in.fail_here(ErrorCode::kFormat, n_elements, " elements of ", type->name,
                 " have more than 2^63 - 1 bytes");
  }
  tensor.n_bytes = static_cast<uint64_t>(*n_bytes);
  tensor.offset = in.number<uint64_t>("offset");
  return tensor;
}

template <class T>
std::vector<uint32_t> sorted_by(const std::vector<T>& items, auto&& less) {
  std::vector<uint32_t> order(items.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return less(items[a], items[b]); });
  return order;
}

// Orders by key; fails where two are the same.
std::vector<uint32_t> index_by_key(const HeaderReader& in, const std::vector<Entry>& entries) {
  auto order = sorted_by(entries, [](const Entry& a, const Entry& b) { return a.key < b.key; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (entries[order[i - 1]].key == entries[order[i]].key) {
      in.fail_here(ErrorCode::kFormat, "key '", printable(entries[order[i]].key), "' occurs twice");
    }
  }
  return order;
}

// Tensors must fill the data section: each begins where the one before it ends, padded. Anything
// else is a file whose offsets and sizes contradict each other. Makes the offsets absolute.
void place_tensors(HeaderReader& in, std::vector<TensorInfo>& tensors, uint64_t alignment,
                   uint64_t file_size) {
  // The position is within kMaxHeaderBytes, so neither sum can wrap.
  const uint64_t data_begin = *checked_align_up(in.position(), alignment);
  const auto order = sorted_by(tensors, [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.offset, a.n_bytes) < std::pair(b.offset, b.n_bytes);
  });
  uint64_t end = tensors.empty() ? in.position() : data_begin;
  uint64_t expected = data_begin;
  const TensorInfo* previous = nullptr;
  for (const uint32_t i : order) {
    TensorInfo& tensor = tensors[i];
    in.where = concat("tensor '", printable(tensor.name), "'");
    if (tensor.offset % alignment != 0) {
      in.fail_here(ErrorCode::kFormat, "offset ", tensor.offset,
                   " is no multiple of the alignment ", alignment);
    }
    const auto begin = checked_add(data_begin, tensor.offset);
    const auto tensor_end = begin ? checked_add(*begin, tensor.n_bytes) : std::nullopt;
    if (!tensor_end || *tensor_end > file_size) {
      in.fail_here(ErrorCode::kFormat, "offset ", tensor.offset, " and size ", tensor.n_bytes,
                   " from byte ", data_begin, " on end past the file's ", file_size, " bytes");
    }
    if (*begin != expected) {
      in.fail_here(ErrorCode::kFormat, "begins at byte ", *begin, ", expected ", expected,
                   previous ? concat(" after tensor '", printable(previous->name), "'")
                            : std::string(" as the first tensor"),
                   *begin < expected ? ": tensors overlap" : ": tensors leave a hole");
    }
    tensor.offset = *begin;
    end = *tensor_end;
    // Past the end of any file only for a size near 2^64, which no file has.
    expected = checked_align_up(end, alignment).value_or(end);
    previous = &tensor;
  }
  in.where = "header";
  const uint64_t padded_end = checked_align_up(end, alignment).value_or(end);
  if (file_size > padded_end) {
    in.fail_here(ErrorCode::kFormat, file_size - padded_end,
                 " bytes follow the last tensor, which ", "ends at byte ", end, " of ", file_size);
  }
}

}  // namespace

Gguf Gguf::open(const std::string& path) {
  return parse(File::open(path));
}

Gguf Gguf::parse(File file) {
  Gguf gguf(std::move(file));
  HeaderReader in(gguf.files_[0]);
  gguf.version_ = read_version(in);
  const uint64_t n_tensors = in.number<uint64_t>("n_tensors");
  const uint64_t n_keys = in.number<uint64_t>("n_kv");
  check_count(in, "n_tensors", n_tensors, kMinTensorBytes, kMaxTensors);
  check_count(in, "n_kv", n_keys, kMinKeyBytes, kMaxKeys);

  for (uint64_t i = 0; i < n_keys; ++i) {
    in.where = concat("key ", i, " of ", n_keys);
    std::string key = in.name("the key", kMaxKeyBytes);
    in.where = concat("key '", printable(key), "'");
    Value value = read_value(in);
    gguf.entries_.push_back({std::move(key), std::move(value)});
  }
  in.where = "header";
  gguf.keys_by_name_ = index_by_key(in, gguf.entries_);

  if (const Value* value = gguf.find("general.alignment")) {
    in.where = "key 'general.alignment'";
    if (value->type != ValueType::kU32) {
      in.fail_here(ErrorCode::kFormat, "is ", value->type_name(), ", expected u32");
    }
    gguf.alignment_ = gguf.get_uint("general.alignment");
    if (!std::has_single_bit(gguf.alignment_) || gguf.alignment_ < 8 ||
        gguf.alignment_ > kMaxAlignment) {
      in.fail_here(ErrorCode::kFormat, "is ", gguf.alignment_,
                   ", expected a power of two from 8 to ", kMaxAlignment);
    }
    in.where = "header";
  }

  check_count(in, "n_tensors", n_tensors, kMinTensorBytes, kMaxTensors);
  for (uint64_t i = 0; i < n_tensors; ++i) {
    gguf.tensors_.push_back(read_tensor_info(in, i, n_tensors));
  }
  in.where = "header";
  gguf.index_tensors();
  place_tensors(in, gguf.tensors_, gguf.alignment_, gguf.size());
  return gguf;
}

}  // namespace reattn::io
