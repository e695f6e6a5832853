// The same bits on every repeat: of one session, of eight at once from eight threads, and of eight in one queue.
#include <thread>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

using RepeatTest = ApiTest;
constexpr uint64_t kSessions = 8;
constexpr int kRepeats = 3;

// What session i reads behind the document that all share, and how long it answers: no two alike.
std::string question(uint64_t i) {
  return document(30 + 37 * i);
}
int64_t answer_tokens(uint64_t i) {
  return 12 + static_cast<int64_t>(i);
}

Answer answer(const Session& fork, uint64_t i) {
  append(fork.get(), question(i));
  return ask(fork.get(), answer_tokens(i));
}

TEST_F(RepeatTest, OneSessionAndEightAtOnce) {
  const Session read = ApiTest::read(document(900));
  std::vector<Answer> expected;
  for (uint64_t i = 0; i < kSessions; ++i) {
    expected.push_back(answer(fork(read.get()), i));
    EXPECT_EQ(expected.back().tokens.size(), static_cast<size_t>(answer_tokens(i)));
    EXPECT_EQ(answer(ApiTest::read(document(900)), i), expected.back()) << "read again, " << i;
  }
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    std::vector<Session> forks;  // made here: a session serves one call at a time
    for (uint64_t i = 0; i < kSessions; ++i) forks.push_back(fork(read.get()));
    std::vector<Answer> got(kSessions);
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < kSessions; ++i) {
      threads.emplace_back([&, i] { got[i] = answer(forks[i], i); });
    }
    for (std::thread& t : threads) t.join();
    for (uint64_t i = 0; i < kSessions; ++i) {
      EXPECT_EQ(got[i], expected[i]) << "session " << i << " beside the others, repeat " << repeat;
    }
  }
}

TEST_F(RepeatTest, EightInOneQueue) {
  const Session read = ApiTest::read(document(900));
  const auto together = [&] {
    std::vector<Session> sessions;
    std::vector<Request> requests;
    const Queue queue = new_queue(model());
    for (uint64_t i = 0; i < kSessions; ++i) {
      sessions.push_back(fork(read.get()));
      append(sessions.back().get(), question(i));
      requests.push_back(new_request(sessions.back().get(), answer_tokens(i)));
      EXPECT_OK(call(reattn_queue_add, queue.get(), requests.back().get(), i));
    }
    return drain(queue.get());
  };
  const auto first = together();
  EXPECT_EQ(first.size(), kSessions);
  for (int repeat = 0; repeat < kRepeats; ++repeat) EXPECT_EQ(together(), first) << repeat;
}

}  // namespace
}  // namespace reattn::test
