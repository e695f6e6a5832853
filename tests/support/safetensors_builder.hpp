// Writes safetensors files for tests: good ones, and ones whose header says anything at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reattn::test {

// The length, a header as given, and zeros behind it.
std::vector<std::byte> safetensors_file(std::string_view header, size_t n_data_bytes = 0);

// Tensors lie in the order they were added. Nothing is checked.
class SafetensorsBuilder {
 public:
  // Shape as the format has it, contiguous dimension last. A tensor of the same name is replaced.
  SafetensorsBuilder& tensor(std::string_view name, std::string_view dtype,
                             const std::vector<int64_t>& shape, std::vector<std::byte> data);
  // Each number is `bits`, n_bytes of it.
  SafetensorsBuilder& tensor_of(std::string_view name, std::string_view dtype,
                                const std::vector<int64_t>& shape, size_t n_bytes, uint32_t bits);
  SafetensorsBuilder& without(std::string_view name);

  bool has(std::string_view name) const;
  std::vector<std::string> names() const;
  std::string header() const;
  std::vector<std::byte> bytes() const;

 private:
  struct Tensor {
    std::string name, dtype;
    std::vector<int64_t> shape;
    std::vector<std::byte> data;
  };
  std::vector<Tensor> tensors_;
};

// A folder for a small Llama model: config.json with the keys that the family has, and all tensors of it, in F16.
struct TinyFolder {
  int64_t n_layers = 1, n_embd = 32, n_heads = 4, n_kv_heads = 2, n_ff = 48, n_vocab = 260;

  // The keys and their values as JSON text, in config.json's order.
  std::vector<std::pair<std::string, std::string>> config() const;
  SafetensorsBuilder tensors() const;
};
// config.json of the keys and values.
std::string json_object(const std::vector<std::pair<std::string, std::string>>& members);

}  // namespace reattn::test
