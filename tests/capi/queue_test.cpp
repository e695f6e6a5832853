// Queues as callers see them: tags, statuses, buffers, errors of arguments, frees in any order, threads.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <thread>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

using QueueTest = ApiTest;

TEST_F(QueueTest, EachRequestAnswersAsByItself) {
  const Session read = ApiTest::read(document(900));
  for (const int64_t timeout_ms : {-1, 0}) {
    const Queue queue = new_queue(model());
    std::vector<Session> sessions;
    std::vector<Request> requests;
    std::map<uint64_t, Answer> expected;
    for (uint64_t i = 0; i < 6; ++i) {
      const uint64_t tag = UINT64_MAX - i;
      Session alone = i % 2 == 0 ? fork(read.get()) : session();
      sessions.push_back(i % 2 == 0 ? fork(read.get()) : session());
      if (i > 0) {
        append(alone.get(), document(50 * i));
        append(sessions.back().get(), document(50 * i));
      }
      expected[tag] = ask(alone.get(), 4 + static_cast<int64_t>(i));
      requests.push_back(new_request(sessions.back().get(), 4 + static_cast<int64_t>(i)));
      EXPECT_OK(call(reattn_queue_add, queue.get(), requests.back().get(), tag));
    }
    const auto got = drain(queue.get(), timeout_ms);
    EXPECT_EQ(got.size(), expected.size());
    for (const auto& [tag, answer] : got) expect_same(model(), answer, expected.at(tag));
    for (uint64_t i = 0; i < 6; ++i) {
      auto stats = sized<reattn_request_stats>();
      EXPECT_OK(call(reattn_request_get_stats, requests[i].get(), &stats));
      EXPECT_EQ(stats.done, 1);
      EXPECT_EQ(stats.n_decode_tokens, 4 + static_cast<int64_t>(i));
      EXPECT_GT(stats.decode_seconds, 0);
      EXPECT_GT(stats.first_token_seconds, 0);
      reattn_status status;
      test::next(requests[i].get(), &status);
      EXPECT_EQ(status, REATTN_END);
    }
    reattn_status status;
    next(queue.get(), &status);
    EXPECT_EQ(status, REATTN_END) << "and stays there";
    // A queue may be used again.
    const Request more = new_request(sessions[1].get(), 2);
    EXPECT_OK(call(reattn_queue_add, queue.get(), more.get(), uint64_t{1}));
    EXPECT_EQ(drain(queue.get()).at(1).tokens.size(), 2u);
  }
}

TEST_F(QueueTest, ABufferTooSmallLosesNothing) {
  const Session a = read(document(900)), b = fork(a.get()), c = fork(a.get());
  const Answer expected = ask(a.get(), 20);
  const Request r = new_request(b.get(), 20), q = new_request(c.get(), 20);
  const Queue queue = new_queue(model());
  EXPECT_OK(call(reattn_queue_add, queue.get(), r.get(), uint64_t{0}));
  EXPECT_OK(call(reattn_queue_add, queue.get(), q.get(), uint64_t{1}));
  std::array<std::string, 2> texts;
  for (;;) {
    auto event = sized<reattn_event>();
    event.kind = -7;
    uint64_t tag = 99, needed = 0;
    Result result = call(reattn_queue_next, queue.get(), int64_t{-1}, &tag, &event, nullptr,
                         uint64_t{0}, &needed);
    std::string text(needed, '?');
    if (result.status == REATTN_E_BUFFER) {
      EXPECT_EQ(event.kind, -7) << "untouched";
      EXPECT_EQ(tag, 99u);
      result = call(reattn_queue_next, queue.get(), int64_t{0}, &tag, &event,
                    reinterpret_cast<uint8_t*>(text.data()), needed, &needed);
    }
    if (result.status == REATTN_END) break;
    ASSERT_EQ(result.status, REATTN_OK) << result;
    ASSERT_LT(tag, 2u);
    texts[tag] += text;
  }
  EXPECT_EQ(texts[0], expected.text);
  EXPECT_EQ(texts[1], expected.text);
}

TEST_F(QueueTest, WrongArgumentsChangeNothing) {
  const Session s = session();
  append(s.get(), document(100));
  const Request r = new_request(s.get(), 2);
  const Queue queue = new_queue(model());
  auto event = sized<reattn_event>();
  uint64_t tag = 5;
  reattn_queue* const none = nullptr;
  reattn_queue* made = nullptr;
  EXPECT_FAILS(REATTN_E_HANDLE, "'model'",
               call(reattn_queue_create, static_cast<reattn_model*>(nullptr), &made));
  EXPECT_FAILS(REATTN_E_ARG, "'out_queue' is NULL", call(reattn_queue_create, model(), nullptr));
  EXPECT_FAILS(REATTN_E_HANDLE, "'queue'", call(reattn_queue_add, none, r.get(), tag));
  EXPECT_FAILS(
      REATTN_E_HANDLE, "'request'",
      call(reattn_queue_add, queue.get(), reinterpret_cast<reattn_request*>(s.get()), tag));
  EXPECT_FAILS(
      REATTN_E_HANDLE, "'queue'",
      call(reattn_queue_next, none, int64_t{0}, &tag, &event, nullptr, uint64_t{0}, nullptr));
  EXPECT_OK(call(reattn_queue_add, queue.get(), r.get(), uint64_t{5}));
  EXPECT_FAILS(REATTN_E_ARG, "in a queue already",
               call(reattn_queue_add, queue.get(), r.get(), uint64_t{6}));
  EXPECT_FAILS(REATTN_E_ARG, "'out_tag' is NULL",
               call(reattn_queue_next, queue.get(), int64_t{-1}, nullptr, &event, nullptr,
                    uint64_t{0}, nullptr));
  EXPECT_FAILS(REATTN_E_ARG, "'out_event' is NULL",
               call(reattn_queue_next, queue.get(), int64_t{-1}, &tag, nullptr, nullptr,
                    uint64_t{0}, nullptr));
  EXPECT_FAILS(
      REATTN_E_BUSY, "in a queue",
      call(reattn_request_next, r.get(), int64_t{-1}, &event, nullptr, uint64_t{0}, nullptr));
  EXPECT_FAILS(REATTN_E_BUSY, "in a queue",
               call(reattn_request_add_stop, r.get(), bytes("x"), uint64_t{1}));
  EXPECT_FAILS(REATTN_E_BUSY, "a request is live",
               call(reattn_session_truncate, s.get(), int64_t{0}));
  const Model other = open_model(model_path());
  const Queue elsewhere = new_queue(other.get());
  const Session free_one = session();
  append(free_one.get(), document(100));
  const Request of_this = new_request(free_one.get(), 1);
  EXPECT_FAILS(REATTN_E_ARG, "another model",
               call(reattn_queue_add, elsewhere.get(), of_this.get(), uint64_t{0}));
  EXPECT_EQ(drain(queue.get()).at(5).tokens.size(), 2u);
  EXPECT_EQ(test::drain(of_this.get()).tokens.size(), 1u);
  EXPECT_FAILS(REATTN_E_ARG, "has ended",
               call(reattn_queue_add, queue.get(), of_this.get(), uint64_t{0}));
}

TEST_F(QueueTest, HeaderOnlyModelsHaveNone) {
  const Model header = open_model(model_path(), 1, 1);
  reattn_queue* queue = nullptr;
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "", call(reattn_queue_create, header.get(), &queue));
  EXPECT_EQ(queue, nullptr);
}

// Every order of freeing model, session, two requests and the queue, after some events.
TEST_F(QueueTest, HandlesAreFreedInAnyOrder) {
  std::array<int, 5> order = {0, 1, 2, 3, 4};
  int round = 0;
  do {
    Model m = open_model(model_path());
    Session s = new_session(m.get()), t = new_session(m.get());
    append(s.get(), document(200));
    append(t.get(), document(90));
    Request r = new_request(s.get(), 5), q = new_request(t.get(), 5);
    Queue queue = new_queue(m.get());
    EXPECT_OK(call(reattn_queue_add, queue.get(), r.get(), uint64_t{1}));
    EXPECT_OK(call(reattn_queue_add, queue.get(), q.get(), uint64_t{2}));
    reattn_status status;
    for (int i = 0; i < round % 12; ++i) next(queue.get(), &status, i % 2 - 1);
    for (const int which : order) {
      if (which == 0) m.reset();
      if (which == 1) s.reset();
      if (which == 2) {
        r.reset();
        if (queue) {
          EXPECT_NE(next(queue.get(), &status, 0).tag, 1u);
        }
      }
      if (which == 3) q.reset();
      if (which == 4) queue.reset();
      if (q && !queue) {
        test::next(q.get(), &status);
        EXPECT_EQ(status, REATTN_END);
      }
    }
    if (round % 10 == 0) append(t.get(), "The session goes on. ");
  } while (++round < 120 && std::next_permutation(order.begin(), order.end()));
}

TEST_F(QueueTest, AFreedRequestLeavesItsSessionAtOnce) {
  const Session a = read(document(300)), b = fork(a.get());
  Request r = new_request(a.get(), 50), q = new_request(b.get(), 3);
  const Queue queue = new_queue(model());
  EXPECT_OK(call(reattn_queue_add, queue.get(), r.get(), uint64_t{1}));
  EXPECT_OK(call(reattn_queue_add, queue.get(), q.get(), uint64_t{2}));
  reattn_status status;
  EXPECT_EQ(next(queue.get(), &status).tag, 1u);
  r.reset();  // no call is inside
  append(a.get(), "The next question. ");
  const auto rest = drain(queue.get());
  EXPECT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest.at(2).tokens.size(), 3u);
  EXPECT_EQ(ask(a.get(), 2).tokens.size(), 2u);
}

TEST_F(QueueTest, TwoPullersDoNotWaitForEachOther) {
  const Session s = session();
  append(s.get(), document(100'000));
  const Request r = new_request(s.get(), 1);
  const Queue queue = new_queue(model());
  EXPECT_OK(call(reattn_queue_add, queue.get(), r.get(), uint64_t{1}));
  const auto pull = [&](int64_t timeout_ms) {
    auto event = sized<reattn_event>();
    uint64_t tag = 0;
    std::array<uint8_t, 256> buffer;
    return reattn_queue_next(queue.get(), timeout_ms, &tag, &event, buffer.data(), buffer.size(),
                             nullptr, nullptr);
  };
  std::thread other([&] {
    reattn_status status = REATTN_OK;
    while (status >= 0 && status != REATTN_END) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      status = pull(0);
    }
    EXPECT_EQ(status, REATTN_E_BUSY);
    EXPECT_OK(call(reattn_request_cancel, r.get()));
  });
  for (reattn_status status = REATTN_OK; status != REATTN_END;) {
    status = pull(-1);
    EXPECT_TRUE(status >= 0 || status == REATTN_E_BUSY) << status;
  }
  other.join();
}

TEST_F(QueueTest, OtherThreadsAddAndFreeWhileOnePulls) {
  Queue queue = new_queue(model());
  const Session kept = read(document(300));
  const Answer expected = ask(fork(kept.get()).get(), 30);
  const Session s = fork(kept.get());
  const Request r = new_request(s.get(), 30);
  EXPECT_OK(call(reattn_queue_add, queue.get(), r.get(), uint64_t{1}));
  std::atomic<bool> done{false};
  std::thread other([&] {
    for (int i = 0; i < 8; ++i) {
      Session t = session();
      append(t.get(), document(150));
      Request q = new_request(t.get(), 20);
      EXPECT_OK(call(reattn_queue_add, queue.get(), q.get(), uint64_t{2}));
      if (i % 2 == 0) t.reset();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    done.store(true);
  });
  Answer got;
  for (reattn_status status = REATTN_OK; status != REATTN_END || !done.load();) {
    const Tagged e = next(queue.get(), &status, 1);
    if (status != REATTN_OK || e.tag != 1) continue;
    got.text += e.text;
    if (e.event.kind == REATTN_EVENT_TEXT) {
      got.tokens.push_back(e.event.token);
      got.logprobs.push_back(e.event.logprob);
    } else {
      got.reason = e.event.reason;
    }
  }
  other.join();
  got.n_prefill = expected.n_prefill;
  expect_same(model(), got, expected);

  // The queue itself, while it is pulled.
  const Session u = session();
  append(u.get(), document(100'000));
  const Request last = new_request(u.get(), 1);
  EXPECT_OK(call(reattn_queue_add, queue.get(), last.get(), uint64_t{3}));
  reattn_queue* const handle = queue.get();
  std::thread frees([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    queue.reset();
  });
  for (;;) {
    auto event = sized<reattn_event>();
    uint64_t tag = 0;
    const reattn_status status =
        reattn_queue_next(handle, -1, &tag, &event, nullptr, 0, nullptr, nullptr);
    if (status == REATTN_E_HANDLE || status == REATTN_END) break;
    EXPECT_EQ(status, REATTN_OK);
  }
  frees.join();
  append(u.get(), "The session goes on. ");
}

}  // namespace
}  // namespace reattn::test
