#include "core/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <optional>
#include <span>

#include "core/base/checked.hpp"
#include "core/base/quote.hpp"
#include "core/io/json.hpp"
#include "core/io/system_error.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {
namespace {

using base::checked_add;
using base::checked_mul;
using base::printable;

constexpr std::string_view kMetadata = "__metadata__";

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie in a file");

struct SafetensorsType {
  std::string_view name;
  std::optional<kernels::DType> dtype;  // none: known, not supported
};
constexpr std::array kTypes = {
    SafetensorsType{"F32", kernels::DType::kF32},
    SafetensorsType{"F16", kernels::DType::kF16},
    SafetensorsType{"BF16", kernels::DType::kBF16},
    SafetensorsType{"F64", {}},
    SafetensorsType{"F8_E4M3", {}},
    SafetensorsType{"F8_E5M2", {}},
    SafetensorsType{"F8_E8M0", {}},
    SafetensorsType{"F6_E2M3", {}},
    SafetensorsType{"F6_E3M2", {}},
    SafetensorsType{"F4", {}},
    SafetensorsType{"C64", {}},
    SafetensorsType{"I64", {}},
    SafetensorsType{"I32", {}},
    SafetensorsType{"I16", {}},
    SafetensorsType{"I8", {}},
    SafetensorsType{"U64", {}},
    SafetensorsType{"U32", {}},
    SafetensorsType{"U16", {}},
    SafetensorsType{"U8", {}},
    SafetensorsType{"BOOL", {}},
};

// A name that can stand in messages and in a file system.
void check_name(const std::string& where, std::string_view what, std::string_view name) {
  if (name.empty() || name.size() > kMaxHfNameBytes || name.find('\0') != std::string_view::npos) {
    fail(ErrorCode::kFormat, where, ": ", what, " '", printable(name), "' has ", name.size(),
         " bytes, expected 1 to ", kMaxHfNameBytes, " and no NUL among them");
  }
}

kernels::DType type_of(const JsonObject& in) {
  const std::string_view name = in.get_string("dtype");
  const auto type =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& t) { return t.name == name; });
  if (type == kTypes.end()) {
    fail(ErrorCode::kFormat, in.name_of("dtype"), " is '", printable(name),
         "', which is not known");
  }
  if (!type->dtype) {
    fail(ErrorCode::kUnsupported, in.name_of("dtype"), " is '", name,
         "', this build reads F32, F16 and BF16");
  }
  return *type->dtype;
}

// What a list of whole numbers from 0 on holds, as many as allowed.
std::vector<int64_t> numbers(const JsonObject& in, std::string_view key, size_t min, size_t max) {
  const Json::Array& array = in.get_array(key);
  std::vector<int64_t> out;
  for (const Json& element : array) {
    const auto* v = element.as<int64_t>();
    if (out.size() == max || !v || *v < 0) break;
    out.push_back(*v);
  }
  if (out.size() != array.size() || out.size() < min) {
    fail(ErrorCode::kFormat, in.name_of(key), " is ", in.find(key)->text(), ", expected ", min,
         min == max ? std::string() : concat(" to ", max), " integers from 0 to 2^63 - 1");
  }
  return out;
}

// One tensor of the header; its offset is still relative to the end of that.
TensorInfo read_tensor_info(const JsonObject& in, const std::string& name) {
  for (const auto& [key, value] : in.members()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      fail(ErrorCode::kFormat, in.name_of(key), " is not part of the format");
    }
  }
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = type_of(in);
  tensor.shape = numbers(in, "shape", 0, kMaxRank);
  std::reverse(tensor.shape.begin(), tensor.shape.end());  // there the contiguous one is the last
  std::optional<int64_t> n_bytes = kernels::dtype_info(tensor.dtype).block_bytes;
  for (const int64_t n : tensor.shape) n_bytes = n_bytes ? checked_mul(*n_bytes, n) : n_bytes;
  if (!n_bytes) {
    fail(ErrorCode::kFormat, in.name_of("shape"), " asks for more than 2^63 - 1 bytes");
  }
  const std::vector<int64_t> offsets = numbers(in, "data_offsets", 2, 2);
  if (offsets[1] - offsets[0] != *n_bytes) {
    fail(ErrorCode::kFormat, in.name_of("data_offsets"), " are ", offsets[0], " and ", offsets[1],
         ", shape and dtype ask for ", *n_bytes, " bytes");
  }
  tensor.offset = static_cast<uint64_t>(offsets[0]);
  tensor.n_bytes = static_cast<uint64_t>(*n_bytes);
  return tensor;
}

void check_metadata(const JsonObject& header) {
  if (!header.find_object(kMetadata)) return;
  for (const auto& [key, value] : header.find_object(kMetadata)->members()) {
    if (!value.as<std::string>()) {
      fail(ErrorCode::kFormat, header.name_of(kMetadata), " has ", value.type_name(), " at '",
           printable(key), "', expected strings");
    }
  }
}

// Tensors must fill what follows the header. Makes the offsets absolute.
void place_tensors(const std::string& where, std::span<TensorInfo> tensors, uint64_t data_begin,
                   uint64_t file_size) {
  std::vector<TensorInfo*> order;
  order.reserve(tensors.size());
  for (TensorInfo& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->offset, a->n_bytes) < std::pair(b->offset, b->n_bytes);
  });
  uint64_t expected = 0;
  for (TensorInfo* t : order) {
    const uint64_t end = t->offset + t->n_bytes;  // below 2^63: it was a number of the header
    if (t->offset != expected) {
      fail(ErrorCode::kFormat, where, ": tensor '", printable(t->name), "' begins at byte ",
           t->offset, " of the data, expected ", expected,
           t->offset < expected ? ": tensors overlap" : ": tensors leave a hole");
    }
    if (end > file_size - data_begin) {
      fail(ErrorCode::kFormat, where, ": tensor '", printable(t->name), "' ends at byte ", end,
           " of the data, of which the file has ", file_size - data_begin,
           ": the file is cut short or the number is wrong");
    }
    t->offset += data_begin;
    expected = end;
  }
  if (expected != file_size - data_begin) {
    fail(ErrorCode::kFormat, where, ": ", file_size - data_begin - expected,
         " bytes follow the last tensor");
  }
}

// The JSON header, and the byte it ends at.
std::pair<Json, uint64_t> read_header(const File& file, const std::string& where) {
  uint64_t n = 0;
  if (file.size() < sizeof n) {
    fail(ErrorCode::kFormat, where, ": has ", file.size(), " bytes, a header needs more");
  }
  file.read_at(0, std::as_writable_bytes(std::span(&n, 1)));
  if (n > file.size() - sizeof n) {
    fail(ErrorCode::kFormat, where, ": the header needs ", n, " bytes, ", file.size() - sizeof n,
         " are left: the file is cut short, or it is no safetensors file");
  }
  if (n > kMaxJsonBytes) {
    fail(ErrorCode::kUnsupported, where, ": the header has ", n, " bytes, at most ", kMaxJsonBytes,
         " are read");
  }
  std::string text(n, '\0');
  file.read_at(sizeof n, std::as_writable_bytes(std::span(text)));
  if (!text.starts_with('{')) {
    fail(ErrorCode::kFormat, where, ": the header does not begin with '{'");
  }
  return {parse_json(text, where), sizeof n + n};
}

}  // namespace

void Safetensors::add(File file) {
  const std::string where = printable(file.path(), kPathBytes);
  const auto [json, data_begin] = read_header(file, where);
  const JsonObject header(json, file.path());
  check_metadata(header);
  if (tensors_.size() + header.members().size() > kMaxShardTensors) {
    fail(ErrorCode::kUnsupported, where, ": has ", header.members().size(),
         " tensors, a model has at most ", kMaxShardTensors);
  }
  const size_t first = tensors_.size();
  for (const auto& [name, value] : header.members()) {
    if (name == kMetadata) continue;
    check_name(where, "tensor", name);
    tensors_.push_back(read_tensor_info(JsonObject(value, file.path(), name), name));
    tensors_.back().file = files_.size();
  }
  place_tensors(where, std::span(tensors_).subspan(first), data_begin, file.size());
  files_.push_back(std::move(file));
}

void Safetensors::add_shards(const std::string& index_path) {
  const std::string where = printable(index_path, kPathBytes);
  const Json json = read_json(index_path);
  const auto weight_map = JsonObject(json, index_path).find_object("weight_map");
  if (!weight_map) fail(ErrorCode::kFormat, where, ": 'weight_map' is missing");

  std::map<std::string, size_t, std::less<>> shards;  // to their place in files_
  for (const auto& [tensor, value] : weight_map->members()) {
    const auto* text = value.as<std::string>();
    const std::string& name = text ? *text : std::string();
    check_name(where, "the file name", name);
    if (name.find_first_of("/\\") != std::string::npos || !name.ends_with(".safetensors")) {
      fail(ErrorCode::kFormat, weight_map->name_of(tensor), " is '", printable(name),
           "', expected the name of a .safetensors file in the same folder");
    }
    shards.emplace(name, 0);
  }
  if (shards.size() > kMaxShards) {
    fail(ErrorCode::kUnsupported, where, ": names ", shards.size(), " files, at most ", kMaxShards,
         " are opened");
  }
  for (auto& [name, place] : shards) {
    place = files_.size();
    add(File::open(concat(path_, "/", name)));
  }
  index_tensors();

  for (const auto& [tensor, value] : weight_map->members()) {
    const TensorInfo* found = find_tensor(tensor);
    const auto& name = *value.as<std::string>();
    if (!found || found->file != shards.find(name)->second) {
      fail(ErrorCode::kFormat, weight_map->name_of(tensor), " is '", printable(name),
           "', which has no such tensor");
    }
  }
  if (weight_map->members().size() != tensors_.size()) {
    fail(ErrorCode::kFormat, where, ": names ", weight_map->members().size(),
         " tensors, its files have ", tensors_.size());
  }
}

Safetensors Safetensors::open(const std::string& folder) {
  Safetensors out(folder);
  const std::string whole = folder + "/model.safetensors", index = whole + ".index.json";
  if (exists(whole)) {
    out.add(File::open(whole));
    out.index_tensors();
  } else if (exists(index)) {
    out.add_shards(index);
  } else {
    fail(ErrorCode::kIo, printable(folder, kPathBytes),
         ": has neither model.safetensors nor model.safetensors.index.json");
  }
  return out;
}

Safetensors Safetensors::parse(File file) {
  Safetensors out(file.path());
  out.add(std::move(file));
  out.index_tensors();
  return out;
}

}  // namespace reattn::io
