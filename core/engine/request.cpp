#include "core/engine/request.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "core/engine/exclusive.hpp"
#include "core/engine/text_out.hpp"
#include "core/model/decoder.hpp"
#include "core/model/weights.hpp"

namespace reattn::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A number in [0, 1) that depends on the seed and the step alone (splitmix64, Steele, Lea and Flood 2014).
double uniform(uint64_t seed, uint64_t step) {
  uint64_t z = seed + (step + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
}

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

void check(const RequestOptions& o) {
  const auto refuse = [](std::string_view name, auto value, std::string_view allowed) {
    fail(ErrorCode::kArg, name, " is ", value, ", allowed is ", allowed);
  };
  const Sampling& s = o.sampling;
  if (o.max_tokens < 0) refuse("max_tokens", o.max_tokens, "0 or more");
  if (!(s.temperature >= 0 && s.temperature <= 100))
    refuse("temperature", s.temperature, "0 to 100");
  if (s.top_k < 0) refuse("top_k", s.top_k, "0 or more");
  if (!(s.top_p > 0 && s.top_p <= 1)) refuse("top_p", s.top_p, "above 0, at most 1");
  if (!(s.min_p >= 0 && s.min_p <= 1)) refuse("min_p", s.min_p, "0 to 1");
}

}  // namespace

class Request::Impl {
 public:
  Impl(Session& session, const RequestOptions& options, std::vector<Session::Append> input,
       const std::atomic<bool>& cancel)
      : session_(session),
        options_(options),
        input_(std::move(input)),
        cancel_(cancel),
        decoder_(session.model_->device(), session.model_->config(), session.model_->weights(),
                 session.rope_, session.settings_),
        last_step_(n_layers()),
        prompt_(n_layers()),
        answer_(n_layers()) {
    for (const Session::Append& a : input_) n_input_ += static_cast<int64_t>(a.ids.size());
  }

  std::optional<Event> next(int64_t timeout_ms);
  void abandon();
  bool is_done() const { return done_.load(); }
  void add_stop(std::string_view stop);
  std::vector<float> logits() const;
  std::vector<Span> recalled(int64_t layer, RecalledScope scope) const;
  RequestStats stats() const;

  std::atomic<bool> in_use{false};

 private:
  enum class StepKind { kInput, kAnswer, kLast };
  // One step on its way through the layers. It stays here across timeouts.
  struct Step {
    StepKind kind;
    std::vector<int32_t> ids;
    int64_t begin;
    bool logprobs;
    float known_logprob;  // kAnswer: of its one token, from when it was sampled
    bool is_first_of_append;
    bool is_started = false;
  };
  enum class Progress { kCommitted, kTimeout };

  size_t n_layers() const { return static_cast<size_t>(session_.model_->config().n_layers); }
  int64_t n_read() const { return static_cast<int64_t>(session_.ids_.size()); }
  kernels::Stream stream() const { return {cancelled_ ? nullptr : &cancel_}; }

  std::optional<Event> work();
  std::optional<Step> next_input();
  Progress run(std::optional<Step>& step);
  void commit(const Step& step);
  void record(const Step& step, const select::Selector::Anchors& anchors);
  Event text_event();
  Event finish(DoneReason reason);
  bool is_full() const;

  Session& session_;
  const RequestOptions options_;
  std::vector<Session::Append> input_;
  const std::atomic<bool>& cancel_;
  model::Decoder decoder_;
  TextOut out_;

  // Where it is.
  std::atomic<bool> done_{false};
  bool cancelled_ = false;  // the cancel was seen: finish what was promised, then end
  bool has_begun_ = false;
  Clock::time_point first_next_;
  std::optional<Clock::time_point> deadline_;
  size_t append_ = 0;  // index into input_
  size_t offset_ = 0;  // into its ids
  int64_t n_input_ = 0;
  int64_t n_input_read_ = 0;
  std::optional<Step> step_;
  int32_t pending_token_ = -1;  // delivered and not yet committed
  float pending_logprob_ = 0;
  int64_t n_generated_ = 0;

  mutable std::mutex mutex_;                              // guards what other threads may ask for
  std::vector<LayerRecall> last_step_, prompt_, answer_;  // [n_layers]
  RequestStats stats_;
  std::vector<float> final_logits_;
};

std::optional<Event> Request::Impl::next(int64_t timeout_ms) {
  if (done_.load()) return std::nullopt;
  const Clock::time_point now = Clock::now();
  if (!has_begun_) first_next_ = now;
  has_begun_ = true;
  deadline_.reset();
  if (timeout_ms >= 0)
    deadline_ = now + std::chrono::milliseconds(std::min<int64_t>(timeout_ms, INT32_MAX));
  while (true) {
    try {
      return work();
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kCancelled || cancelled_) throw;
      step_.reset();  // its results are undefined; a delivered token's step is run again
    }
  }
}

std::optional<Event> Request::Impl::work() {
  if (cancel_.load()) cancelled_ = true;
  if (!cancelled_) {
    while (step_ || append_ < input_.size()) {
      if (step_ && step_->kind != StepKind::kInput) break;
      if (!step_) step_ = next_input();
      const auto n = static_cast<int64_t>(step_->ids.size());
      if (run(step_) == Progress::kTimeout) return std::nullopt;
      n_input_read_ += n;
      return Event{.kind = EventKind::kPrefill, .n_done = n_input_read_, .n_total = n_input_};
    }
    if (options_.max_tokens == 0) return finish(DoneReason::kRead);
    if (session_.logits_.empty()) {  // after a truncation: the last token is read once more
      if (!step_)
        step_ = Step{StepKind::kLast, {session_.ids_.back()}, n_read() - 1, false, 0, false};
      if (run(step_) == Progress::kTimeout) return std::nullopt;
    }
  }
  if (pending_token_ >= 0) {
    if (!step_)
      step_ = Step{StepKind::kAnswer, {pending_token_}, n_read(), false, pending_logprob_, false};
    if (run(step_) == Progress::kTimeout) return std::nullopt;
    pending_token_ = -1;
  }
  if (cancelled_) return finish(DoneReason::kCancelled);
  if (out_.stopped()) return finish(DoneReason::kStop);
  if (n_generated_ == options_.max_tokens) return finish(DoneReason::kLength);
  if (is_full()) return finish(DoneReason::kFull);
  return text_event();
}

std::optional<Request::Impl::Step> Request::Impl::next_input() {
  const Session::Append& append = input_[append_];
  const auto chunk = static_cast<size_t>(session_.settings_.chunk);
  const size_t n = std::min(chunk, append.ids.size() - offset_);
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
  const auto n_vocab = static_cast<size_t>(session_.model_->config().n_vocab);
  std::vector<float> logprobs(step.ids.size(), std::numeric_limits<float>::quiet_NaN());
  if (step.kind == StepKind::kAnswer) logprobs[0] = step.known_logprob;
  if (step.logprobs) {
    if (!session_.logits_.empty()) logprobs[0] = logprob_of(session_.logits_, step.ids[0]);
    decoder_.read_logprobs(s, step.ids, std::span(logprobs).subspan(1));
  }
  std::vector<float> logits(n_vocab);
  decoder_.read_logits(s, logits);
  record(step, decoder_.read_anchors(s));

  const std::scoped_lock lock(session_.mutex_, mutex_);
  session_.logits_ = std::move(logits);
  if (step.kind == StepKind::kLast) return;
  grow(session_.ids_, step.ids.size());
  grow(session_.logprobs_, step.ids.size());
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
  const std::scoped_lock lock(mutex_);
  for (size_t layer = 0; layer < n_layers(); ++layer) {
    LayerRecall& last = last_step_[layer];
    if (step.is_first_of_append) prompt_[layer].clear();
    for (size_t c = 0; c < chunks.size(); ++c) {
      last.clear();
      for (const select::Anchor& a : anchors[layer][c]) {
        last.add(a.position, a.votes, span, chunks[c].at.middle_begin, chunks[c].at.middle_end);
      }
      if (step.kind == StepKind::kInput) prompt_[layer].add(last);
      if (step.kind == StepKind::kAnswer) answer_[layer].add(last);
    }
  }
}

bool Request::Impl::is_full() const {
  const select::Settings& s = session_.settings_;
  if (s.max_tokens != 0 && n_read() >= s.max_tokens) return true;
  if (n_read() >= std::numeric_limits<int32_t>::max()) return true;
  return s.selection == select::Selection::kFull && n_read() >= session_.model_->config().n_window;
}

Event Request::Impl::text_event() {
  const text::Tokenizer& tokenizer = session_.model_->tokenizer();
  const Sampling& o = options_.sampling;
  kernels::Stream s = stream();
  const kernels::SampleArgs args{.logits = nullptr,
                                 .n_vocab = 0,
                                 .temperature = o.temperature,
                                 .top_k = o.top_k,
                                 .top_p = o.top_p,
                                 .min_p = o.min_p,
                                 .uniform = uniform(o.seed, static_cast<uint64_t>(n_generated_)),
                                 .token = nullptr,
                                 .logprob = nullptr};
  const model::Decoder::Sampled sampled = decoder_.sample(s, session_.logits_, args);
  if (!options_.ignore_end && tokenizer.is_end_of_generation(sampled.token)) {
    return finish(DoneReason::kEnd);
  }
  Event event{.kind = EventKind::kText};
  // Control tokens are the model's, not the reader's.
  if (!tokenizer.is_special(sampled.token)) event.text = out_.push(tokenizer.bytes(sampled.token));
  event.token = sampled.token;
  event.logprob = sampled.logprob;
  if (n_generated_ == 0) {
    const std::scoped_lock lock(mutex_);
    stats_.first_token_seconds = seconds_since(first_next_);
  }
  ++n_generated_;
  pending_token_ = sampled.token;
  pending_logprob_ = sampled.logprob;
  return event;
}

Event Request::Impl::finish(DoneReason reason) {
  Event event{.kind = EventKind::kDone, .n_done = n_input_read_, .n_total = n_input_};
  event.text = out_.finish();
  event.reason = reason;
  abandon();
  return event;
}

// Ends the request: what is not committed is dropped, and the session is free again.
void Request::Impl::abandon() {
  if (done_.load()) return;
  step_.reset();
  input_.clear();
  {
    const std::scoped_lock lock(session_.mutex_, mutex_);
    final_logits_ = session_.logits_;
    session_.cache_.drop_uncommitted();
    session_.n_reading_ = 0;
  }
  done_.store(true);
  session_.has_request_.store(false);
}

void Request::Impl::add_stop(std::string_view stop) {
  if (has_begun_) fail(ErrorCode::kArg, "a stop string must be added before the first next");
  if (stop.empty() || stop.size() > 1024) {
    fail(ErrorCode::kArg, "a stop string has ", stop.size(), " bytes, allowed are 1 to 1024");
  }
  if (const text::Utf8Check check = text::check_utf8(stop); !check.valid()) {
    fail(ErrorCode::kArg, "the stop string is not UTF-8 at offset ", check.offset);
  }
  out_.add_stop(std::string(stop));
}

std::vector<float> Request::Impl::logits() const {
  const std::scoped_lock lock(session_.mutex_, mutex_);
  const std::vector<float>& logits = done_.load() ? final_logits_ : session_.logits_;
  if (logits.empty()) fail(ErrorCode::kArg, "there are no logits yet: nothing has been read");
  return logits;
}

std::vector<Span> Request::Impl::recalled(int64_t layer, RecalledScope scope) const {
  if (layer < -1 || layer >= static_cast<int64_t>(n_layers())) {
    fail(ErrorCode::kArg, "layer is ", layer, ", the model has ", n_layers(), " (-1: all)");
  }
  const std::scoped_lock lock(mutex_);
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

RequestStats Request::Impl::stats() const {
  const std::scoped_lock lock(mutex_);
  return stats_;
}

Request::Request(std::shared_ptr<Session> session, const RequestOptions& options)
    : session_(std::move(session)) {
  check(options);
  const Exclusive exclusive(session_->in_use_, "session");
  session_->check_idle("request");
  if (session_->open_) {
    fail(ErrorCode::kArg, "an append was begun with the flag MORE and not ended");
  }
  if (session_->ids_.empty() && session_->queue_.empty()) {
    fail(ErrorCode::kArg, "the prompt is empty: append text or ids first");
  }
  impl_ = std::make_unique<Impl>(*session_, options, session_->queue_, cancel_);
  const std::scoped_lock lock(session_->mutex_);
  session_->n_reading_ = session_->n_queued();
  session_->queue_.clear();
  session_->has_request_.store(true);
}

Request::~Request() {
  if (impl_) impl_->abandon();
}

void Request::add_stop(std::string_view text) {
  impl_->add_stop(text);
}

std::optional<Event> Request::next(int64_t timeout_ms) {
  const Exclusive exclusive(impl_->in_use, "request");
  try {
    return impl_->next(timeout_ms);
  } catch (const Error& e) {
    impl_->abandon();
    fail(e.code(), e.what(), " (the session stands at ", session_->info().n_tokens, " tokens)");
  } catch (...) {
    impl_->abandon();
    throw;
  }
}

bool Request::done() const {
  return impl_->is_done();
}
std::vector<float> Request::logits() const {
  return impl_->logits();
}
RequestStats Request::stats() const {
  return impl_->stats();
}
std::vector<Span> Request::recalled(int64_t layer, RecalledScope scope) const {
  return impl_->recalled(layer, scope);
}

}  // namespace reattn::engine
