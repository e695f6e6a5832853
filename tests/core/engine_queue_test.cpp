// Queues: several requests together give what each gives alone, in one step for all.
#include <algorithm>

#include "tests/core/queue_fixture.hpp"

namespace reattn::engine {
namespace {

class QueueTest : public EngineTest {
 protected:
  static void expect_like_alone(const std::shared_ptr<const Model>& m, size_t n,
                                int64_t timeout_ms = -1,
                                const select::Settings& settings = small_settings()) {
    const Requests alone = make(m, n, settings), queued = make(m, n, settings);
    Queue queue(m);
    for (size_t i = 0; i < n; ++i) queue.add(queued[i], i);
    const Drained got = drain(queue, timeout_ms);
    EXPECT_TRUE(got.errors.empty());
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(got.answers.at(i), engine::drain(*alone[i])) << i;
      EXPECT_TRUE(left(*queued[i]) == left(*alone[i])) << i;
      EXPECT_TRUE(queued[i]->done());
      EXPECT_FALSE(queued[i]->next(-1).has_value()) << "its last event was taken";
      EXPECT_NO_THROW(queued[i]->session()->fork());
    }
  }
};

TEST_F(QueueTest, EachAnswersAsAlone) {
  expect_like_alone(model(), 12);
  expect_like_alone(model(), 1);
}

TEST_F(QueueTest, EachAnswersAsAloneOnTheReference) {
  expect_like_alone(Model::open(path(), kernels::make_reference_device(), nullptr), 7);
}

TEST_F(QueueTest, EachAnswersAsAloneAmongMoreThanAStepTakes) {
  expect_like_alone(model(), 37);
}

TEST_F(QueueTest, TimeoutsChangeNothing) {
  expect_like_alone(model(), 7, 0);
}

TEST_F(QueueTest, EachAnswersAsAloneWithEverySetting) {
  for (const auto selection :
       {select::Selection::kFull, select::Selection::kExact, select::Selection::kBlock1}) {
    select::Settings s = small_settings();
    s.selection = selection;
    s.kv_dtype = kernels::DType::kF16;
    s.vote_stride = 3;
    s.chunk = 48;
    expect_like_alone(model(), 5, -1, s);
  }
}

TEST_F(QueueTest, OneStepServesAll) {
  const auto device = std::make_shared<Counting>(kernels::make_cpu_device(1));
  const auto m = Model::open(path(), device, nullptr);
  const auto read = Session::create(m, small_settings());
  read->append_text(document(300), {});
  Request reading(read, {});
  engine::drain(reading);
  const auto count = [&](size_t n, bool other_settings) {
    Queue queue(m);
    Requests requests;
    for (size_t i = 0; i < n; ++i) {
      select::Settings s = small_settings();
      if (other_settings && i % 2 == 1) s.top_k = 3;
      s.max_tokens = 400 + static_cast<int64_t>(i);  // capacities may differ
      requests.push_back(
          std::make_shared<Request>(Session::create(m, s, *read->snapshot()),
                                    RequestOptions{.max_tokens = 4, .ignore_end = true}));
      queue.add(requests.back(), i);
    }
    const int before = device->n_products;
    EXPECT_EQ(drain(queue).answers.at(n - 1).tokens.size(), 4u);
    return device->n_products - before;
  };
  const int one = count(1, false);
  EXPECT_EQ(count(6, false), one);
  EXPECT_EQ(device->most_sequences, 6u);
  EXPECT_EQ(count(6, true), 2 * one) << "two groups";
}

// While one reads, the others go on: one step each in turn.
TEST_F(QueueTest, ReadingAlternatesWithGenerating) {
  const auto reader = [&] {
    auto s = session();
    s->append_text(document(400), {});
    return std::make_shared<Request>(s, RequestOptions{.max_tokens = 1});
  };
  const auto read = EngineTest::read(document(300));
  const auto writer = [&] {
    return std::make_shared<Request>(read->fork(),
                                     RequestOptions{.max_tokens = 8, .ignore_end = true});
  };
  const Requests r = {reader(), writer(), reader(), writer()};
  Queue queue(model());
  for (size_t i = 0; i < r.size(); ++i) queue.add(r[i], i);
  const Drained got = drain(queue);
  EXPECT_EQ(std::vector(got.order.begin(), got.order.begin() + 9),
            (std::vector<uint64_t>{0, 1, 3, 2, 1, 3, 0, 1, 3}));
  EXPECT_EQ(got.answers.at(1), ask(read->fork(), 8));
}

TEST_F(QueueTest, RequestsJoinAndLeaveWhileOthersGoOn) {
  const Requests alone = make(model(), 6), r = make(model(), 6);
  Queue queue(model());
  Drained got;
  const auto take_one = [&] {
    take(*queue.next(-1), got);
    queue.pop();
  };
  queue.add(r[0], 0);
  for (int i = 0; i < 2; ++i) take_one();
  queue.add(r[2], 2);
  queue.add(r[5], 5);
  for (int i = 0; i < 5; ++i) take_one();
  // One is let go of inside a step: it leaves, and its session is free.
  auto gone = std::make_shared<Request>(read(document(200)),
                                        RequestOptions{.max_tokens = 50, .ignore_end = true});
  const auto session = gone->session();
  queue.add(gone, 99);
  while (got.answers[99].tokens.size() < 2) take_one();
  const int64_t n = session->info().n_tokens;
  queue.next(0);
  gone->drop();
  gone.reset();
  queue.add(r[4], 4);
  got.answers.erase(99);
  const Drained rest = drain(queue);
  EXPECT_FALSE(rest.answers.contains(99));
  EXPECT_GE(session->info().n_tokens, n);
  EXPECT_LE(session->info().n_tokens, n + 1);
  EXPECT_NO_THROW(session->fork());
  for (const size_t i : {0u, 2u, 4u, 5u}) {
    const Answer expected = engine::drain(*alone[i]);
    Answer a = got.answers[i];
    const auto more = rest.answers.find(i);
    if (more != rest.answers.end()) {
      const Answer& b = more->second;
      a.text += b.text;
      a.tokens.insert(a.tokens.end(), b.tokens.begin(), b.tokens.end());
      a.logprobs.insert(a.logprobs.end(), b.logprobs.begin(), b.logprobs.end());
      a.n_prefill_events += b.n_prefill_events;
      a.reason = b.reason;
    }
    EXPECT_EQ(a, expected) << i;
    EXPECT_TRUE(left(*r[i]) == left(*alone[i])) << i;
  }
}

}  // namespace
}  // namespace reattn::engine
