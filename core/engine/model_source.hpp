// What a path holds: a GGUF file, or a folder as Hugging Face's library saves models.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/io/tensors.hpp"
#include "core/model/config.hpp"
#include "core/text/tokenizer.hpp"

namespace reattn::engine {

class ModelSource {
 public:
  // A folder (with config.json and safetensors files) or anything else, which is to be a GGUF file. Reads and checks the headers.
  // Throws Error: kIo, kFormat, kUnsupported, each message beginning with the path.
  static std::unique_ptr<ModelSource> open(const std::string& path);
  virtual ~ModelSource() = default;

  virtual const io::Tensors& tensors() const = 0;
  const model::Config& config() const { return config_; }
  // Key, value as short text; in the file's order.
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }
  // Reads it now. Throws as open().
  virtual text::TokenizerSpec tokenizer_spec() const = 0;

 protected:
  ModelSource() = default;

  model::Config config_;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace reattn::engine
