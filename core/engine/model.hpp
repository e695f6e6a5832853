// A loaded model: what any number of sessions share, and what never changes once it is open.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/cache/snapshot.hpp"
#include "core/model/config.hpp"
#include "core/model/held.hpp"
#include "core/select/settings.hpp"
#include "core/text/json_schema.hpp"
#include "core/text/tokenizer.hpp"
#include "reattn/kernels/device.hpp"

namespace reattn::model {
class Weights;
}

namespace reattn::engine {

// Shared with the thread that loads: how far it is, and whether it should stop.
struct LoadProgress {
  std::atomic<uint64_t> bytes_done{0};
  std::atomic<uint64_t> bytes_total{0};
  std::atomic<bool> cancel{false};
};

// What opening and reading would take, in bytes; computed from the header alone.
struct MemoryPlan {
  uint64_t weights_bytes = 0;  // weights as held
  uint64_t kv_bytes = 0;       // cache pages for n_tokens
  uint64_t working_bytes =
      0;  // activations and scratch of one session's largest step (an upper bound)
  uint64_t total_bytes = 0;
};

// The header of a model file without its weights: hyper-parameters, tokenizer settings, plan.
struct ModelHeader {
  model::Config config;
  std::vector<std::pair<std::string, std::string>>
      metadata;  // key, value as short text; file order
  select::Settings default_settings;
  model::WeightType weights = model::WeightType::kAuto;
  uint64_t weights_bytes = 0;  // as held by the device it was read for
};
// The device is the one that the model is, or would be, opened on.
ModelHeader read_header(const std::string& path, const kernels::Device& device,
                        model::WeightType weights = model::WeightType::kAuto);
MemoryPlan plan(const ModelHeader& header, const select::Settings& settings, int64_t n_tokens,
                const kernels::Device& device);

class Model {
 public:
  // Reads and checks the whole file; blocking. progress may be null. Throws Error: kIo, kFormat, kUnsupported,
  // kOomHost, kOomDevice, kCancelled.
  static std::shared_ptr<const Model> open(const std::string& path,
                                           std::shared_ptr<kernels::Device> device,
                                           LoadProgress* progress,
                                           model::WeightType weights = model::WeightType::kAuto);
  // A model of this shape with random weights and numbers for tokens: for measuring speed and memory of sizes whose weights are
  // not at hand. `config` has been checked (model::check_shape). Blocking. Throws Error: kOomHost, kOomDevice, kCancelled.
  static std::shared_ptr<const Model> synthesize(
      const model::Config& config, uint64_t seed, std::shared_ptr<kernels::Device> device,
      LoadProgress* progress, model::WeightType weights = model::WeightType::kAuto);
  ~Model();

  const std::string& path() const { return path_; }
  const ModelHeader& header() const { return header_; }
  const model::Config& config() const { return header_.config; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  // Made by the first call.
  const text::Vocabulary& vocabulary() const;
  const model::Weights& weights() const { return *weights_; }
  const std::shared_ptr<kernels::Device>& device() const { return device_; }
  const cache::Identity& identity() const { return identity_; }

 private:
  Model() = default;
  void identify();

  std::string path_;
  ModelHeader header_;
  std::shared_ptr<kernels::Device> device_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  mutable std::once_flag has_vocabulary_;
  mutable std::unique_ptr<text::Vocabulary> vocabulary_;
  std::unique_ptr<model::Weights> weights_;
  cache::Identity identity_;
};

}  // namespace reattn::engine
