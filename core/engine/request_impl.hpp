// What a request is made of, for the two files that define it: request.cpp makes events, request_steps.cpp runs the steps
// behind them.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/engine/recalled.hpp"
#include "core/engine/request.hpp"
#include "core/engine/text_out.hpp"
#include "core/model/decoder.hpp"

namespace reattn::engine {

class Request::Impl {
 public:
  Impl(Session& session, const RequestOptions& options, std::vector<Session::Append> input,
       const std::atomic<bool>& cancel);

  std::optional<Event> next(int64_t timeout_ms);
  void abandon();
  bool is_done() const { return done_.load(); }
  void add_stop(std::string_view stop);
  std::vector<float> logits() const;
  std::vector<Span> recalled(int64_t layer, RecalledScope scope) const;
  RequestStats stats() const;

  std::atomic<bool> in_use{false};

 private:
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
  enum class Progress { kCommitted, kTimeout };

  int64_t n_read() const { return static_cast<int64_t>(session_.ids_.size()); }
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  kernels::Stream stream() const { return {cancelled_ ? nullptr : &cancel_}; }

  std::optional<Event> work();
  std::optional<Step> next_input();
  Progress run(std::optional<Step>& step);
  void commit(const Step& step);
  void record(const Step& step, const select::Selector::Anchors& anchors);
  Event text_event();
  Event finish(DoneReason reason);
  void keep_logits() noexcept;
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

  mutable std::mutex mutex_;  // guards what other threads may ask for
  RecallLog recalled_;
  RequestStats stats_;
  const float* final_logits_ = nullptr;  // [n_vocab], in the decoder once the request has ended
};

}  // namespace reattn::engine
