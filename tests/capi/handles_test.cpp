// Handles: whatever is passed, in whatever order it is freed, from whatever thread.
#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

using HandlesTest = ApiTest;

int64_t probe(const void* handle) {
  auto info = sized<reattn_session_info>();
  return call(reattn_session_get_info, static_cast<const reattn_session*>(handle), &info).status;
}

TEST_F(HandlesTest, NullGarbageAndRealPointersAreRefused) {
  const Session s = session();
  int on_stack = 0;
  const auto on_heap = std::make_unique<int>(0);
  const auto live = reinterpret_cast<uintptr_t>(s.get());
  EXPECT_EQ(probe(nullptr), REATTN_E_HANDLE);
  EXPECT_EQ(probe(&on_stack), REATTN_E_HANDLE);
  EXPECT_EQ(probe(on_heap.get()), REATTN_E_HANDLE);
  EXPECT_EQ(probe(reinterpret_cast<void*>(UINTPTR_MAX)), REATTN_E_HANDLE);
  for (int bit = 0; bit < 64; ++bit) {
    EXPECT_EQ(probe(reinterpret_cast<void*>(live ^ (uintptr_t{1} << bit))), REATTN_E_HANDLE) << bit;
  }
  EXPECT_EQ(probe(s.get()), REATTN_OK);
}

TEST_F(HandlesTest, FreedAndReusedSlotsAreRefused) {
  reattn_session* stale = session().release();
  reattn_session_free(stale);
  EXPECT_EQ(probe(stale), REATTN_E_HANDLE);
  reattn_session_free(stale);
  const Session again = session();  // takes the same slot
  EXPECT_NE(again.get(), stale);
  reattn_session_free(stale);
  EXPECT_EQ(probe(stale), REATTN_E_HANDLE);
  EXPECT_EQ(probe(again.get()), REATTN_OK) << "freeing a stale handle harms nobody";
}

TEST_F(HandlesTest, OtherTypesAreRefusedAndNotFreed) {
  const Session s = session();
  auto* const as_model = reinterpret_cast<reattn_model*>(s.get());
  auto* const as_request = reinterpret_cast<reattn_request*>(s.get());
  auto* const as_cache = reinterpret_cast<reattn_cache*>(s.get());
  auto* const as_error = reinterpret_cast<reattn_error*>(s.get());
  EXPECT_FAILS(REATTN_E_HANDLE, "'model'", call(reattn_model_wait, as_model, int64_t{0}, nullptr));
  EXPECT_FAILS(REATTN_E_HANDLE, "'request'", call(reattn_request_cancel, as_request));
  auto info = sized<reattn_cache_info>();
  EXPECT_FAILS(REATTN_E_HANDLE, "'cache'", call(reattn_cache_get_info, as_cache, &info));
  EXPECT_EQ(reattn_error_code(as_error), REATTN_E_HANDLE);
  EXPECT_EQ(probe(model()), REATTN_E_HANDLE);
  reattn_model_free(as_model);
  reattn_request_free(as_request);
  reattn_cache_free(as_cache);
  reattn_error_free(as_error);
  EXPECT_EQ(probe(s.get()), REATTN_OK);
}

TEST_F(HandlesTest, EveryFunctionRefusesANullHandle) {
  reattn_model_info info = sized<reattn_model_info>();
  reattn_session_options options = sized<reattn_session_options>();
  reattn_memory_plan plan = sized<reattn_memory_plan>();
  reattn_event event = sized<reattn_event>();
  reattn_request_stats stats = sized<reattn_request_stats>();
  reattn_model* const m = nullptr;
  reattn_session* const s = nullptr;
  reattn_request* const r = nullptr;
  reattn_session* out_session = nullptr;
  reattn_cache* out_cache = nullptr;
  reattn_request* out_request = nullptr;
  const uint8_t* const none = nullptr;
  int32_t* const no_ids = nullptr;
  uint8_t* const no_bytes = nullptr;
  const uint64_t zero = 0;
  const int64_t begin = 0;
  const std::vector<Result> results{
      call(reattn_model_cancel_load, m),
      call(reattn_model_get_info, m, &info),
      call(reattn_model_metadata, m, begin, no_bytes, zero, nullptr, no_bytes, zero, nullptr),
      call(reattn_model_estimate, m, nullptr, begin, &plan),
      call(reattn_text_tokenize, m, none, zero, 0, no_ids, zero, nullptr),
      call(reattn_text_detokenize, m, no_ids, zero, no_bytes, zero, nullptr),
      call(reattn_chat_render, m, none, zero, 0, no_bytes, zero, nullptr),
      call(reattn_chat_tokenize, m, none, zero, 0, no_ids, zero, nullptr),
      call(reattn_session_options_init, m, nullptr, &options, sizeof options),
      call(reattn_session_create, m, nullptr, nullptr, &out_session),
      call(reattn_session_append_text, s, none, zero, 0),
      call(reattn_session_append_ids, s, no_ids, zero, 0),
      call(reattn_session_tokens, s, begin, begin, no_ids, zero, nullptr),
      call(reattn_session_text, s, begin, begin, no_bytes, zero, nullptr),
      call(reattn_session_logprobs, s, begin, begin, nullptr, zero, nullptr),
      call(reattn_session_truncate, s, begin),
      call(reattn_session_fork, s, &out_session),
      call(reattn_cache_snapshot, s, &out_cache),
      call(reattn_cache_save, nullptr, bytes("x"), uint64_t{1}),
      call(reattn_cache_open, m, bytes("x"), uint64_t{1}, &out_cache),
      call(reattn_request_create, s, nullptr, &out_request),
      call(reattn_request_add_stop, r, bytes("x"), uint64_t{1}),
      call(reattn_request_set_json_schema, r, bytes("{}"), uint64_t{2}),
      call(reattn_request_next, r, begin, &event, no_bytes, zero, nullptr),
      call(reattn_request_cancel, r),
      call(reattn_request_logits, r, nullptr, zero, nullptr),
      call(reattn_request_recalled, r, begin, REATTN_RECALLED_PROMPT, nullptr, zero, nullptr),
      call(reattn_request_get_stats, r, &stats)};
  for (const Result& result : results) EXPECT_EQ(result.status, REATTN_E_HANDLE) << result;
  reattn_model_free(nullptr);
  reattn_session_free(nullptr);
  reattn_cache_free(nullptr);
  reattn_request_free(nullptr);
}

TEST_F(HandlesTest, AnyFreeOrderWorks) {
  std::vector<int> order{0, 1, 2, 3};  // model, session, snapshot, request
  do {
    Model m = open_model(model_path());
    Session s = new_session(m.get());
    append(s.get(), document(100));
    ask(s.get(), 0);
    reattn_cache* cache = nullptr;
    ASSERT_OK(call(reattn_cache_snapshot, s.get(), &cache));
    Cache c(cache);
    append(s.get(), document(100));
    Request r = new_request(s.get(), 3);
    bool has_request = true;
    for (const int which : order) {
      if (which == 0) m.reset();
      if (which == 1) s.reset();
      if (which == 2) c.reset();
      if (which == 3) r.reset(), has_request = false;
      if (has_request) {
        reattn_status status;
        next(r.get(), &status);
        EXPECT_EQ(status, REATTN_OK) << "a request keeps what it needs";
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(HandlesTest, FreeingDuringNextLetsThatCallEnd) {
  for (int i = 0; i < 10; ++i) {
    Session s = session();
    append(s.get(), document(20'000));
    reattn_request* request = new_request(s.get(), 0).release();
    std::atomic<bool> started{false};
    std::thread reader([&] {
      reattn_status status = REATTN_OK;
      while (status != REATTN_E_HANDLE && status != REATTN_END) {
        auto event = sized<reattn_event>();
        status =
            call(reattn_request_next, request, int64_t{-1}, &event, nullptr, uint64_t{0}, nullptr)
                .status;
        started = true;
      }
    });
    while (!started) std::this_thread::yield();
    reattn_request_free(request);
    s.reset();
    reader.join();
  }
}

TEST_F(HandlesTest, ManyThreadsMakeUseAndFree) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) {
        Session s = session();
        EXPECT_EQ(probe(s.get()), REATTN_OK);
        reattn_session* const raw = s.get();
        s.reset();
        EXPECT_EQ(probe(raw), REATTN_E_HANDLE);
      }
    });
  }
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace reattn::test
