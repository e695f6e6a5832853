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

// What is enqueued until end() is one step to the device; forgotten where something throws before.
class DeviceStep {
 public:
  DeviceStep(kernels::Device& device, kernels::Stream& stream) : device_(device), stream_(stream) {
    device_.begin_step(stream_);
  }
  ~DeviceStep() {
    if (!ended_) device_.forget_step();
  }
  DeviceStep(const DeviceStep&) = delete;
  DeviceStep& operator=(const DeviceStep&) = delete;
  void end() {
    ended_ = true;
    device_.end_step(stream_);
  }

 private:
  kernels::Device& device_;
  kernels::Stream& stream_;
  bool ended_ = false;
};

}  // namespace

const Request::Impl::Step* Request::Impl::next_step() {
  if (cancel_.load()) cancelled_ = true;
  if (cancelled_ && step_ && step_->kind != StepKind::kAnswer) step_.reset();
  if (step_) return &*step_;
  if (!cancelled_) {
    if (append_ < input_.size()) {
      step_ = next_input();
    } else if (options_.max_tokens > 0 && !session_.has_logits_) {
      // After a truncation: the last token is read once more.
      step_ = Step{StepKind::kLast, {session_.ids_.back()}, n_read() - 1, false, 0, false};
    }
  }
  if (!step_ && pending_token_ >= 0) {
    step_ = Step{StepKind::kAnswer, {pending_token_}, n_read(), false, pending_logprob_, false};
  }
  return step_ ? &*step_ : nullptr;
}

Request::Impl::Step Request::Impl::next_input() {
  const Session::Append& append = input_[append_];
  const size_t n = std::min(static_cast<size_t>(max_rows_), append.ids.size() - offset_);
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

void Request::Impl::reserve(kernels::Stream& stream, int64_t begin, size_t n) {
  const std::scoped_lock lock(session_.mutex_);  // info() looks at the pages
  session_.cache_.reserve(stream, begin, begin + static_cast<int64_t>(n));
}

void Request::Impl::count_time(Clock::time_point start) {
  count_time(start, step_->kind);
}

void Request::Impl::count_time(Clock::time_point start, StepKind kind) {
  const std::scoped_lock lock(mutex_);
  (kind == StepKind::kAnswer ? stats_.decode_seconds : stats_.prefill_seconds) +=
      seconds_since(start);
}

Request::Impl::Progress Request::Impl::run(model::Decoder& decoder, const Pause& pause) {
  if (ahead_ && step_->kind == StepKind::kAnswer && ahead_->begin == step_->begin) {
    commit_ahead();
    return Progress::kCommitted;
  }
  const Clock::time_point start = Clock::now();
  kernels::Stream s = stream();
  if (!step_->is_started) {
    reserve(s);
    const model::Part all = part();
    decoder.begin(s, {&all, 1});
    step_->is_started = true;
  }
  while (!decoder.run_layer(s)) {
    if (pause()) {
      count_time(start);
      return Progress::kPaused;
    }
  }
  commit(decoder);
  count_time(start);
  step_.reset();
  return Progress::kCommitted;
}

void Request::Impl::commit(model::Decoder& decoder) {
  const Step& step = *step_;
  kernels::Stream s = stream();
  std::vector<float> logprobs(step.ids.size(), std::numeric_limits<float>::quiet_NaN());
  if (step.kind == StepKind::kAnswer) logprobs[0] = step.known_logprob;
  const std::vector<select::Chunk>& chunks = decoder.chunks();
  const float* logits = session_.last_logits();  // before the step, then after its chunks
  for (const select::Chunk& chunk : chunks) {
    if (step.logprobs) {
      const auto row = static_cast<size_t>(chunk.row), n = static_cast<size_t>(chunk.n_rows);
      const std::vector<float> before = session_.read_logits(logits);
      if (!before.empty()) logprobs[row] = logprob_of(before, step.ids[row]);
      decoder.read_logprobs(s, chunk, std::span(logprobs).subspan(row + 1, n - 1));
    } else if (&chunk != &chunks.back()) {
      continue;
    }
    logits = decoder.logits(s, chunk);
  }
  const select::Selector::Anchors anchors = decoder.read_anchors(s);
  if (step.is_first_of_append) {
    const std::scoped_lock lock(mutex_);
    recalled_.begin_append();
  }
  for (size_t c = 0; c < chunks.size(); ++c) record(chunks[c], c, anchors, step.kind);
  store(logprobs, logits);
}

void Request::Impl::commit_token(const select::Chunk& chunk, size_t c,
                                 const select::Selector::Anchors& anchors, const float* logits) {
  record(chunk, c, anchors, step_->kind);
  store({&step_->known_logprob, 1}, logits);
  step_.reset();
}

// The step's tokens count from now on.
void Request::Impl::store(std::span<const float> logprobs, const float* logits) {
  const Step& step = *step_;
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
    n_input_read_ += n;
  } else {
    stats_.n_decode_tokens += n;
    pending_token_ = -1;
  }
}

void Request::Impl::record(const select::Chunk& chunk, size_t c,
                           const select::Selector::Anchors& anchors, StepKind kind) {
  const RecalledScope scope = kind == StepKind::kInput    ? RecalledScope::kPrompt
                              : kind == StepKind::kAnswer ? RecalledScope::kAnswer
                                                          : RecalledScope::kLastStep;
  std::vector<LayerRecall> recalled(anchors.size());
  for (size_t layer = 0; layer < anchors.size(); ++layer) {
    for (const select::Anchor& a : anchors[layer][c]) {
      recalled[layer].add(a.position, a.votes, session_.settings_.span, chunk.at.middle_begin,
                          chunk.at.middle_end);
    }
  }
  const std::scoped_lock lock(mutex_);
  recalled_.add(std::move(recalled), scope);
}

// After start_sample(). What goes wrong is for the step itself to say, when its turn comes.
void Request::Impl::run_ahead(kernels::Stream& stream) {
  Ahead& a = *ahead_;
  a.begin = -1;
  try {
    reserve(stream, n_read(), 1);
    DeviceStep whole(*session_.model_->device(), stream);
    decoder_->begin_sampled(stream, n_read(), session_.cache_);
    while (!decoder_->run_layer(stream)) {
    }
    a.logits = decoder_->logits(stream, decoder_->chunks().front());
    whole.end();
    a.last = 1 - a.last;
    decoder_->start_read_anchors(stream, a.anchors[a.last]);
    a.begin = n_read();
  } catch (const std::exception&) {
  }
}

// The step has been enqueued: its token counts, and only its anchors are to come.
void Request::Impl::commit_ahead() {
  ahead_->begin = -1;
  store({&step_->known_logprob, 1}, ahead_->logits);
  ahead_->unrecorded = ahead_->last;
  step_.reset();
}

void Request::Impl::record_ahead() {
  if (!ahead_ || ahead_->unrecorded < 0) return;
  const model::Decoder::AnchorRead& read = ahead_->anchors[ahead_->unrecorded];
  ahead_->unrecorded = -1;
  record(read.chunks().front(), 0, read.wait(), StepKind::kAnswer);
}

std::unique_ptr<model::Decoder> Request::Impl::make_token_decoder(int64_t max_rows) const {
  select::Settings one_token = session_.settings_;
  one_token.chunk = 1;
  const Model& model = *session_.model_;
  return std::make_unique<model::Decoder>(model.device(), model.config(), model.weights(),
                                          session_.rope_, one_token, max_rows);
}

}  // namespace reattn::engine
