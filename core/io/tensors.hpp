// The tensors of a model, located in its files: what the formats have in common once their headers are read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/file.hpp"
#include "reattn/kernels/types.hpp"

namespace reattn::io {

struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;  // contiguous dimension first: {n_cols, n_rows, ...}
  kernels::DType dtype = kernels::DType::kF32;
  uint64_t offset = 0;   // of its first byte, from the start of its file
  uint64_t n_bytes = 0;  // within the file, checked
  size_t file = 0;       // of those that the model lies in

  int64_t n_elements() const;
  // "[576, 192]", contiguous dimension first
  std::string shape_text() const;
};

// Checked headers and the open files behind them. Move-only; const calls may overlap.
class Tensors {
 public:
  // As it was opened: of the file, or of the folder with the files.
  const std::string& path() const noexcept { return path_; }

  // In file order.
  const std::vector<TensorInfo>& tensors() const noexcept { return tensors_; }
  // Null where there is none.
  const TensorInfo* find_tensor(std::string_view name) const;
  // Throws kFormat where there is none.
  const TensorInfo& get_tensor(std::string_view name) const;

  // Reads from byte `at` of a tensor of this model on; both ends lie within it. Errors as File::read_at.
  void read_tensor(const TensorInfo& tensor, uint64_t at, std::span<std::byte> out) const;
  // Reads all of it; out holds exactly n_bytes.
  void read_tensor(const TensorInfo& tensor, std::span<std::byte> out) const;

 protected:
  explicit Tensors(std::string path) : path_(std::move(path)) {}
  Tensors(Tensors&&) noexcept = default;
  Tensors& operator=(Tensors&&) noexcept = default;
  ~Tensors() = default;

  // For find_tensor, once all are known. Throws kFormat where two have the same name.
  void index_tensors();

  std::string path_;
  std::vector<File> files_;
  std::vector<TensorInfo> tensors_;

 private:
  std::vector<size_t> by_name_;  // indices into tensors_, sorted by name
};

}  // namespace reattn::io
