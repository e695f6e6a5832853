// The steps of a request: through the layers, with a look at the clock after each, and into the session.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/engine/request_impl.hpp"

namespace reattn::engine {
namespace {

// Room for n more, growing geometrically: what follows cannot throw.
template <class T>
void grow(std::vector<T>& v, size_t n) {
  if (v.capacity() - v.size() < n) v.reserve(std::max(2 * v.capacity(), v.size() + n));
}

float logprob_of(std::span<const float> logits, int32_t id) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - top);
  return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(id)]) - top -
                            std::log(sum));
}

}  // namespace

std::optional<Request::Impl::Step> Request::Impl::next_input() {
  const Session::Append& append = input_[append_];
  const size_t n = std::min(static_cast<size_t>(decoder_.max_rows()), append.ids.size() - offset_);
  const auto from = append.ids.begin() + static_cast<int64_t>(offset_);
  Step step{StepKind::kInput, {from, from + static_cast<int64_t>(n)}, n_read(), append.logprobs, 0,
            offset_ == 0};
  offset_ += n;
  if (offset_ == append.ids.size()) {
    ++append_;
    offset_ = 0;
  }
  return step;
}

Request::Impl::Progress Request::Impl::run(std::optional<Step>& step) {
  const Clock::time_point start = Clock::now();
  const auto count_time = [&] {
    const std::scoped_lock lock(mutex_);
    (step->kind == StepKind::kAnswer ? stats_.decode_seconds : stats_.prefill_seconds) +=
        seconds_since(start);
  };
  kernels::Stream s = stream();
  if (!step->is_started) {
    const std::scoped_lock lock(session_.mutex_);  // info() looks at the pages
    decoder_.begin(s, step->ids, step->begin, session_.cache_);
    step->is_started = true;
  }
  while (!decoder_.run_layer(s, session_.cache_)) {
    if (deadline_ && Clock::now() >= *deadline_) {
      count_time();
      return Progress::kTimeout;
    }
  }
  commit(*step);
  count_time();
  step.reset();
  return Progress::kCommitted;
}

void Request::Impl::commit(const Step& step) {
  kernels::Stream s = stream();
  std::vector<float> logprobs(step.ids.size(), std::numeric_limits<float>::quiet_NaN());
  if (step.kind == StepKind::kAnswer) logprobs[0] = step.known_logprob;
  const float* logits = session_.last_logits();  // before the step, then after its chunks
  for (const select::Chunk& chunk : decoder_.chunks()) {
    if (step.logprobs) {
      const auto row = static_cast<size_t>(chunk.row), n = static_cast<size_t>(chunk.n_rows);
      const std::vector<float> before = session_.read_logits(logits);
      if (!before.empty()) logprobs[row] = logprob_of(before, step.ids[row]);
      decoder_.read_logprobs(s, chunk, std::span(logprobs).subspan(row + 1, n - 1));
    } else if (&chunk != &decoder_.chunks().back()) {
      continue;
    }
    logits = decoder_.logits(s, chunk);
  }
  record(step, decoder_.read_anchors(s));

  const std::scoped_lock lock(session_.mutex_, mutex_);
  grow(session_.ids_, step.ids.size());
  grow(session_.logprobs_, step.ids.size());
  session_.take_logits(logits);
  if (step.kind == StepKind::kLast) return;
  session_.ids_.insert(session_.ids_.end(), step.ids.begin(), step.ids.end());
  session_.logprobs_.insert(session_.logprobs_.end(), logprobs.begin(), logprobs.end());
  session_.cache_.commit(n_read());
  const auto n = static_cast<int64_t>(step.ids.size());
  if (step.kind == StepKind::kInput) {
    session_.n_reading_ -= n;
    stats_.n_prefill_tokens += n;
  } else {
    stats_.n_decode_tokens += n;
  }
}

void Request::Impl::record(const Step& step, const select::Selector::Anchors& anchors) {
  const std::vector<select::Chunk>& chunks = decoder_.chunks();
  const int32_t span = session_.settings_.span;
  const RecalledScope scope = step.kind == StepKind::kInput    ? RecalledScope::kPrompt
                              : step.kind == StepKind::kAnswer ? RecalledScope::kAnswer
                                                               : RecalledScope::kLastStep;
  const std::scoped_lock lock(mutex_);
  if (step.is_first_of_append) recalled_.begin_append();
  for (size_t c = 0; c < chunks.size(); ++c) {
    std::vector<LayerRecall> recalled(anchors.size());
    for (size_t layer = 0; layer < anchors.size(); ++layer) {
      for (const select::Anchor& a : anchors[layer][c]) {
        recalled[layer].add(a.position, a.votes, span, chunks[c].at.middle_begin,
                            chunks[c].at.middle_end);
      }
    }
    recalled_.add(std::move(recalled), scope);
  }
}

}  // namespace reattn::engine
