// Requests of several sessions pulled as one: what they read goes in turns, what they generate goes together, so that one
// pass over the weights serves all of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/engine/model.hpp"
#include "core/engine/request.hpp"
#include "core/model/decoder.hpp"

namespace reattn::engine {

// Work happens inside next() alone, and no further than to the next event; but a step of several requests makes an event
// for each, and these are handed out one by one. While something is to be read, a step of one request's input (each in its
// turn) alternates with a step of those that generate. Requests with equal settings (max_tokens aside) generate together,
// on a device that takes one chunk at a time up to 15 of them: as many as its products round like one alone.
//
// The queue holds no request: one whose owner lets go of it leaves, as does one whose last event was taken.
class Queue {
 public:
  explicit Queue(std::shared_ptr<const Model> model);
  // Requests that are not done end: what is not committed is dropped.
  ~Queue();

  // From now on the request's events come out of the queue, and pulling it throws Error(kBusy). It gives its working memory
  // to the queue. Throws Error(kArg) for one of another model, or that has begun, has ended or is in a queue; Error(kBusy)
  // while it is in another call; Error(kOomHost, kOomDevice). Any thread, also while next() runs.
  void add(const std::shared_ptr<Request>& request, uint64_t tag);

  struct Item {
    uint64_t tag;  // of the request
    Event event;
    std::exception_ptr error;  // instead of an event: what ended the request, and it alone
  };
  // Works until there is one; nothing when timeout_ms passed first (looked at after each layer; negative: no limit), and
  // where no request is left. It stays the next one until it is popped. One caller at a time, else Error(kBusy).
  const Item* next(int64_t timeout_ms);
  void pop();
  bool is_empty() const;  // no request is left

  // Any thread: the running next() ends soon and all requests with it.
  void close() noexcept { is_closed_.store(true); }

 private:
  struct Group;
  struct Entry;
  struct Ready {
    Item item;
    Entry* entry;
  };
  // What is on its way through the layers. It stays here across timeouts.
  struct Running {
    std::vector<Entry*> members;  // one of them reads, or all generate
    std::vector<Entry*> rows;     // of these, those that have a token to run: one row each
    bool is_reading = false;
    bool is_started = false;
  };
  using Pause = std::function<bool()>;

  std::shared_ptr<Group> group_of(const Request& request);
  void refresh();
  static void end(Entry& entry) noexcept;
  void leave(Entry& entry) noexcept;
  void end_all() noexcept;
  void finish_ended();
  void choose();
  bool is_running(const Entry& entry) const;
  bool has_unseen_cancel() const;
  void advance(const Pause& pause);
  void read(const Pause& pause);
  bool step(const Pause& pause);  // false: paused
  void start_rows();
  void commit_rows(const model::Decoder& decoder, const select::Selector::Anchors& anchors,
                   const float* logits);
  void sample();
  void draw(std::span<Entry* const> entries, std::span<model::Decoder::Sampled> out);
  void push(Entry& entry, Event event);
  void fail_with_current(Entry& entry);

  const std::shared_ptr<const Model> model_;
  const int64_t max_together_;
  std::atomic<bool> is_closed_{false};
  std::atomic<bool> in_use_{false};

  mutable std::mutex mutex_;  // guards what add() shares with the rest
  std::vector<std::unique_ptr<Entry>> added_;
  std::vector<std::weak_ptr<Group>> groups_;
  size_t n_entries_ = 0;  // of both lists

  // Of the caller of next() and pop().
  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<Ready> ready_;  // at most one of each entry, for which there is room
  std::optional<Running> running_;
  uint64_t turn_ = 0;
  bool has_just_read_ = false;
};

}  // namespace reattn::engine
