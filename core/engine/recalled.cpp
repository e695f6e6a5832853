#include "core/engine/recalled.hpp"

#include <algorithm>
#include <utility>

#include "reattn/kernels/error.hpp"

namespace reattn::engine {

void LayerRecall::add(const LayerRecall& other) {
  for (const Span& span : other.spans_) add(span);
}

// Merging a part early changes nothing: in the end a span is what is connected, with the sum of all votes in it.
void LayerRecall::merge() {
  const auto by_begin = [](const Span& a, const Span& b) { return a.begin < b.begin; };
  const auto fresh = spans_.begin() + static_cast<ptrdiff_t>(n_merged_);
  std::sort(fresh, spans_.end(), by_begin);
  std::inplace_merge(spans_.begin(), fresh, spans_.end(), by_begin);
  size_t n = 0;
  for (const Span& span : spans_) {
    if (n > 0 && span.begin <= spans_[n - 1].end) {
      spans_[n - 1].end = std::max(spans_[n - 1].end, span.end);
      spans_[n - 1].votes += span.votes;
    } else {
      spans_[n++] = span;
    }
  }
  spans_.resize(n);
  n_merged_ = n;
  limit_ = std::max(kFewSpans, 2 * n);
}

std::vector<Span> LayerRecall::spans() const {
  LayerRecall merged = *this;
  merged.merge();
  std::stable_sort(merged.spans_.begin(), merged.spans_.end(),
                   [](const Span& a, const Span& b) { return a.votes > b.votes; });
  return std::move(merged.spans_);
}

void RecallLog::begin_append() {
  for (LayerRecall& layer : prompt_) layer.clear();
}

void RecallLog::add(std::vector<LayerRecall> step, RecalledScope to) {
  for (size_t layer = 0; layer < step.size(); ++layer) {
    if (to == RecalledScope::kPrompt) prompt_[layer].add(step[layer]);
    if (to == RecalledScope::kAnswer) answer_[layer].add(step[layer]);
  }
  last_step_ = std::move(step);
}

std::vector<Span> RecallLog::spans(int64_t layer, RecalledScope scope) const {
  const auto n_layers = static_cast<int64_t>(last_step_.size());
  if (layer < -1 || layer >= n_layers) {
    fail(ErrorCode::kArg, "layer is ", layer, ", the model has ", n_layers, " (-1: all)");
  }
  const std::vector<LayerRecall>* layers = nullptr;
  switch (scope) {
    case RecalledScope::kLastStep:
      layers = &last_step_;
      break;
    case RecalledScope::kPrompt:
      layers = &prompt_;
      break;
    case RecalledScope::kAnswer:
      layers = &answer_;
      break;
    default:
      fail(ErrorCode::kArg, "scope is ", static_cast<int32_t>(scope), ", known are 1, 2 and 3");
  }
  if (layer >= 0) return (*layers)[static_cast<size_t>(layer)].spans();
  LayerRecall all;
  for (const LayerRecall& one : *layers) all.add(one);
  return all.spans();
}

}  // namespace reattn::engine
