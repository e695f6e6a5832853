#include "core/engine/request.hpp"

#include <algorithm>
#include <limits>

#include "core/engine/exclusive.hpp"
#include "core/engine/request_impl.hpp"

namespace reattn::engine {
namespace {

// A number in [0, 1) that depends on the seed and the step alone (splitmix64, Steele, Lea and Flood 2014).
double uniform(uint64_t seed, uint64_t step) {
  uint64_t z = seed + (step + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1.0p-53;
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
  if (!(s.repetition.factor > 0 && s.repetition.factor <= 100))
    refuse("repetition_penalty", s.repetition.factor, "above 0, at most 100");
  if (s.repetition.window < 0) refuse("repetition_window", s.repetition.window, "0 or more");
}

}  // namespace

Request::Impl::Impl(Session& session, const RequestOptions& options,
                    std::vector<Session::Append> input, const std::atomic<bool>& cancel)
    : session_(session),
      options_(options),
      input_(std::move(input)),
      cancel_(cancel),
      decoder_(std::make_unique<model::Decoder>(session.model_->device(), session.model_->config(),
                                                session.model_->weights(), session.rope_,
                                                session.settings_)),
      max_rows_(decoder_->max_rows()),
      recalled_(static_cast<size_t>(session.model_->config().n_layers)) {
  for (const Session::Append& a : input_) n_input_ += static_cast<int64_t>(a.ids.size());
  if (const RepetitionPenalty& p = options.sampling.repetition; p.factor != 1)
    processor_.emplace(*session.model_, p);
  kernels::Device& device = *session.model_->device();
  if (device.runs_ahead() && options.max_tokens > 0) {
    ahead_ = std::make_unique<Ahead>();
    ahead_->sampled = device.make_transfer(sizeof(model::Decoder::Sampled));
  }
}

void Request::Impl::begin_pull() {
  if (!has_begun_) first_next_ = Clock::now();
  has_begun_ = true;
}

std::optional<Event> Request::Impl::next(int64_t timeout_ms) {
  if (done_.load()) return std::nullopt;
  const Clock::time_point now = Clock::now();
  begin_pull();
  std::optional<Clock::time_point> deadline;
  if (timeout_ms >= 0)
    deadline = now + std::chrono::milliseconds(std::min<int64_t>(timeout_ms, INT32_MAX));
  const Pause is_late = [&] { return deadline && Clock::now() >= *deadline; };
  while (true) {
    try {
      return work(is_late);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kCancelled || cancelled_) throw;
      forget_step();  // its results are undefined; a delivered token's step is run again
    }
  }
}

std::optional<Event> Request::Impl::work(const Pause& pause) {
  while (const Step* step = next_step()) {
    const bool is_input = step->kind == StepKind::kInput;
    if (run(*decoder_, pause) == Progress::kPaused) return std::nullopt;
    if (is_input) return read_event();
  }
  if (auto end = end_event()) return end;
  kernels::Stream s = stream();
  const model::Decoder::Draw next = draw(s);
  model::Decoder::Sampled sampled{};
  if (!ahead_) {
    decoder_->sample(s, {&next, 1}, {&sampled, 1});
    return token_event(sampled);
  }
  const Clock::time_point start = Clock::now();
  decoder_->start_sample(s, next, *ahead_->sampled);
  run_ahead(s);
  record_ahead();
  sampled = model::Decoder::wait_sampled(*ahead_->sampled);
  count_time(start, StepKind::kAnswer);
  return token_event(sampled);
}

Event Request::Impl::read_event() const {
  return {.kind = EventKind::kPrefill, .n_done = n_input_read_, .n_total = n_input_};
}

std::optional<Event> Request::Impl::end_event() {
  if (cancelled_) return finish(DoneReason::kCancelled);
  if (options_.max_tokens == 0) return finish(DoneReason::kRead);
  if (out_.stopped()) return finish(DoneReason::kStop);
  if (processor_ && processor_->is_complete()) return finish(DoneReason::kEnd);
  if (n_generated_ == options_.max_tokens) return finish(DoneReason::kLength);
  if (is_full()) return finish(DoneReason::kFull);
  return std::nullopt;
}

bool Request::Impl::is_full() const {
  const select::Settings& s = session_.settings_;
  if (s.max_tokens != 0 && n_read() >= s.max_tokens) return true;
  if (n_read() >= std::numeric_limits<int32_t>::max()) return true;
  return s.selection == select::Selection::kFull && n_read() >= session_.model_->config().n_window;
}

model::Decoder::Draw Request::Impl::draw(kernels::Stream& stream) {
  const Sampling& o = options_.sampling;
  const float* logits = session_.last_logits();
  return {.args = {.logits = processor_ ? processor_->apply(stream, logits, session_.ids_) : logits,
                   .n_vocab = 0,
                   .temperature = o.temperature,
                   .top_k = o.top_k,
                   .top_p = o.top_p,
                   .min_p = o.min_p,
                   .uniform = uniform(o.seed, static_cast<uint64_t>(n_generated_)),
                   .token = nullptr,
                   .logprob = nullptr},
          .scored = processor_ ? logits : nullptr};
}

Event Request::Impl::token_event(const model::Decoder::Sampled& sampled) {
  if (sampled.token < 0) fail(ErrorCode::kInternal, "none of the logits is a number");
  const text::Tokenizer& tokenizer = session_.model_->tokenizer();
  if (!options_.ignore_end && tokenizer.is_end_of_generation(sampled.token)) {
    return finish(DoneReason::kEnd);
  }
  if (processor_) processor_->accept(sampled.token);
  Event event{.kind = EventKind::kText};
  // Control tokens are the model's, not the reader's.
  if (!tokenizer.is_special(sampled.token)) {
    event.text = out_.push(tokenizer.bytes_after(session_.ids_.back(), sampled.token));
  }
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
  if (ahead_ && ahead_->unrecorded >= 0) {  // here the end of the last step is waited for
    const Clock::time_point start = Clock::now();
    record_ahead();
    count_time(start, StepKind::kAnswer);
  }
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
    keep_logits();
    session_.cache_.drop_uncommitted();
    session_.n_reading_ = 0;
  }
  done_.store(true);
  session_.has_request_.store(false);
}

// The session may go on to other ones.
void Request::Impl::keep_logits() noexcept {
  if (!session_.has_logits_) return;
  try {
    kernels::Stream s;
    if (decoder_) {
      final_logits_ = decoder_->keep(s, session_.logits_.as<float>());
    } else {
      session_.model_->device()->copy(s, final_room_.as(), session_.logits_.as(),
                                      final_room_.bytes());
      final_logits_ = final_room_.as<float>();
    }
  } catch (const Error&) {
    // The device is lost, and with it the logits.
  }
}

void Request::Impl::make_final_room() {
  final_room_ = device::Buffer(session_.model_->device(), session_.logits_.bytes());
}

void Request::Impl::fail_with_current() {
  try {
    record_ahead();  // of a token that counts
  } catch (const std::exception&) {
    // What ended the request is said below.
  }
  abandon();
  try {
    throw;
  } catch (const Error& e) {
    fail(e.code(), e.what(), " (the session stands at ", session_.info().n_tokens, " tokens)");
  }
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

void Request::Impl::set_json_schema(std::string_view schema) {
  if (has_begun_) fail(ErrorCode::kArg, "a JSON schema must be set before the first next");
  if (options_.ignore_end) {
    fail(ErrorCode::kArg, "ignore_end is 1, but a JSON schema says where the answer ends");
  }
  if (!processor_) processor_.emplace(*session_.model_, options_.sampling.repetition);
  processor_->set_schema(schema);
}

std::vector<float> Request::Impl::logits() const {
  const std::scoped_lock lock(session_.mutex_, mutex_);
  const std::vector<float> logits =
      session_.read_logits(done_.load() ? final_logits_ : session_.last_logits());
  if (logits.empty()) fail(ErrorCode::kArg, "there are no logits yet: nothing has been read");
  return logits;
}

std::vector<Span> Request::Impl::recalled(int64_t layer, RecalledScope scope) const {
  const std::scoped_lock lock(mutex_);
  return recalled_.spans(layer, scope);
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

// Its events come out of a queue.
void Request::check_not_queued() const {
  if (impl_->is_queued.load()) {
    fail(ErrorCode::kBusy, "the request is in a queue, which alone pulls it until its last event");
  }
}

void Request::add_stop(std::string_view text) {
  const Exclusive exclusive(impl_->in_use, "request");
  check_not_queued();
  impl_->add_stop(text);
}

void Request::set_json_schema(std::string_view schema) {
  const Exclusive exclusive(impl_->in_use, "request");
  check_not_queued();
  impl_->set_json_schema(schema);
}

std::optional<Event> Request::next(int64_t timeout_ms) {
  const Exclusive exclusive(impl_->in_use, "request");
  check_not_queued();
  try {
    return impl_->next(timeout_ms);
  } catch (...) {
    impl_->fail_with_current();
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
