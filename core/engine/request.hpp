// Reading what a session has queued, then generating: one pull at a time, all work on the caller's thread and the pool.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/engine/recalled.hpp"
#include "core/engine/session.hpp"

namespace reattn::engine {

// Logits of tokens that are among the session's last `window` (0: all) are divided by `factor` where they are positive and
// multiplied by it where not, each once (Keskar et al. 2019).
struct RepetitionPenalty {
  float factor = 1;  // 1: off
  int32_t window = 64;
};

struct Sampling {
  float temperature = 0;  // 0: the most likely token
  int32_t top_k = 0;      // 0: off
  float top_p = 1;        // 1: off
  float min_p = 0;        // 0: off
  uint64_t seed = 0;
  RepetitionPenalty repetition;  // also at temperature 0
};

struct RequestOptions {
  int64_t max_tokens = 0;  // to generate; 0: only read
  Sampling sampling;
  bool ignore_end = false;  // go on past end-of-generation tokens
};

enum class EventKind : int32_t { kPrefill = 1, kText = 2, kDone = 3 };

enum class DoneReason : int32_t {
  kRead = 1,    // all input is read, nothing was to be generated
  kEnd = 2,     // the model ended its answer
  kStop = 3,    // a stop string appeared (it is not part of the text)
  kLength = 4,  // max_tokens were generated
  kFull = 5,    // the session's capacity, or with selection full the trained window, is reached
  kCancelled = 6,
};

struct Event {
  EventKind kind = EventKind::kDone;
  int64_t n_done = 0;   // kPrefill: tokens of this request's input that are read
  int64_t n_total = 0;  // kPrefill: tokens of this request's input
  std::string
      text;  // kText: whole UTF-8; may be empty while a character or a stop string is incomplete.
             // kDone: what was held back
  int32_t token = -1;  // kText: the token of this step
  float logprob = 0;   // kText: its log-probability at temperature 1
  DoneReason reason = DoneReason::kRead;
};

struct RequestStats {  // seconds of wall time inside next()
  int64_t n_prefill_tokens = 0;
  int64_t n_decode_tokens = 0;  // steps of one generated token that were committed
  double prefill_seconds = 0;
  double decode_seconds = 0;
  double first_token_seconds = 0;  // from the first next() to the first kText; 0 before it
};

class Request {
 public:
  // Throws Error(kBusy) when the session has a live request, Error(kArg) for options out of range, or when there is
  // nothing to go on from (an empty session and nothing queued), or while an append still goes on (flag more).
  Request(std::shared_ptr<Session> session, const RequestOptions& options);
  ~Request();

  // Before the first next(). Not empty, valid UTF-8, at most 1024 bytes.
  void add_stop(std::string_view text);
  // Before the first next(): what is generated is JSON that the schema allows. Throws Error as text::JsonSchema, and
  // kArg together with ignore_end.
  void set_json_schema(std::string_view schema);

  // Works until the next event; nothing when timeout_ms passed first (it is looked at after each layer, but not while a device that
  // runs ahead makes a token; negative: no limit)
  // and after kDone was delivered. An Error ends the request: input not committed is dropped and the
  // message says where the session stands. One caller at a time, else Error(kBusy).
  std::optional<Event> next(int64_t timeout_ms);
  bool done() const;  // any thread

  // Any thread, any time; the running next() returns within 100 ms with kDone, kCancelled.
  void cancel() noexcept { cancel_.store(true); }
  // Nobody asks for its events any more: cancels it, and a queue lets go of it.
  void drop() noexcept {
    is_dropped_.store(true);
    cancel();
  }

  // Logits after the last committed token [n_vocab]; Error(kArg) where there are none yet.
  std::vector<float> logits() const;
  // What was recalled; layer −1: all layers together. This and what follows: any thread.
  std::vector<Span> recalled(int64_t layer, RecalledScope scope) const;
  RequestStats stats() const;

  const std::shared_ptr<Session>& session() const { return session_; }

 private:
  friend class Queue;
  class Impl;
  void check_not_queued() const;

  std::shared_ptr<Session> session_;
  std::atomic<bool> cancel_{false};
  std::atomic<bool> is_dropped_{false};
  std::unique_ptr<Impl> impl_;
};

}  // namespace reattn::engine
