// What a request is made of, for the two files that define it (request.cpp makes events, request_steps.cpp runs the steps
// behind them), and for queue.cpp, which runs the steps of several requests together.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/engine/logits_processor.hpp"
#include "core/engine/recalled.hpp"
#include "core/engine/request.hpp"
#include "core/engine/text_out.hpp"
#include "core/model/decoder.hpp"

namespace reattn::engine {

// One pull is: steps until none is needed, or one of input has run; then an event. A queue does the same with many.
class Request::Impl {
 public:
  using Clock = std::chrono::steady_clock;
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
  enum class Progress { kCommitted, kPaused };
  using Pause = std::function<bool()>;  // asked after every layer but the last

  Impl(Session& session, const RequestOptions& options, std::vector<Session::Append> input,
       const std::atomic<bool>& cancel);

  std::optional<Event> next(int64_t timeout_ms);
  void abandon();
  // The exception being handled ends the request: throws it, saying where the session stands.
  [[noreturn]] void fail_with_current();
  bool is_done() const { return done_.load(); }
  void add_stop(std::string_view stop);
  void set_json_schema(std::string_view schema);
  std::vector<float> logits() const;
  std::vector<Span> recalled(int64_t layer, RecalledScope scope) const;
  RequestStats stats() const;

  // Looks at the cancel flag, then: the step that must run before the next event; null: none.
  const Step* next_step();
  void forget_step() { step_.reset(); }  // next_step() makes it again
  // Makes room for the step in the cache.
  void reserve(kernels::Stream& stream) { reserve(stream, step_->begin, step_->ids.size()); }
  model::Part part() const { return {step_->ids, step_->begin, &session_.cache_}; }
  Progress run(model::Decoder& decoder, const Pause& pause);
  // A step of one token that has run as chunk c of the decoder's; logits: [n_vocab] after it.
  void commit_token(const select::Chunk& chunk, size_t c, const select::Selector::Anchors& anchors,
                    const float* logits);
  void count_time(Clock::time_point start);  // of the step
  void count_time(Clock::time_point start, StepKind kind);
  Event read_event() const;  // after a step of input
  // With no step needed: DONE, or nothing where the next token is to be sampled; then its event.
  std::optional<Event> end_event();
  model::Decoder::Draw draw(kernels::Stream& stream);  // of the next token
  Event token_event(const model::Decoder::Sampled& sampled);

  // For a queue.
  void begin_pull();
  bool has_begun() const { return has_begun_; }
  bool has_unseen_cancel() const { return cancel_.load() && !cancelled_; }
  const select::Settings& settings() const { return session_.settings_; }
  // For steps of one token of up to max_rows sessions with these settings.
  std::unique_ptr<model::Decoder> make_token_decoder(int64_t max_rows) const;
  void make_final_room();  // instead of the decoder's
  std::unique_ptr<model::Decoder> give_decoder() noexcept { return std::move(decoder_); }

  std::atomic<bool> in_use{false};
  std::atomic<bool> is_queued{false};

 private:
  int64_t n_read() const { return static_cast<int64_t>(session_.ids_.size()); }
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  kernels::Stream stream() const { return {cancelled_ ? nullptr : &cancel_}; }

  std::optional<Event> work(const Pause& pause);
  Step next_input();
  void reserve(kernels::Stream& stream, int64_t begin, size_t n);
  void commit(model::Decoder& decoder);
  void record(const select::Chunk& chunk, size_t c, const select::Selector::Anchors& anchors,
              StepKind kind);
  void store(std::span<const float> logprobs, const float* logits);
  void run_ahead(kernels::Stream& stream);
  void commit_ahead();
  void record_ahead();
  Event finish(DoneReason reason);
  void keep_logits() noexcept;
  bool is_full() const;

  Session& session_;
  const RequestOptions options_;
  std::vector<Session::Append> input_;
  const std::atomic<bool>& cancel_;
  std::unique_ptr<model::Decoder> decoder_;  // null once it is in a queue
  device::Buffer final_room_;                // f32 [n_vocab] there
  const int64_t max_rows_;                   // of a step of input

  // The step of a token that the device has sampled and the host does not know yet: enqueued as soon as the sampling is, so that
  // the device need not wait for the host. Only where the device runs ahead.
  struct Ahead {
    std::unique_ptr<kernels::Transfer> sampled;
    model::Decoder::AnchorRead anchors[2];  // steps in turns
    int last = 0;                           // whose turn it was
    int64_t begin = -1;                     // its token's position; −1: there is none
    const float* logits = nullptr;          // after it
    int unrecorded = -1;  // anchors of a committed step that have not been waited for
  };
  std::unique_ptr<Ahead> ahead_;  // of a device that runs ahead

  std::optional<LogitsProcessor> processor_;  // where logits are changed
  TextOut out_;

  // Where it is.
  std::atomic<bool> done_{false};
  bool cancelled_ = false;  // the cancel was seen: finish what was promised, then end
  bool has_begun_ = false;
  Clock::time_point first_next_;
  size_t append_ = 0;  // index into input_
  size_t offset_ = 0;  // into its ids
  int64_t n_input_ = 0;
  int64_t n_input_read_ = 0;
  std::optional<Step> step_;
  int32_t pending_token_ = -1;  // delivered and not yet committed
  float pending_logprob_ = 0;
  int64_t n_generated_ = 0;

  mutable std::mutex mutex_;  // guards what other threads may ask for
  RecallLog recalled_;
  RequestStats stats_;
  const float* final_logits_ = nullptr;  // [n_vocab], once the request has ended
};

}  // namespace reattn::engine
