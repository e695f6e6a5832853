#include "core/engine/recalled.hpp"

#include <algorithm>
#include <utility>

#include "reattn/kernels/error.hpp"

namespace reattn::engine {

void LayerRecall::add(int64_t anchor, int64_t votes, int32_t span, int64_t middle_begin,
                      int64_t middle_end) {
  const int64_t begin = std::max(middle_begin, anchor - span / 2);
  const int64_t end = std::min(middle_end, anchor + span - span / 2);
  const auto [at, is_new] = anchors_.try_emplace(anchor, Entry{begin, end, votes});
  if (is_new) return;
  at->second.end = std::max(at->second.end, end);  // the middle has grown since
  at->second.votes += votes;
}

void LayerRecall::add(const LayerRecall& other) {
  for (const auto& [anchor, e] : other.anchors_) {
    const auto [at, is_new] = anchors_.try_emplace(anchor, e);
    if (is_new) continue;
    at->second.begin = std::min(at->second.begin, e.begin);
    at->second.end = std::max(at->second.end, e.end);
    at->second.votes += e.votes;
  }
}

std::vector<Span> LayerRecall::spans() const {
  std::vector<Span> out;  // anchors ascend, so do the beginnings of their spans
  for (const auto& [anchor, e] : anchors_) {
    if (!out.empty() && e.begin <= out.back().end) {
      out.back().end = std::max(out.back().end, e.end);
      out.back().votes += e.votes;
    } else {
      out.push_back({e.begin, e.end, e.votes});
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Span& a, const Span& b) { return a.votes > b.votes; });
  return out;
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
