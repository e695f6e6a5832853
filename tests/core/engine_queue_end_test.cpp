// Queues whose requests end otherwise than by themselves: cancelled, failing, let go of, from other threads.
#include <algorithm>
#include <thread>

#include "tests/core/queue_fixture.hpp"

namespace reattn::engine {
namespace {

using QueueEndTest = EngineTest;

TEST_F(QueueEndTest, ACancelEndsOneAndCommitsWhatWasDelivered) {
  const auto writer = std::make_shared<Request>(
      read(document(300)), RequestOptions{.max_tokens = 100, .ignore_end = true});
  auto s = session();
  s->append_text(document(900), {});
  const auto reader =
      std::make_shared<Request>(s, RequestOptions{.max_tokens = 2, .ignore_end = true});
  const int64_t n = writer->session()->info().n_tokens;
  Queue queue(model());
  queue.add(writer, 1);
  queue.add(reader, 2);
  Drained got;
  while (got.answers[1].tokens.size() < 3 || got.order.back() != 2) {
    take(*queue.next(-1), got);
    queue.pop();
  }
  ASSERT_EQ(queue.next(0), nullptr) << "inside a step";
  writer->cancel();
  const Drained rest = drain(queue, 0);
  EXPECT_EQ(rest.answers.at(1).reason, DoneReason::kCancelled);
  EXPECT_EQ(rest.answers.at(2).reason, DoneReason::kLength);
  auto tokens = got.answers[1].tokens;
  const auto& more = rest.answers.at(1).tokens;
  tokens.insert(tokens.end(), more.begin(), more.end());
  EXPECT_EQ(writer->session()->tokens(n, writer->session()->info().n_tokens), tokens);

  auto t = session();
  t->append_text(document(900), {});
  const auto cancelled = std::make_shared<Request>(t, RequestOptions{.max_tokens = 2});
  queue.add(cancelled, 3);
  take(*queue.next(-1), got);
  queue.pop();
  EXPECT_EQ(queue.next(0), nullptr);
  cancelled->cancel();
  EXPECT_EQ(queue.next(-1)->event.reason, DoneReason::kCancelled);
  EXPECT_EQ(t->info().n_tokens, 32);
  EXPECT_EQ(t->info().n_pending, 0);
}

// The others' step is run again without the one that fails.
TEST_F(QueueEndTest, AFailingStepEndsItsRequestAlone) {
  const auto device = std::make_shared<Counting>(kernels::make_cpu_device(1));
  const auto m = Model::open(path(), device, nullptr);
  const Requests alone = make(m, 8), r = make(m, 8);
  std::vector<Answer> expected;
  for (const auto& request : alone) expected.push_back(engine::drain(*request));
  // A length that only number 5 comes to, while it generates.
  device->fails_at = alone[5]->session()->info().n_tokens - 1;
  for (size_t i = 0; i < 8; ++i) {
    const int64_t n = alone[i]->session()->info().n_tokens;
    EXPECT_TRUE(i == 5 || n < device->fails_at || n > device->fails_at + 20) << i << ": " << n;
  }
  Queue queue(m);
  for (size_t i = 0; i < r.size(); ++i) queue.add(r[i], i);
  const Drained got = drain(queue);
  ASSERT_EQ(got.errors.size(), 1u);
  EXPECT_EQ(got.errors.at(5), "no room at " + std::to_string(device->fails_at) +
                                  " tokens (the session stands at " +
                                  std::to_string(device->fails_at - 1) + " tokens)");
  EXPECT_EQ(r[5]->session()->info().n_tokens, device->fails_at - 1);
  EXPECT_NO_THROW(r[5]->session()->fork());
  EXPECT_TRUE(r[5]->done());
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(i == 5 || got.answers.at(i) == expected[i]) << i;
  }
}

// Each fork copies its shared last page before its first token.
TEST_F(QueueEndTest, WhoFindsNoPageEndsAlone) {
  const auto device = std::make_shared<Counting>(kernels::make_cpu_device(1));
  const auto m = Model::open(path(), device, nullptr);
  const auto read = Session::create(m, small_settings());
  read->append_text(document(300), {});
  Request reading(read, {});
  engine::drain(reading);
  const int64_t n = read->info().n_tokens;
  Queue queue(m);
  Requests r;
  for (uint64_t i = 0; i < 3; ++i) {
    r.push_back(std::make_shared<Request>(read->fork(),
                                          RequestOptions{.max_tokens = 6, .ignore_end = true}));
    queue.add(r.back(), i);
  }
  device->page_bytes = read->info().kv_bytes / static_cast<uint64_t>(read->info().n_pages);
  device->n_pages_left = 1;
  const Drained got = drain(queue);
  device->page_bytes = 0;
  ASSERT_EQ(got.errors.size(), 1u);
  EXPECT_EQ(got.errors.at(1),
            "no page is left (the session stands at " + std::to_string(n) + " tokens)");
  EXPECT_EQ(r[1]->session()->info().n_tokens, n);
  const Answer expected = ask(read->fork(), 6);
  EXPECT_EQ(got.answers.at(0), expected);
  EXPECT_EQ(got.answers.at(2), expected);
  EXPECT_EQ(ask(r[1]->session(), 6), expected);
}

TEST_F(QueueEndTest, RefusesWhatItCannotPull) {
  Queue queue(model()), other(model());
  const auto elsewhere = Model::open(path(), kernels::make_cpu_device(1), nullptr);
  const auto request = [&](const std::shared_ptr<const Model>& m = model()) {
    auto s = Session::create(m, small_settings());
    s->append_text(document(100), {});
    return std::make_shared<Request>(s, RequestOptions{.max_tokens = 2, .ignore_end = true});
  };
  expect_error(ErrorCode::kArg, {"another model"}, [&] { queue.add(request(elsewhere), 0); });
  const auto begun = request();
  begun->next(0);
  expect_error(ErrorCode::kArg, {"has begun"}, [&] { queue.add(begun, 0); });
  engine::drain(*begun);
  expect_error(ErrorCode::kArg, {"has ended"}, [&] { queue.add(begun, 0); });
  EXPECT_TRUE(queue.is_empty());
  EXPECT_EQ(queue.next(-1), nullptr);
  const auto taken = request();
  queue.add(taken, 7);
  expect_error(ErrorCode::kArg, {"in a queue already"}, [&] { other.add(taken, 0); });
  expect_error(ErrorCode::kBusy, {"in a queue"}, [&] { taken->next(-1); });
  expect_error(ErrorCode::kBusy, {"in a queue"}, [&] { taken->add_stop("x"); });
  EXPECT_EQ(drain(queue).answers.at(7).tokens.size(), 2u);
}

TEST_F(QueueEndTest, ItsEndIsThatOfItsRequests) {
  Requests r = make(model(), 3);
  {
    Queue queue(model());
    for (const auto& request : r) queue.add(request, 0);
    for (int i = 0; i < 4; ++i) {
      queue.next(-1);
      queue.pop();
    }
    queue.next(0);
    queue.add(make(model(), 1)[0], 0);  // which nobody holds
  }
  for (const auto& request : r) {
    EXPECT_TRUE(request->done());
    EXPECT_FALSE(request->next(-1).has_value());
    EXPECT_EQ(request->session()->info().n_pending, 0);
    EXPECT_NO_THROW(request->session()->fork());
  }
}

TEST_F(QueueEndTest, OtherThreadsAddCancelLookAndLetGo) {
  Queue queue(model());
  auto first = make(model(), 4);
  for (size_t i = 0; i < first.size(); ++i) queue.add(first[i], i);
  const Request& looked_at = *first[3];
  std::atomic<bool> done{false};
  std::thread adds([&] {
    for (int round = 0; round < 5; ++round) {
      Requests more = make(model(), 3);
      for (const auto& request : more) queue.add(request, 100);
      more[round % 3]->cancel();
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      for (const auto& request : more) request->drop();
    }
    done.store(true);
  });
  std::thread looks([&] {
    while (!done.load()) {
      looked_at.stats();
      looked_at.recalled(-1, RecalledScope::kAnswer);
      looked_at.session()->info();
    }
  });
  Drained got;
  while (!done.load() || !queue.is_empty()) {
    const Queue::Item* item = queue.next(1);
    if (!item) continue;
    take(*item, got);
    queue.pop();
  }
  adds.join();
  looks.join();
  EXPECT_TRUE(got.errors.empty());
  const Requests alone = make(model(), 4);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(got.answers.at(i), engine::drain(*alone[i])) << i;
}

TEST_F(QueueEndTest, ClosingEndsTheRunningPull) {
  auto s = session();
  s->append_text(document(100'000), {});
  const auto request = std::make_shared<Request>(s, RequestOptions{});
  Queue queue(model());
  queue.add(request, 0);
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    queue.close();
  });
  while (queue.next(-1)) queue.pop();
  other.join();
  EXPECT_TRUE(request->done());
  EXPECT_NO_THROW(s->append_text("more", {}));
}

}  // namespace
}  // namespace reattn::engine
