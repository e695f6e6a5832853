#include "core/engine/model_source.hpp"

#include <optional>

#include "core/base/quote.hpp"
#include "core/io/gguf.hpp"
#include "core/io/json.hpp"
#include "core/io/safetensors.hpp"
#include "core/io/system_error.hpp"
#include "core/text/gguf_tokenizer.hpp"
#include "core/text/hf_tokenizer.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::engine {
namespace {

class GgufSource : public ModelSource {
 public:
  explicit GgufSource(const std::string& path) : file_(io::Gguf::open(path)) {
    config_ = model::config_from_gguf(file_);
    for (const io::Entry& e : file_.entries()) metadata_.emplace_back(e.key, e.value.text());
  }
  const io::Tensors& tensors() const override { return file_; }
  text::TokenizerSpec tokenizer_spec() const override { return text::spec_from_gguf(file_); }

 private:
  io::Gguf file_;
};

class FolderSource : public ModelSource {
 public:
  explicit FolderSource(const std::string& path) {
    const std::string config_path = path + "/config.json";
    const io::Json json = io::read_json(config_path);
    const io::JsonObject config(json, config_path);
    config_ =
        model::config_from_folder(path, config);  // first: it says why tensors are of no known type
    tensors_.emplace(io::Safetensors::open(path));
    metadata_ = {{"general.architecture", config_.architecture}, {"general.name", config_.name}};
    for (const auto& [key, value] : config.members()) {
      metadata_.emplace_back(base::printable(key), value.text());
    }
  }
  const io::Tensors& tensors() const override { return *tensors_; }
  text::TokenizerSpec tokenizer_spec() const override {
    const text::HfFiles files = text::read_hf_files(tensors_->path());
    try {
      return text::spec_from_hf(files, static_cast<uint32_t>(config_.n_vocab));
    } catch (const Error& e) {  // which knows the files' names alone
      fail(e.code(), base::printable(tensors_->path(), io::kPathBytes), "/", e.what());
    }
  }

 private:
  std::optional<io::Safetensors> tensors_;
};

}  // namespace

std::unique_ptr<ModelSource> ModelSource::open(const std::string& path) {
  if (io::is_directory(path)) return std::make_unique<FolderSource>(path);
  if (path.ends_with(".safetensors") || path.ends_with("config.json")) {
    io::File::open(path);
    fail(ErrorCode::kUnsupported, base::printable(path, io::kPathBytes),
         ": is a part of a model; open the folder that it lies in");
  }
  return std::make_unique<GgufSource>(path);
}

}  // namespace reattn::engine
