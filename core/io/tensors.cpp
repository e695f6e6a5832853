#include "core/io/tensors.hpp"

#include <algorithm>
#include <numeric>

#include "core/base/quote.hpp"
#include "core/io/system_error.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::io {

int64_t TensorInfo::n_elements() const {
  int64_t n = 1;
  for (const int64_t d : shape) n *= d;
  return n;
}

std::string TensorInfo::shape_text() const {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) out += concat(i > 0 ? ", " : "", shape[i]);
  return out + "]";
}

const TensorInfo* Tensors::find_tensor(std::string_view name) const {
  const auto it = std::lower_bound(
      by_name_.begin(), by_name_.end(), name,
      [&](size_t i, std::string_view wanted) { return tensors_[i].name < wanted; });
  return it != by_name_.end() && tensors_[*it].name == name ? &tensors_[*it] : nullptr;
}

const TensorInfo& Tensors::get_tensor(std::string_view name) const {
  const TensorInfo* tensor = find_tensor(name);
  if (!tensor) {
    fail(ErrorCode::kFormat, base::printable(path_, kPathBytes), ": tensor '",
         base::printable(name), "' is missing");
  }
  return *tensor;
}

void Tensors::read_tensor(const TensorInfo& tensor, uint64_t at, std::span<std::byte> out) const {
  if (at > tensor.n_bytes || out.size() > tensor.n_bytes - at) {
    fail(ErrorCode::kInternal, "tensor '", base::printable(tensor.name), "' has ", tensor.n_bytes,
         " bytes, asked for are ", out.size(), " from byte ", at, " on");
  }
  files_[tensor.file].read_at(tensor.offset + at, out);
}

void Tensors::read_tensor(const TensorInfo& tensor, std::span<std::byte> out) const {
  if (out.size() != tensor.n_bytes) {
    fail(ErrorCode::kInternal, "tensor '", base::printable(tensor.name), "' has ", tensor.n_bytes,
         " bytes, the buffer has ", out.size());
  }
  read_tensor(tensor, 0, out);
}

void Tensors::index_tensors() {
  by_name_.resize(tensors_.size());
  std::iota(by_name_.begin(), by_name_.end(), size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [&](size_t a, size_t b) { return tensors_[a].name < tensors_[b].name; });
  const auto twice = std::adjacent_find(by_name_.begin(), by_name_.end(), [&](size_t a, size_t b) {
    return tensors_[a].name == tensors_[b].name;
  });
  if (twice != by_name_.end()) {
    fail(ErrorCode::kFormat, base::printable(path_, kPathBytes), ": header: tensor '",
         base::printable(tensors_[*twice].name), "' occurs twice");
  }
}

}  // namespace reattn::io
