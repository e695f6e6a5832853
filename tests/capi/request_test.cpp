// Requests: events, buffers, timeouts, cancels, overlap, stop texts, provenance, statistics.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <thread>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

using RequestTest = ApiTest;

reattn_request_stats stats_of(const reattn_request* request) {
  auto stats = sized<reattn_request_stats>();
  EXPECT_OK(call(reattn_request_get_stats, request, &stats));
  return stats;
}

std::vector<reattn_span> recalled(const reattn_request* request, int64_t layer, int32_t scope) {
  uint64_t n = 0;
  const Result r = call(reattn_request_recalled, request, layer, scope, nullptr, uint64_t{0}, &n);
  EXPECT_EQ(r.status, n == 0 ? REATTN_OK : REATTN_E_BUFFER) << r;
  std::vector<reattn_span> spans(n);
  EXPECT_OK(call(reattn_request_recalled, request, layer, scope, spans.data(), spans.size(), &n));
  return spans;
}

TEST_F(RequestTest, ReadsThenAnswersThenEnds) {
  const Session s = session();
  append(s.get(), document(300));
  Request r = new_request(s.get(), 5);
  int64_t last_done = 0;
  Answer seen;
  reattn_status status = REATTN_OK;
  for (;;) {
    const Event e = next(r.get(), &status);
    if (status != REATTN_OK) break;
    if (e.event.kind == REATTN_EVENT_PREFILL) {
      EXPECT_GT(e.event.n_done, last_done);
      if (test_device() == REATTN_DEVICE_CPU) {
        EXPECT_LE(e.event.n_done - last_done, 32) << "a chunk";
      }
      last_done = e.event.n_done;
      EXPECT_EQ(e.event.token, -1);
      EXPECT_EQ(e.text, "");
    } else if (e.event.kind == REATTN_EVENT_TEXT) {
      EXPECT_EQ(last_done, e.event.n_total == 0 ? last_done : -1) << "n_total is for reading";
      EXPECT_LE(e.event.logprob, 0);
      seen.tokens.push_back(e.event.token);
    } else {
      seen.reason = e.event.reason;
      EXPECT_EQ(e.event.n_done, last_done);
      EXPECT_EQ(e.event.n_total, last_done);
    }
  }
  EXPECT_EQ(status, REATTN_END);
  EXPECT_EQ(seen.reason, REATTN_DONE_LENGTH);
  EXPECT_EQ(seen.tokens.size(), 5u);
  next(r.get(), &status);
  EXPECT_EQ(status, REATTN_END) << "and stays there";
  const std::vector<int32_t> all = tokens(s.get());
  EXPECT_EQ(std::vector<int32_t>(all.end() - 5, all.end()), seen.tokens);

  const reattn_request_stats stats = stats_of(r.get());
  EXPECT_EQ(stats.done, 1);
  EXPECT_EQ(stats.n_prefill_tokens, last_done);
  EXPECT_EQ(stats.n_decode_tokens, 5);
  EXPECT_GT(stats.prefill_seconds, 0);
  EXPECT_GT(stats.decode_seconds, 0);
  EXPECT_GT(stats.first_token_seconds, 0);
}

TEST_F(RequestTest, ABufferTooSmallLosesNothing) {
  const Session a = read(document(900)), b = read(document(900));
  const Answer expected = ask(a.get(), 20);
  Request r = new_request(b.get(), 20);
  Answer got;
  for (;;) {
    auto event = sized<reattn_event>();
    event.kind = -7;
    uint64_t needed = 0;
    Result result =
        call(reattn_request_next, r.get(), int64_t{-1}, &event, nullptr, uint64_t{0}, &needed);
    std::string text(needed, '?');
    if (result.status == REATTN_E_BUFFER) {
      EXPECT_GT(needed, 0u);
      EXPECT_EQ(event.kind, -7) << "untouched";
      if (needed > 1) {
        EXPECT_FAILS(REATTN_E_BUFFER, "'buf' has room for 1",
                     call(reattn_request_next, r.get(), int64_t{0}, &event,
                          reinterpret_cast<uint8_t*>(text.data()), uint64_t{1}, &needed));
      }
      result = call(reattn_request_next, r.get(), int64_t{0}, &event,
                    reinterpret_cast<uint8_t*>(text.data()), needed, &needed);
    }
    if (result.status == REATTN_END) break;
    ASSERT_EQ(result.status, REATTN_OK) << result;
    got.text += text;
    if (event.kind == REATTN_EVENT_TEXT) {
      got.tokens.push_back(event.token);
      got.logprobs.push_back(event.logprob);
    }
    if (event.kind == REATTN_EVENT_DONE) got.reason = event.reason;
  }
  EXPECT_EQ(got, expected);
  EXPECT_FALSE(expected.text.empty());
}

TEST_F(RequestTest, WrongArgumentsDoNotConsumeAnEvent) {
  const Session s = session();
  append(s.get(), document(20));
  Request r = new_request(s.get(), 0);
  auto info = sized<reattn_session_info>();
  EXPECT_OK(call(reattn_session_get_info, s.get(), &info));
  auto event = sized<reattn_event>();
  EXPECT_FAILS(
      REATTN_E_ARG, "'out_event' is NULL",
      call(reattn_request_next, r.get(), int64_t{-1}, nullptr, nullptr, uint64_t{0}, nullptr));
  EXPECT_FAILS(
      REATTN_E_ARG, "'buf' is NULL",
      call(reattn_request_next, r.get(), int64_t{-1}, &event, nullptr, uint64_t{10}, nullptr));
  event.struct_size = 3;
  EXPECT_FAILS(
      REATTN_E_ARG, "struct_size is 3",
      call(reattn_request_next, r.get(), int64_t{-1}, &event, nullptr, uint64_t{0}, nullptr));
  reattn_status status;
  EXPECT_EQ(next(r.get(), &status).event.n_done, info.n_pending) << "all of it";
}

TEST_F(RequestTest, TimeoutsChangeNothing) {
  const Session a = session(), b = session();
  append(a.get(), document(600));
  append(b.get(), document(600));
  Request r = new_request(a.get(), 6);
  reattn_status status;
  next(r.get(), &status, 0);
  EXPECT_EQ(status, REATTN_TIMEOUT) << "two layers take two calls";
  EXPECT_EQ(drain(r.get(), 0), ask(b.get(), 6));
}

TEST_F(RequestTest, StopTextsEndTheAnswer) {
  const Session s = read(document(900));
  reattn_session* raw = nullptr;
  ASSERT_OK(call(reattn_session_fork, s.get(), &raw));
  const Session f(raw);
  const Answer whole = ask(s.get(), 40);
  size_t at = whole.text.size() / 2;  // a character boundary
  while (at < whole.text.size() && (static_cast<unsigned char>(whole.text[at]) & 0xC0) == 0x80)
    ++at;
  const std::string stop = whole.text.substr(at, 12).substr(0, whole.text.size() - at);
  ASSERT_GT(whole.text.size(), at);
  size_t end = stop.size();
  while (end > 1 && (static_cast<unsigned char>(whole.text[at + end]) & 0xC0) == 0x80) --end;
  const std::string whole_stop = stop.substr(0, end);

  Request r = new_request(f.get(), 40);
  EXPECT_FAILS(REATTN_E_ARG, "", call(reattn_request_add_stop, r.get(), nullptr, uint64_t{0}));
  EXPECT_FAILS(REATTN_E_ARG, "offset 0",
               call(reattn_request_add_stop, r.get(), bytes("\xFF"), uint64_t{1}));
  const std::string long_stop(1025, 'x');
  EXPECT_FAILS(REATTN_E_ARG, "1025",
               call(reattn_request_add_stop, r.get(), bytes(long_stop), long_stop.size()));
  ASSERT_OK(call(reattn_request_add_stop, r.get(), bytes(whole_stop), whole_stop.size()));
  const Answer cut = drain(r.get());
  EXPECT_EQ(cut.reason, REATTN_DONE_STOP);
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(whole_stop)));
  EXPECT_FAILS(REATTN_E_ARG, "first",
               call(reattn_request_add_stop, r.get(), bytes("x"), uint64_t{1}));
}

TEST_F(RequestTest, OptionsOutOfRangeAreNamed) {
  const Session s = read("something to go on from");
  const auto refuses = [&](const char* fragment, auto change) {
    reattn_request_options o;
    EXPECT_OK(call(reattn_request_options_init, &o, sizeof o));
    change(o);
    reattn_request* out = nullptr;
    EXPECT_FAILS(REATTN_E_ARG, fragment, call(reattn_request_create, s.get(), &o, &out));
    EXPECT_EQ(out, nullptr);
  };
  refuses("max_tokens is -1", [](auto& o) { o.max_tokens = -1; });
  refuses("temperature", [](auto& o) { o.temperature = NAN; });
  refuses("top_k is -1", [](auto& o) { o.top_k = -1; });
  refuses("top_p", [](auto& o) { o.top_p = 1.5f; });
  refuses("min_p", [](auto& o) { o.min_p = -1; });
  refuses("repetition_penalty", [](auto& o) { o.repetition_penalty = 0; });
  refuses("repetition_window", [](auto& o) { o.repetition_window = -1; });
  refuses("ignore_end", [](auto& o) { o.ignore_end = 2; });
  EXPECT_EQ(ask(s.get(), 1).tokens.size(), 1u) << "the session is free";
}

TEST_F(RequestTest, TheSeedDecides) {
  const Session s = read(document(400));
  const auto sample = [&](uint64_t seed) {
    reattn_session* f = nullptr;
    EXPECT_OK(call(reattn_session_fork, s.get(), &f));
    const Session fork(f);
    reattn_request_options o;
    EXPECT_OK(call(reattn_request_options_init, &o, sizeof o));
    o.max_tokens = 16;
    o.temperature = 1.5f;
    o.ignore_end = 1;
    o.seed = seed;
    reattn_request* out = nullptr;
    EXPECT_OK(call(reattn_request_create, fork.get(), &o, &out));
    return drain(Request(out).get()).tokens;
  };
  EXPECT_EQ(sample(7), sample(7));
  EXPECT_NE(sample(7), sample(8));
}

Request request_with(reattn_session* session, const reattn_request_options& options) {
  reattn_request* request = nullptr;
  EXPECT_OK(call(reattn_request_create, session, &options, &request));
  return Request(request);
}

reattn_request_options request_options() {
  reattn_request_options options;
  EXPECT_OK(call(reattn_request_options_init, &options, sizeof options));
  options.max_tokens = 20;
  return options;
}

Result set_schema(reattn_request* request, std::string_view schema) {
  return call(reattn_request_set_json_schema, request, bytes(schema), uint64_t{schema.size()});
}

TEST_F(RequestTest, ASchemaBindsTheAnswer) {
  const Session s = read(document(300));
  reattn_request_options options = request_options();
  {
    Request r = request_with(s.get(), options);
    EXPECT_FAILS(REATTN_E_ARG, "'schema' is NULL",
                 call(reattn_request_set_json_schema, r.get(), nullptr, uint64_t{2}));
    EXPECT_FAILS(REATTN_E_ARG, "not JSON", set_schema(r.get(), ""));
    EXPECT_FAILS(REATTN_E_ARG, "Invalid type: tree", set_schema(r.get(), R"({"type": "tree"})"));
    EXPECT_FAILS(REATTN_E_UNSUPPORTED, "uniqueItems",
                 set_schema(r.get(), R"({"uniqueItems": true})"));
    EXPECT_OK(set_schema(r.get(), R"({"const": "north"})"));
    const Answer a = drain(r.get());
    EXPECT_EQ(a.text, "\"north\"");
    EXPECT_EQ(a.reason, REATTN_DONE_END);
    EXPECT_FAILS(REATTN_E_ARG, "before the first next", set_schema(r.get(), "{}"));
  }
  options.ignore_end = 1;
  Request r = request_with(s.get(), options);
  EXPECT_FAILS(REATTN_E_ARG, "ignore_end is 1", set_schema(r.get(), "{}"));
}

// A program built before the last two fields were there.
TEST_F(RequestTest, OldOptionsHaveNoPenalty) {
  const Session s = read(document(300)), t = fork(s.get());
  reattn_request_options options = request_options();
  options.ignore_end = 1;
  const Answer plain = [&] {
    Request r = request_with(s.get(), options);
    return drain(r.get());
  }();
  options.repetition_penalty = 1.8F;
  options.struct_size = offsetof(reattn_request_options, repetition_penalty);
  Request r = request_with(t.get(), options);
  expect_same(model(), drain(r.get()), plain);
}

TEST_F(RequestTest, CancelFromAnotherThreadStopsWithinAChunk) {
  const Session s = session();
  append(s.get(), document(100'000));
  Request r = new_request(s.get(), 0);
  int64_t read = 0;  // when the cancel had been made
  std::thread other([&] {
    while (n_tokens(s.get()) == 0) std::this_thread::yield();
    EXPECT_OK(call(reattn_request_cancel, r.get()));
    read = n_tokens(s.get());
  });
  EXPECT_EQ(drain(r.get()).reason, REATTN_DONE_CANCELLED);
  other.join();
  const int64_t step = test_device() == REATTN_DEVICE_CPU ? 32 : 4096;  // a chunk, a super-chunk
  EXPECT_LE(n_tokens(s.get()), read + step);
  EXPECT_EQ(n_tokens(s.get()) % 32, 0) << "whole chunks";
  append(s.get(), "and it goes on");
  EXPECT_EQ(ask(s.get(), 2).tokens.size(), 2u);
}

TEST_F(RequestTest, CancelBeforeTheFirstNext) {
  const Session s = session();
  append(s.get(), "some text");
  Request r = new_request(s.get(), 3);
  EXPECT_OK(call(reattn_request_cancel, r.get()));
  EXPECT_EQ(drain(r.get()).reason, REATTN_DONE_CANCELLED);
  EXPECT_EQ(n_tokens(s.get()), 0);
}

TEST_F(RequestTest, OverlapIsBusyAndChangesNothing) {
  const std::string text = document(20'000);
  const Session s = session();
  append(s.get(), text);
  Request r = new_request(s.get(), 2);
  std::atomic<bool> done{false};
  std::atomic<int> n_busy{0};
  std::thread other([&] {
    while (!done) {
      const Result result = call(reattn_request_add_stop, r.get(), bytes("x"), uint64_t{1});
      if (result.status == REATTN_E_BUSY) ++n_busy;
      // Between two calls of the other thread, the first next may lie ahead or behind.
      EXPECT_TRUE(result.status == REATTN_E_BUSY || result.status == REATTN_E_ARG ||
                  result.status == REATTN_OK)
          << result;
      if (n_busy == 3) {
        EXPECT_OK(call(reattn_request_cancel, r.get()));
      }
    }
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  reattn_status status = REATTN_OK;
  while (status != REATTN_END && std::chrono::steady_clock::now() < deadline) {
    auto event = sized<reattn_event>();
    uint8_t buffer[4096];
    status = call(reattn_request_next, r.get(), int64_t{-1}, &event, buffer, sizeof buffer, nullptr)
                 .status;
    if (status == REATTN_E_BUSY) status = REATTN_OK;
    ASSERT_GE(status, 0);
  }
  done = true;
  other.join();
  EXPECT_EQ(status, REATTN_END);
  EXPECT_GT(n_busy, 0);
}

TEST_F(RequestTest, LogitsAreThoseOfTheLastToken) {
  const Session s = session();
  append(s.get(), document(200));
  Request r = new_request(s.get(), 1);
  EXPECT_FAILS(REATTN_E_ARG, "logits",
               call(reattn_request_logits, r.get(), nullptr, uint64_t{0}, nullptr));
  reattn_status status = REATTN_OK;
  Event e;
  while (status == REATTN_OK && e.event.kind != REATTN_EVENT_TEXT) e = next(r.get(), &status);
  uint64_t needed = 0;
  EXPECT_FAILS(REATTN_E_BUFFER, "300 are needed",
               call(reattn_request_logits, r.get(), nullptr, uint64_t{0}, &needed));
  std::vector<float> logits(needed);
  EXPECT_OK(call(reattn_request_logits, r.get(), logits.data(), logits.size(), &needed));
  const auto best = std::max_element(logits.begin(), logits.end());
  EXPECT_EQ(best - logits.begin(), e.event.token);
}

TEST_F(RequestTest, RecalledSpansAreOrderedAndLieInTheMiddle) {
  const Session s = read(document(900));
  append(s.get(), "\nWhat is the code of room 7? ");
  Request r = new_request(s.get(), 3);
  drain(r.get());
  const int64_t n = n_tokens(s.get());
  for (const int32_t scope :
       {REATTN_RECALLED_LAST_STEP, REATTN_RECALLED_PROMPT, REATTN_RECALLED_ANSWER}) {
    for (int64_t layer = REATTN_ALL_LAYERS; layer < 2; ++layer) {
      const auto spans = recalled(r.get(), layer, scope);
      ASSERT_FALSE(spans.empty());
      for (size_t i = 0; i < spans.size(); ++i) {
        EXPECT_GE(spans[i].begin, 8);
        EXPECT_LT(spans[i].begin, spans[i].end);
        EXPECT_LE(spans[i].end, n - 64 + 32);
        if (i > 0) {
          EXPECT_GE(spans[i - 1].votes, spans[i].votes);
        }
      }
    }
  }
  uint64_t needed = 0;
  EXPECT_FAILS(REATTN_E_ARG, "layer is 2",
               call(reattn_request_recalled, r.get(), int64_t{2}, int32_t{REATTN_RECALLED_PROMPT},
                    nullptr, uint64_t{0}, &needed));
  EXPECT_FAILS(REATTN_E_ARG, "layer is -2",
               call(reattn_request_recalled, r.get(), int64_t{-2}, int32_t{REATTN_RECALLED_PROMPT},
                    nullptr, uint64_t{0}, &needed));
  EXPECT_FAILS(
      REATTN_E_ARG, "scope is 0",
      call(reattn_request_recalled, r.get(), int64_t{0}, 0, nullptr, uint64_t{0}, &needed));
}

}  // namespace
}  // namespace reattn::test
