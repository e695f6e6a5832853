// Requests of all kinds for the tests of queues, and short ways to pull them.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/engine/queue.hpp"
#include "tests/core/engine_fixture.hpp"
#include "tests/support/forwarding_device.hpp"

namespace reattn::engine {

using Requests = std::vector<std::shared_ptr<Request>>;

struct Drained {
  std::map<uint64_t, Answer> answers;
  std::map<uint64_t, std::string> errors;
  std::vector<uint64_t> order;  // of the events
};

inline void take(const Queue::Item& item, Drained& out) {
  out.order.push_back(item.tag);
  if (item.error) {
    try {
      std::rethrow_exception(item.error);
    } catch (const Error& e) {
      out.errors[item.tag] = e.what();
    }
    return;
  }
  Answer& a = out.answers[item.tag];
  a.text += item.event.text;
  if (item.event.kind == EventKind::kPrefill) ++a.n_prefill_events;
  if (item.event.kind == EventKind::kText) {
    a.tokens.push_back(item.event.token);
    a.logprobs.push_back(item.event.logprob);
  }
  if (item.event.kind == EventKind::kDone) a.reason = item.event.reason;
}

inline Drained drain(Queue& queue, int64_t timeout_ms = -1) {
  Drained out;
  while (true) {
    if (const Queue::Item* item = queue.next(timeout_ms)) {
      take(*item, out);
      queue.pop();
    } else if (queue.is_empty()) {
      return out;
    }
  }
}

inline std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> out(values.size());
  std::memcpy(out.data(), values.data(), values.size() * sizeof(float));
  return out;
}

// What is left of a request and its session.
struct Left {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> logprobs, logits;
  std::vector<std::vector<Span>> recalled;
  int64_t n_decoded;
  bool operator==(const Left&) const = default;
};

inline Left left(const Request& request) {
  const Session& s = *request.session();
  const int64_t n = s.info().n_tokens;
  Left out{s.tokens(0, n), bits(s.logprobs(0, n)), bits(request.logits()), {}, 0};
  for (const auto scope :
       {RecalledScope::kLastStep, RecalledScope::kPrompt, RecalledScope::kAnswer}) {
    for (int64_t layer = -1; layer < 2; ++layer) {
      out.recalled.push_back(request.recalled(layer, scope));
    }
  }
  out.n_decoded = request.stats().n_decode_tokens;
  return out;
}

// Sessions of all kinds: too short for a middle, read before and sharing pages, with input in several appends, warm.
inline Requests make(const std::shared_ptr<const Model>& model, size_t n,
                     const select::Settings& settings = small_settings()) {
  const auto read = Session::create(model, settings);
  read->append_text(document(settings.selection == select::Selection::kFull ? 350 : 700), {});
  Request reading(read, {});
  engine::drain(reading);
  Requests out;
  for (size_t i = 0; i < n; ++i) {
    std::shared_ptr<Session> s;
    if (i % 3 == 0) {
      s = read->fork();
    } else {
      s = Session::create(model, settings);
      s->append_text(document(i % 3 == 1 ? 40 : 300 + 20 * i), {.logprobs = i % 2 == 0});
    }
    if (i % 4 != 0 || i == 4)
      s->append_ids(std::vector<int32_t>{60 + static_cast<int32_t>(i), 61}, {});
    RequestOptions o{.max_tokens = 3 + static_cast<int64_t>(i % 5) * 2, .ignore_end = i % 2 == 0};
    if (i % 2 == 1) o.sampling = {.temperature = 1.2f, .seed = i};
    out.push_back(std::make_shared<Request>(s, o));
    if (i % 4 == 3) out.back()->add_stop("e");
  }
  return out;
}

// Counts the calls of the dense layers, and the most sequences of one call.
class Counting final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  void matmul(Stream& s, const kernels::MatmulArgs& a) override {
    ++n_products;
    ForwardingDevice::matmul(s, a);
  }
  void attend(Stream& s, std::span<const kernels::AttendArgs> a) override {
    most_sequences = std::max(most_sequences, a.size());
    if (std::any_of(a.begin(), a.end(),
                    [&](const auto& one) { return one.n_tokens == fails_at; })) {
      fail(ErrorCode::kOomDevice, "no room at ", fails_at, " tokens");
    }
    ForwardingDevice::attend(s, a);
  }
  void* allocate(size_t bytes) override {
    if (bytes == page_bytes && n_pages_left-- == 0) fail(ErrorCode::kOomDevice, "no page is left");
    return ForwardingDevice::allocate(bytes);
  }
  size_t page_bytes = 0;
  int n_pages_left = -1;
  int n_products = 0;
  size_t most_sequences = 0;
  int64_t fails_at = -1;
};

}  // namespace reattn::engine
