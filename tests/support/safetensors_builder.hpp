// Writes safetensors files for tests: good ones, and ones whose header says anything at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
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
                                const std::vector<int64_t>& shape, size_t n_bytes, uint64_t bits);
  SafetensorsBuilder& without(std::string_view name);

  std::vector<std::string> names() const;
  std::vector<int64_t> shape(std::string_view name) const;
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

// A folder for a small Llama model: config.json with the keys that the family has, all tensors of it in F16 (each matrix of one
// number), and the tokenizer of tiny_llama.
struct TinyFolder {
  int64_t n_layers = 1, n_embd = 32, n_heads = 4, n_kv_heads = 2, n_ff = 48, n_vocab = 260;

  // The keys and their values as JSON text, in config.json's order.
  std::vector<std::pair<std::string, std::string>> config() const;
  SafetensorsBuilder tensors() const;
  // By name.
  std::map<std::string, std::vector<std::byte>> files() const;
};
// An object of keys and values that are JSON text.
std::string json_object(const std::vector<std::pair<std::string, std::string>>& members);

// Makes the folder unless it is there, and writes each file in it.
void write_files(const std::string& folder,
                 const std::map<std::string, std::vector<std::byte>>& files);

}  // namespace reattn::test
