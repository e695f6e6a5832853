#include "core/engine/queue.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/engine/exclusive.hpp"
#include "core/engine/request_impl.hpp"

namespace reattn::engine {

using Clock = std::chrono::steady_clock;

// Requests with equal settings, and the working memory they share.
struct Queue::Group {
  select::Settings settings;
  std::unique_ptr<model::Decoder> reading;     // the first request's own
  std::unique_ptr<model::Decoder> generating;  // a row for each
};

struct Queue::Entry {
  std::weak_ptr<Request> request;
  uint64_t tag;
  std::shared_ptr<Group> group;
  std::shared_ptr<Request> held;  // during a call of next()
  uint64_t turn = 0;              // when it was last stepped
  bool has_ended = false;         // its last event is ready
  bool goes_alone = false;        // a step it was part of has failed

  Request::Impl& impl() const { return *held->impl_; }
};

namespace {

// The CPU's products round a row alike whether alone or among up to 15 (kernels/cpu/linear/rows.hpp).
int64_t most_together(const kernels::Device& device) {
  return device.super_chunk() == 0 ? 15 : model::Decoder::kLogitRows;
}

select::Settings without_capacity(select::Settings s) {
  s.max_tokens = 0;
  return s;
}

}  // namespace

Queue::Queue(std::shared_ptr<const Model> model)
    : model_(std::move(model)), max_together_(most_together(*model_->device())) {}

Queue::~Queue() {
  end_all();
  for (const auto& entry : added_) end(*entry);
}

void Queue::add(const std::shared_ptr<Request>& request, uint64_t tag) {
  Request::Impl& r = *request->impl_;
  const Exclusive exclusive(r.in_use, "request");
  if (&request->session_->model() != model_.get()) {
    fail(ErrorCode::kArg, "the request is of another model than the queue");
  }
  if (r.is_queued.load()) fail(ErrorCode::kArg, "the request is in a queue already");
  if (r.is_done()) fail(ErrorCode::kArg, "the request has ended");
  if (r.has_begun()) {
    fail(ErrorCode::kArg, "the request has begun: add it before it is first pulled");
  }
  const std::scoped_lock lock(mutex_);
  auto entry = std::make_unique<Entry>();
  entry->request = request;
  entry->tag = tag;
  entry->group = group_of(*request);
  r.make_final_room();
  added_.push_back(std::move(entry));
  ++n_entries_;

  auto& reading = added_.back()->group->reading;
  std::unique_ptr<model::Decoder> own = r.give_decoder();
  if (!reading) reading = std::move(own);
  r.is_queued.store(true);
}

std::shared_ptr<Queue::Group> Queue::group_of(const Request& request) {
  std::erase_if(groups_, [](const auto& group) { return group.expired(); });
  const select::Settings settings = without_capacity(request.impl_->settings());
  for (const auto& known : groups_) {
    const auto group = known.lock();
    if (group && group->settings == settings) return group;
  }
  auto group = std::make_shared<Group>();
  group->settings = settings;
  group->generating = request.impl_->make_token_decoder(max_together_);
  groups_.push_back(group);
  return group;
}

bool Queue::is_empty() const {
  const std::scoped_lock lock(mutex_);
  return n_entries_ == 0;
}

// Takes in what was added, and lets go of what was dropped.
void Queue::refresh() {
  {
    const std::scoped_lock lock(mutex_);
    entries_.reserve(entries_.size() + added_.size());
    ready_.reserve(entries_.size() + added_.size());
    for (auto& entry : added_) entries_.push_back(std::move(entry));
    added_.clear();
  }
  for (size_t i = 0; i < entries_.size();) {
    Entry& entry = *entries_[i];
    if (!entry.held) entry.held = entry.request.lock();
    if (entry.held && !entry.held->is_dropped_.load()) {
      entry.impl().begin_pull();
      ++i;
    } else {
      leave(entry);
    }
  }
}

// The request is its owner's again; if it is not done, it ends.
void Queue::end(Entry& entry) noexcept {
  if (const auto request = entry.request.lock()) {
    request->impl_->abandon();
    request->impl_->is_queued.store(false);
  }
}

// The entry is gone afterwards.
void Queue::leave(Entry& entry) noexcept {
  if (is_running(entry)) running_.reset();  // the others' tokens run again
  std::erase_if(ready_, [&](const Ready& r) { return r.entry == &entry; });
  end(entry);
  std::erase_if(entries_, [&](const auto& e) { return e.get() == &entry; });
  const std::scoped_lock lock(mutex_);
  --n_entries_;
}

void Queue::end_all() noexcept {
  while (!entries_.empty()) leave(*entries_.back());
}

const Queue::Item* Queue::next(int64_t timeout_ms) {
  const Exclusive exclusive(in_use_, "queue");
  const struct Release {
    Queue& queue;
    ~Release() {
      for (const auto& entry : queue.entries_) entry->held.reset();
    }
  } release{*this};

  const std::chrono::milliseconds timeout(std::clamp<int64_t>(timeout_ms, 0, INT32_MAX));
  const Clock::time_point deadline = Clock::now() + timeout;
  const auto is_late = [&] { return timeout_ms >= 0 && Clock::now() >= deadline; };
  const Pause pause = [&] { return is_late() || is_closed_.load() || has_unseen_cancel(); };
  while (true) {
    refresh();
    if (is_closed_.load()) end_all();
    if (ready_.empty()) finish_ended();
    if (!ready_.empty()) return &ready_.front().item;
    if (entries_.empty()) return nullptr;
    if (!running_) choose();
    advance(pause);
    if (running_ && is_late()) return nullptr;
  }
}

void Queue::pop() {
  Entry* entry = ready_.front().entry;
  ready_.erase(ready_.begin());
  if (entry->has_ended) leave(*entry);
}

bool Queue::is_running(const Entry& entry) const {
  return running_ && std::find(running_->members.begin(), running_->members.end(), &entry) !=
                         running_->members.end();
}

// Of one that waits: a step is interrupted for it, not forgotten.
bool Queue::has_unseen_cancel() const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return !entry->has_ended && !is_running(*entry) && entry->impl().has_unseen_cancel();
  });
}

// The last event of every request that needs no step for it.
void Queue::finish_ended() {
  for (const auto& entry : entries_) {
    const bool runs = is_running(*entry);
    if (entry->has_ended || (runs && !running_->is_reading)) continue;
    try {
      if (entry->impl().next_step()) continue;
      if (runs) running_.reset();  // it was cancelled
      if (auto end = entry->impl().end_event()) push(*entry, std::move(*end));
    } catch (...) {
      if (is_running(*entry)) running_.reset();
      fail_with_current(*entry);
    }
  }
}

// What runs next, of those that have waited longest: a step of input, or a token each of one group.
void Queue::choose() {
  std::vector<Entry*> waiting;
  for (const auto& entry : entries_) {
    if (!entry->has_ended) waiting.push_back(entry.get());
  }
  std::stable_sort(waiting.begin(), waiting.end(),
                   [](const Entry* a, const Entry* b) { return a->turn < b->turn; });
  Entry* reader = nullptr;
  std::vector<Entry*> generators;
  for (Entry* entry : waiting) {
    const Request::Impl::Step* step = entry->impl().next_step();
    if (step && step->kind == Request::Impl::StepKind::kInput) {
      if (!reader) reader = entry;
    } else {
      const Entry* first = generators.empty() ? entry : generators.front();
      const bool fits = entry == first ||
                        (entry->group == first->group && !entry->goes_alone && !first->goes_alone);
      if (fits && static_cast<int64_t>(generators.size()) < max_together_) {
        generators.push_back(entry);
      }
    }
  }
  Running chosen;
  chosen.is_reading = reader && (generators.empty() || !has_just_read_);
  has_just_read_ = chosen.is_reading;
  if (chosen.is_reading) {
    chosen.members.push_back(reader);
  } else {
    chosen.members = std::move(generators);
  }
  ++turn_;
  for (Entry* entry : chosen.members) entry->turn = turn_;
  running_ = std::move(chosen);
}

void Queue::advance(const Pause& pause) {
  if (running_->is_reading) {
    read(pause);
  } else if (step(pause)) {
    sample();
    running_.reset();
  }
}

void Queue::read(const Pause& pause) {
  Entry& entry = *running_->members.front();
  Request::Impl& request = entry.impl();
  try {
    if (request.run(*entry.group->reading, pause) == Request::Impl::Progress::kPaused) return;
    push(entry, request.read_event());
  } catch (const Error& e) {
    if (e.code() == ErrorCode::kCancelled && request.has_unseen_cancel()) {
      request.forget_step();
    } else {
      fail_with_current(entry);
    }
  } catch (...) {
    fail_with_current(entry);
  }
  running_.reset();
}

// One token of each row through the layers. Where that fails, each goes alone, so that who is to blame ends alone.
bool Queue::step(const Pause& pause) {
  const auto count_time = [&, start = Clock::now()] {
    for (const Entry* entry : running_->rows) entry->impl().count_time(start);
  };
  try {
    if (!running_->is_started) start_rows();
    if (running_->rows.empty()) return true;
    model::Decoder& decoder = *running_->rows.front()->group->generating;
    kernels::Stream s{&is_closed_};
    while (!decoder.run_layer(s)) {
      if (pause()) {
        count_time();
        return false;
      }
    }
    const float* logits = decoder.logits(s);
    const select::Selector::Anchors anchors = decoder.read_anchors(s);
    count_time();
    commit_rows(decoder, anchors, logits);
    return true;
  } catch (...) {
    const std::vector<Entry*> rows = std::move(running_->rows);
    running_.reset();
    if (is_closed_.load()) return false;
    if (rows.size() == 1) fail_with_current(*rows.front());
    if (rows.size() > 1) {
      for (Entry* entry : rows) entry->goes_alone = true;
    }
    if (rows.empty()) throw;
    return false;
  }
}

void Queue::start_rows() {
  Running& r = *running_;
  kernels::Stream s{&is_closed_};
  std::vector<model::Part> parts;
  r.rows.reserve(r.members.size());
  parts.reserve(r.members.size());
  for (Entry* entry : std::vector<Entry*>(r.members)) {
    if (!entry->impl().next_step()) continue;  // the next token can be sampled at once
    try {
      entry->impl().reserve(s);
      parts.push_back(entry->impl().part());
      r.rows.push_back(entry);
    } catch (...) {
      if (is_closed_.load()) throw;
      std::erase(r.members, entry);
      fail_with_current(*entry);
    }
  }
  if (!parts.empty()) r.rows.front()->group->generating->begin(s, parts);
  r.is_started = true;
}

void Queue::commit_rows(const model::Decoder& decoder, const select::Selector::Anchors& anchors,
                        const float* logits) {
  Running& r = *running_;
  const std::vector<Entry*> rows = std::move(r.rows);
  r.rows.clear();
  for (size_t row = 0; row < rows.size(); ++row) {
    Entry& entry = *rows[row];
    try {
      entry.impl().commit_token(decoder.chunks()[row], row, anchors,
                                logits + static_cast<int64_t>(row) * model_->config().n_vocab);
      entry.goes_alone = false;
    } catch (...) {
      std::erase(r.members, &entry);
      fail_with_current(entry);
    }
  }
}

// The next token of every member, or its end.
void Queue::sample() {
  std::vector<Entry*> entries;
  for (Entry* entry : running_->members) {
    try {
      if (entry->impl().next_step()) continue;  // a look at its cancel flag
      if (auto end = entry->impl().end_event()) {
        push(*entry, std::move(*end));
      } else {
        entries.push_back(entry);
      }
    } catch (...) {
      fail_with_current(*entry);
    }
  }
  if (entries.empty()) return;
  std::vector<model::Decoder::Sampled> sampled(entries.size());
  bool all = true;
  try {
    draw(entries, sampled);
  } catch (...) {
    all = false;  // one of them may be to blame
  }
  for (size_t i = 0; i < entries.size() && !is_closed_.load(); ++i) {
    try {
      if (!all) draw(std::span(entries).subspan(i, 1), std::span(sampled).subspan(i, 1));
      push(*entries[i], entries[i]->impl().token_event(sampled[i]));
    } catch (...) {
      if (!is_closed_.load()) fail_with_current(*entries[i]);
    }
  }
}

void Queue::draw(std::span<Entry* const> entries, std::span<model::Decoder::Sampled> out) {
  kernels::Stream s{&is_closed_};
  std::vector<model::Decoder::Draw> draws;
  for (const Entry* entry : entries) draws.push_back(entry->impl().draw(s));
  entries.front()->group->generating->sample(s, draws, out);
}

void Queue::push(Entry& entry, Event event) {
  entry.has_ended = event.kind == EventKind::kDone;
  ready_.push_back({{entry.tag, std::move(event), nullptr}, &entry});
}

void Queue::fail_with_current(Entry& entry) {
  try {
    entry.impl().fail_with_current();
  } catch (...) {
    entry.has_ended = true;
    ready_.push_back({{entry.tag, {}, std::current_exception()}, &entry});
  }
}

}  // namespace reattn::engine
