#include "core/engine/logits_processor.hpp"

#include <limits>

namespace reattn::engine {

LogitsProcessor::LogitsProcessor(const Model& model, const RepetitionPenalty& penalty)
    : model_(model),
      penalty_(penalty),
      logits_(static_cast<size_t>(model.config().n_vocab)),
      is_seen_(logits_.size()),
      processed_(model.device(), logits_.size() * sizeof(float)) {}

void LogitsProcessor::set_schema(std::string_view schema) {
  schema_.emplace(model_.vocabulary(), schema);
}

const float* LogitsProcessor::apply(kernels::Stream& stream, const float* logits,
                                    std::span<const int32_t> ids) {
  kernels::Device& device = *model_.device();
  device.download(stream, logits_.data(), logits, processed_.bytes());
  if (penalty_.factor != 1) penalize(ids);
  if (schema_) {
    const std::span<const uint32_t> mask = schema_->mask();
    for (size_t i = 0; i < logits_.size(); ++i) {
      if ((mask[i / 32] >> i % 32 & 1) == 0) logits_[i] = -std::numeric_limits<float>::infinity();
    }
  }
  device.upload(stream, processed_.as(), logits_.data(), processed_.bytes());
  return processed_.as<float>();
}

void LogitsProcessor::penalize(std::span<const int32_t> ids) {
  if (penalty_.window > 0 && ids.size() > static_cast<size_t>(penalty_.window)) {
    ids = ids.last(static_cast<size_t>(penalty_.window));
  }
  for (const int32_t id : ids) {
    const auto i = static_cast<size_t>(id);
    if (is_seen_[i]) continue;
    is_seen_[i] = 1;
    logits_[i] = logits_[i] > 0 ? logits_[i] / penalty_.factor : logits_[i] * penalty_.factor;
  }
  for (const int32_t id : ids) is_seen_[static_cast<size_t>(id)] = 0;
}

void LogitsProcessor::accept(int32_t token) {
  if (schema_) schema_->accept(token);
}

}  // namespace reattn::engine
