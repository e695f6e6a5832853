// Sixteen threads over one model, its snapshot and each other's sessions and requests, which they fork, pull, cancel and free: every
// call gives a documented status, and an answer that nobody disturbed is the answer.
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

constexpr int kThreads = 16;
constexpr int kRounds = 6;
constexpr int64_t kAnswer = 3;
const std::string kQuestion = "\nWhich? ";

class Threads : public ApiTest {};

// What threads may reach of each other's: handles that may be in use, or freed already.
struct Shared {
  std::array<std::atomic<reattn_session*>, kThreads> sessions{};
  std::array<std::atomic<reattn_request*>, kThreads> requests{};
};

bool is_one_of(reattn_status status, std::initializer_list<reattn_status> allowed) {
  return std::find(allowed.begin(), allowed.end(), status) != allowed.end();
}

// The statuses of a call on an object that other threads use and free.
bool is_documented(reattn_status status) {
  return is_one_of(status, {REATTN_OK, REATTN_END, REATTN_TIMEOUT, REATTN_E_BUSY, REATTN_E_HANDLE,
                            REATTN_E_ARG});
}

reattn_status pull(reattn_request* request, int64_t timeout_ms, std::vector<int32_t>* out) {
  auto event = sized<reattn_event>();
  std::array<uint8_t, 256> text;
  uint64_t n = 0;
  const reattn_status status =
      reattn_request_next(request, timeout_ms, &event, text.data(), text.size(), &n, nullptr);
  if (status == REATTN_OK && event.kind == REATTN_EVENT_TEXT && out) out->push_back(event.token);
  return status;
}

TEST_F(Threads, SixteenOverOneModel) {
  const Model shared_model = open_model(model_path(), 2);
  Session base = new_session(shared_model.get());
  append(base.get(), document(160));
  ask(base.get(), 0);
  reattn_cache* raw = nullptr;
  ASSERT_OK(call(reattn_cache_snapshot, base.get(), &raw));
  const Cache cache(raw);
  append(base.get(), kQuestion);
  const std::vector<int32_t> expected = ask(base.get(), kAnswer).tokens;
  base.reset();

  Shared shared;
  std::atomic<int> n_answers{0}, n_disturbances{0};
  const auto work = [&](int self) {
    std::mt19937 random(static_cast<uint32_t>(self));
    const auto other = [&] { return random() % kThreads; };
    for (int round = 0; round < kRounds; ++round) {
      // A session of its own, answered undisturbed.
      reattn_session* made = nullptr;
      ASSERT_EQ(reattn_session_create(shared_model.get(), cache.get(), nullptr, &made, nullptr),
                REATTN_OK);
      const Session own(made);
      reattn_session* forked = nullptr;
      ASSERT_EQ(reattn_session_fork(own.get(), &forked, nullptr), REATTN_OK);
      const Session own_fork(forked);
      std::vector<int32_t> tokens;
      append(own_fork.get(), kQuestion);
      {
        const Request r = new_request(own_fork.get(), kAnswer);
        while (pull(r.get(), -1, &tokens) == REATTN_OK) {
        }
      }
      EXPECT_EQ(tokens, expected);
      ++n_answers;

      // A session and a request that all may touch.
      reattn_session* open_to_all = nullptr;
      ASSERT_EQ(reattn_session_fork(own.get(), &open_to_all, nullptr), REATTN_OK);
      append(open_to_all, kQuestion);
      reattn_session_free(shared.sessions[static_cast<size_t>(self)].exchange(open_to_all));
      reattn_request* request = nullptr;
      const reattn_status status = reattn_request_create(open_to_all, nullptr, &request, nullptr);
      EXPECT_TRUE(is_documented(status)) << reattn_status_name(status);
      if (status == REATTN_OK) {
        reattn_request_free(shared.requests[static_cast<size_t>(self)].exchange(request));
      }
      for (int i = 0; i < 12; ++i) {
        reattn_request* r = shared.requests[other()].load();
        reattn_session* s = shared.sessions[other()].load();
        reattn_status got = REATTN_OK;
        switch (random() % 7) {
          case 0:
            got = reattn_request_cancel(r, nullptr);
            break;
          case 1:
          case 2:
            got = pull(r, 0, nullptr);
            break;
          case 3: {
            reattn_session* out = nullptr;
            got = reattn_session_fork(s, &out, nullptr);
            reattn_session_free(out);
            break;
          }
          case 4: {
            auto info = sized<reattn_session_info>();
            got = reattn_session_get_info(s, &info, nullptr);
            break;
          }
          case 5: {
            auto stats = sized<reattn_request_stats>();
            got = reattn_request_get_stats(r, &stats, nullptr);
            break;
          }
          default:
            reattn_request_free(r);
            if (i % 4 == 0) reattn_session_free(s);
        }
        EXPECT_TRUE(is_documented(got)) << reattn_status_name(got);
        ++n_disturbances;
      }
      if (round % 3 == self % 3) {  // models come and go meanwhile, some before they are loaded
        reattn_model_options options;
        reattn_model_options_init(&options, sizeof options, nullptr);
        options.device = REATTN_DEVICE_CPU;
        options.n_threads = 1;
        reattn_model* m = nullptr;
        ASSERT_EQ(
            reattn_model_open(bytes(model_path()), model_path().size(), &options, &m, nullptr),
            REATTN_OK);
        if (self % 2 == 0) {
          EXPECT_EQ(reattn_model_wait(m, -1, nullptr, nullptr), REATTN_OK);
        }
        reattn_model_free(m);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& t : threads) t.join();
  for (auto& r : shared.requests) reattn_request_free(r.load());
  for (auto& s : shared.sessions) reattn_session_free(s.load());
  EXPECT_EQ(n_answers.load(), kThreads * kRounds);
  EXPECT_EQ(n_disturbances.load(), kThreads * kRounds * 12);
}

}  // namespace
}  // namespace reattn::test
