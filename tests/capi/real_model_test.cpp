// The same tokens whatever the threads, the pieces, a fork, a queue or a file in between: on the real small model, where
// REATTN_TEST_MODEL names it.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

constexpr int64_t kAnswerTokens = 24;
const std::string kQuestion = "\nWhat does a negative status mean? It means";

std::string document_text() {
  std::ifstream file(REATTN_TEST_DOCUMENT);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A scope of 840, so that the document has a large middle.
Session long_session(const reattn_model* model) {
  reattn_session_options o;
  EXPECT_OK(call(reattn_session_options_init, model, nullptr, &o, sizeof o));
  o.n_local = 512;
  o.n_anchors = 37;
  o.span = 8;
  o.chunk = 256;
  return new_session(model, o);
}

Answer answer(reattn_session* session) {
  append(session, kQuestion);
  return ask(session, kAnswerTokens);
}

TEST(RealModel, SameTokensWhateverTheWay) {
  const char* path = std::getenv("REATTN_TEST_MODEL");
  if (path == nullptr) GTEST_SKIP() << "REATTN_TEST_MODEL names no model";
  const std::string text = document_text();
  const Model one = open_model(path, 1);
  const Session whole = long_session(one.get());
  append(whole.get(), text);
  EXPECT_EQ(ask(whole.get(), 0).reason, REATTN_DONE_READ);
  EXPECT_GT(n_tokens(whole.get()), 2000);

  reattn_cache* snapshot = nullptr;
  ASSERT_OK(call(reattn_cache_snapshot, whole.get(), &snapshot));
  const Cache cache(snapshot);
  const std::string file = directory().path() + "/real.snapshot";
  ASSERT_OK(call(reattn_cache_save, cache.get(), bytes(file), file.size()));
  reattn_session* forked = nullptr;
  ASSERT_OK(call(reattn_session_fork, whole.get(), &forked));
  const Session fork(forked);

  const Answer expected = answer(whole.get());
  EXPECT_EQ(expected.tokens.size(), static_cast<size_t>(kAnswerTokens));
  EXPECT_EQ(answer(fork.get()), expected) << "after a fork";

  const Model two = open_model(path, 2);
  const Session pieces = long_session(two.get());
  for (size_t at = 0; at < text.size(); at += 777) {
    append(pieces.get(), text.substr(at, 777), at + 777 < text.size() ? REATTN_APPEND_MORE : 0);
  }
  EXPECT_EQ(ask(pieces.get(), 0).reason, REATTN_DONE_READ);
  EXPECT_EQ(answer(pieces.get()), expected) << "2 threads, in pieces";

  reattn_cache* opened = nullptr;
  ASSERT_OK(call(reattn_cache_open, two.get(), bytes(file), file.size(), &opened));
  const Cache from_file(opened);
  reattn_session* resumed = nullptr;
  ASSERT_OK(call(reattn_session_create, two.get(), from_file.get(), nullptr, &resumed));
  const Session session(resumed);
  const Session other = test::fork(session.get());
  EXPECT_EQ(answer(session.get()), expected) << "after save and open";

  // Together with others, which ask something else.
  const std::string odd = "\nWhich license is this? It is";
  const Session alone = test::fork(other.get());
  append(alone.get(), odd);
  const Answer odd_expected = ask(alone.get(), 9);
  const Queue queue = new_queue(two.get());
  std::vector<Session> sessions;
  std::vector<Request> requests;
  for (uint64_t i = 0; i < 7; ++i) {
    sessions.push_back(test::fork(other.get()));
    append(sessions.back().get(), i % 2 == 0 ? kQuestion : odd);
    requests.push_back(new_request(sessions.back().get(), i % 2 == 0 ? kAnswerTokens : 9));
    EXPECT_OK(call(reattn_queue_add, queue.get(), requests.back().get(), i));
  }
  const auto together = drain(queue.get());
  EXPECT_EQ(together.size(), 7u);
  for (const auto& [tag, seen] : together) {
    SCOPED_TRACE("in a queue, as number " + std::to_string(tag));
    expect_same(two.get(), seen, tag % 2 == 0 ? expected : odd_expected);
  }
}

}  // namespace
}  // namespace reattn::test
