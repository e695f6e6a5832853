// What changes logits before a token is sampled from them: the repetition penalty, then a JSON schema.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/device/buffer.hpp"
#include "core/engine/request.hpp"
#include "core/text/json_schema.hpp"

namespace reattn::engine {

// Of one request. One caller at a time.
class LogitsProcessor {
 public:
  LogitsProcessor(const Model& model, const RepetitionPenalty& penalty);

  // Replaces one that was set. Throws as text::JsonSchema.
  void set_schema(std::string_view schema);

  // The device's copy of `logits` f32 [n_vocab], changed for the token that follows `ids`. Valid until the next call.
  const float* apply(kernels::Stream& stream, const float* logits, std::span<const int32_t> ids);
  // The token was sampled and ends nothing.
  void accept(int32_t token);
  // The schema lets nothing follow.
  bool is_complete() const { return schema_ && schema_->is_complete(); }

 private:
  void penalize(std::span<const int32_t> ids);

  const Model& model_;
  const RepetitionPenalty penalty_;
  std::optional<text::JsonSchema> schema_;
  std::vector<float> logits_;     // [n_vocab]
  std::vector<uint8_t> is_seen_;  // [n_vocab], all 0 between calls
  device::Buffer processed_;      // f32 [n_vocab]
};

}  // namespace reattn::engine
