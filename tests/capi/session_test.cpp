// Sessions: settings, appending, looking back, truncating and forking.
#include <atomic>
#include <cmath>
#include <thread>

#include "tests/capi/api.hpp"

namespace reattn::test {
namespace {

using namespace std::string_literals;

using SessionTest = ApiTest;

const std::string kQuestion = "\nWhat is the code? ";

reattn_session_info info_of(const reattn_session* session) {
  auto info = sized<reattn_session_info>();
  EXPECT_OK(call(reattn_session_get_info, session, &info));
  return info;
}

Result try_append(reattn_session* session, std::string_view text, int32_t flags = 0) {
  return call(reattn_session_append_text, session, bytes(text), text.size(), flags);
}

TEST_F(SessionTest, KeepsIdsAndTextOfWhatItRead) {
  const std::string text = "naïve 😀 日本語 \0 zero, <|im_end|>"s;
  const Session s = session();
  append(s.get(), text);
  EXPECT_GT(info_of(s.get()).n_pending, 0);
  EXPECT_EQ(n_tokens(s.get()), 0);
  EXPECT_EQ(ask(s.get(), 0).reason, REATTN_DONE_READ);
  const reattn_session_info info = info_of(s.get());
  EXPECT_EQ(info.n_pending, 0);
  EXPECT_EQ(info.page_tokens, 512);
  EXPECT_EQ(info.n_pages, 1);
  EXPECT_EQ(info.n_shared_pages, 0);
  EXPECT_GT(info.kv_bytes, 0u);

  const int64_t n = info.n_tokens;
  uint64_t needed = 0;
  EXPECT_FAILS(REATTN_E_BUFFER, "'ids'",
               call(reattn_session_tokens, s.get(), int64_t{0}, n, nullptr, uint64_t{0}, &needed));
  EXPECT_EQ(needed, static_cast<uint64_t>(n));
  std::string back(256, '?');
  EXPECT_OK(call(reattn_session_text, s.get(), int64_t{0}, n,
                 reinterpret_cast<uint8_t*>(back.data()), back.size(), &needed));
  back.resize(needed);
  EXPECT_EQ(back, text);
  const std::vector<int32_t> ids = tokens(s.get());
  for (const int32_t id : ids) EXPECT_NE(id, kTinyImEnd) << "text stays text";
  EXPECT_FAILS(
      REATTN_E_ARG, "",
      call(reattn_session_text, s.get(), int64_t{0}, n + 1, nullptr, uint64_t{0}, &needed));
  EXPECT_FAILS(REATTN_E_ARG, "",
               call(reattn_session_tokens, s.get(), int64_t{-1}, n, nullptr, uint64_t{0}, &needed));
  EXPECT_FAILS(
      REATTN_E_ARG, "",
      call(reattn_session_tokens, s.get(), int64_t{2}, int64_t{1}, nullptr, uint64_t{0}, &needed));
}

TEST_F(SessionTest, PiecesAreOneAppend) {
  const std::string text = document(300) + "naïve 😀 " + document(300);
  const Session whole = read(text);
  append(whole.get(), kQuestion);
  const Answer expected = ask(whole.get(), 8);
  for (const size_t piece : {1u, 7u, 100u}) {
    const Session s = session();
    for (size_t at = 0; at < text.size(); at += piece) {
      const bool more = at + piece < text.size();
      append(s.get(), std::string_view(text).substr(at, piece), more ? REATTN_APPEND_MORE : 0);
    }
    ask(s.get(), 0);
    append(s.get(), kQuestion);
    EXPECT_EQ(ask(s.get(), 8), expected) << piece;
  }
}

TEST_F(SessionTest, BadInputIsRefusedAndNothingIsQueued) {
  const Session s = session();
  EXPECT_FAILS(REATTN_E_ARG, "offset 3", try_append(s.get(), "abc\xFFxyz"));
  EXPECT_FAILS(REATTN_E_ARG, "", try_append(s.get(), "ab\xF0\x9F"));
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "flags 8", try_append(s.get(), "abc", 8));
  EXPECT_FAILS(REATTN_E_ARG, "'text' is NULL",
               call(reattn_session_append_text, s.get(), nullptr, uint64_t{3}, 0));
  const std::vector<int32_t> bad{1, 300}, negative{-1};
  EXPECT_FAILS(REATTN_E_ARG, "ids[1] is 300",
               call(reattn_session_append_ids, s.get(), bad.data(), uint64_t{2}, 0));
  EXPECT_FAILS(REATTN_E_ARG, "ids[0] is -1",
               call(reattn_session_append_ids, s.get(), negative.data(), uint64_t{1}, 0));
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "flags 2",
               call(reattn_session_append_ids, s.get(), bad.data(), uint64_t{1},
                    int32_t{REATTN_APPEND_SPECIAL}));
  EXPECT_FAILS(REATTN_E_ARG, "'ids' has",
               call(reattn_session_append_ids, s.get(), bad.data(), UINT64_MAX / 4, 0));
  EXPECT_EQ(info_of(s.get()).n_pending, 0);
}

TEST_F(SessionTest, SpecialTokensOnlyWhenAskedFor) {
  const Session s = session();
  append(s.get(), "<|im_end|>", REATTN_APPEND_SPECIAL);
  ask(s.get(), 0);
  EXPECT_EQ(tokens(s.get()), std::vector<int32_t>{kTinyImEnd});
}

TEST_F(SessionTest, AnEmptyPromptIsRefused) {
  const Session s = session();
  append(s.get(), "");
  reattn_request* request = nullptr;
  EXPECT_FAILS(REATTN_E_ARG, "empty", call(reattn_request_create, s.get(), nullptr, &request));
  append(s.get(), "begun ", REATTN_APPEND_MORE);
  EXPECT_FAILS(REATTN_E_ARG, "MORE", call(reattn_request_create, s.get(), nullptr, &request));
  EXPECT_EQ(request, nullptr);
}

TEST_F(SessionTest, SettingsOutOfRangeAreNamed) {
  const auto refuses = [&](const char* fragment, auto change) {
    reattn_session_options o = small_options(model());
    change(o);
    reattn_session* out = nullptr;
    EXPECT_FAILS(REATTN_E_ARG, fragment, call(reattn_session_create, model(), nullptr, &o, &out));
    EXPECT_EQ(out, nullptr);
  };
  refuses("512", [](auto& o) { o.n_anchors = 114; });  // the scope and the window
  refuses("n_local is 31", [](auto& o) { o.n_local = 31; });
  refuses("n_global is -1", [](auto& o) { o.n_global = -1; });
  refuses("top_k is 17", [](auto& o) { o.top_k = 17; });
  refuses("span is 0", [](auto& o) { o.span = 0; });
  refuses("vote_stride is 0", [](auto& o) { o.vote_stride = 0; });
  refuses("chunk is 0", [](auto& o) { o.chunk = 0; });
  refuses("max_tokens is -5", [](auto& o) { o.max_tokens = -5; });
  refuses("selection is 3", [](auto& o) { o.selection = 3; });
  refuses("kv_dtype is 4", [](auto& o) { o.kv_dtype = 4; });
  refuses("scoring is native", [](auto& o) { o.kv_dtype = REATTN_KV_INT8; });
  refuses("scoring is 2", [](auto& o) { o.scoring = 2; });
  refuses("scoring is -1", [](auto& o) { o.scoring = -1; });
  refuses("n_local is", [](auto& o) { o.n_local = INT64_MAX; });
}

TEST_F(SessionTest, ScoringIsNativeUnlessAskedForInInt8) {
  reattn_session_options o = small_options(model());
  EXPECT_EQ(o.scoring, REATTN_SCORING_NATIVE);
  auto native = sized<reattn_memory_plan>(), int8 = sized<reattn_memory_plan>();
  EXPECT_OK(call(reattn_model_estimate, model(), &o, int64_t{100}, &native));
  o.scoring = REATTN_SCORING_INT8;
  EXPECT_OK(call(reattn_model_estimate, model(), &o, int64_t{100}, &int8));
  EXPECT_GT(int8.kv_bytes, native.kv_bytes) << "keys once more";
  o.struct_size = offsetof(reattn_session_options, scoring);  // an older caller: native
  EXPECT_OK(call(reattn_model_estimate, model(), &o, int64_t{100}, &int8));
  EXPECT_EQ(int8.kv_bytes, native.kv_bytes);
  o = small_options(model());
  o.reserved = 1;
  reattn_session* out = nullptr;
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "reserved is 1",
               call(reattn_session_create, model(), nullptr, &o, &out));
  EXPECT_EQ(out, nullptr);
}

TEST_F(SessionTest, TheCpuKeepsNoBf16) {
  if (test_device() != REATTN_DEVICE_CPU) GTEST_SKIP() << "a GPU does";
  reattn_session_options o = small_options(model());
  o.kv_dtype = REATTN_KV_BF16;
  reattn_session* out = nullptr;
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "kv_dtype is BF16",
               call(reattn_session_create, model(), nullptr, &o, &out));
  EXPECT_EQ(out, nullptr);
  auto plan = sized<reattn_memory_plan>();
  EXPECT_FAILS(REATTN_E_UNSUPPORTED, "kv_dtype is BF16",
               call(reattn_model_estimate, model(), &o, int64_t{100}, &plan));
}

TEST_F(SessionTest, DefaultsNeedNoOptions) {
  reattn_session* out = nullptr;
  ASSERT_OK(call(reattn_session_create, model(), nullptr, nullptr, &out));
  const Session s(out);
  append(s.get(), document(400));
  EXPECT_EQ(ask(s.get(), 3).tokens.size(), 3u);
}

TEST_F(SessionTest, CapacityIsCheckedBeforeReading) {
  reattn_session_options o = small_options(model());
  o.max_tokens = 40;
  const Session small = new_session(model(), o);
  EXPECT_FAILS(REATTN_E_ARG, "max_tokens of 40", try_append(small.get(), document(500)));
  EXPECT_EQ(info_of(small.get()).n_pending, 0);
  const std::vector<int32_t> ids(38, 50);
  EXPECT_OK(call(reattn_session_append_ids, small.get(), ids.data(), ids.size(), 0));
  const Answer a = ask(small.get(), 10);
  EXPECT_EQ(a.reason, REATTN_DONE_FULL);
  EXPECT_EQ(n_tokens(small.get()), 40);

  o = small_options(model());
  o.selection = REATTN_SELECTION_FULL;
  const Session full = new_session(model(), o);
  EXPECT_FAILS(REATTN_E_ARG, "trained window", try_append(full.get(), document(3000)));

  // Ids for terabytes of cache: refused from the counts alone, and nothing is lost.
  const Session huge = session();
  const std::vector<int32_t> many(2'000'000, 5);
  Result r{REATTN_OK, ""};
  int64_t n_queued = 0;
  for (int i = 0; i < 1000 && r.status == REATTN_OK; ++i) {
    n_queued = info_of(huge.get()).n_pending;
    r = call(reattn_session_append_ids, huge.get(), many.data(), many.size(), 0);
  }
  EXPECT_EQ(r.status, test_device() == REATTN_DEVICE_CPU ? REATTN_E_OOM_HOST : REATTN_E_OOM_DEVICE)
      << r;
  EXPECT_EQ(info_of(huge.get()).n_pending, n_queued);
}

TEST_F(SessionTest, LogprobsOfGivenTokensEqualThoseOfGeneratedOnes) {
  const Session s = read(document(400));
  const int64_t n = n_tokens(s.get());
  reattn_session* forked = nullptr;
  ASSERT_OK(call(reattn_session_fork, s.get(), &forked));
  const Session teacher(forked);
  const Answer a = ask(s.get(), 4);
  for (const int32_t id : a.tokens) {
    EXPECT_OK(call(reattn_session_append_ids, teacher.get(), &id, uint64_t{1},
                   int32_t{REATTN_APPEND_LOGPROBS}));
    ask(teacher.get(), 0);
  }
  std::vector<float> given(4), generated(4);
  uint64_t needed = 0;
  EXPECT_OK(
      call(reattn_session_logprobs, teacher.get(), n, n + 4, given.data(), given.size(), &needed));
  EXPECT_EQ(needed, 4u);
  EXPECT_OK(call(reattn_session_logprobs, s.get(), n, n + 4, generated.data(), generated.size(),
                 nullptr));
  EXPECT_EQ(generated, a.logprobs);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(given[i], generated[i], 1e-4) << i;
  EXPECT_OK(call(reattn_session_logprobs, s.get(), int64_t{0}, int64_t{4}, given.data(),
                 given.size(), nullptr));
  for (const float x : given) EXPECT_TRUE(std::isnan(x)) << "not asked for";
}

TEST_F(SessionTest, TruncateGoesBack) {
  const Session s = read(document(900));
  const int64_t n = n_tokens(s.get());
  append(s.get(), kQuestion);
  const Answer first = ask(s.get(), 6);
  EXPECT_OK(call(reattn_session_truncate, s.get(), n));
  EXPECT_EQ(n_tokens(s.get()), n);
  append(s.get(), kQuestion);
  EXPECT_EQ(ask(s.get(), 6), first);
  EXPECT_FAILS(REATTN_E_ARG, "", call(reattn_session_truncate, s.get(), n_tokens(s.get()) + 1));
  EXPECT_FAILS(REATTN_E_ARG, "", call(reattn_session_truncate, s.get(), int64_t{-1}));
}

TEST_F(SessionTest, ForksShareAndDiffer) {
  const Session s = read(document(900));
  reattn_session* raw = nullptr;
  ASSERT_OK(call(reattn_session_fork, s.get(), &raw));
  const Session f(raw);
  EXPECT_EQ(info_of(f.get()).n_shared_pages, info_of(f.get()).n_pages);
  append(f.get(), "something else");
  ask(f.get(), 3);
  append(s.get(), kQuestion);
  const Session fresh = read(document(900));
  append(fresh.get(), kQuestion);
  EXPECT_EQ(ask(s.get(), 6), ask(fresh.get(), 6));
}

TEST_F(SessionTest, ALiveRequestMakesItBusy) {
  const Session s = read(document(200));
  append(s.get(), kQuestion);
  Request r = new_request(s.get(), 2);
  reattn_session* out = nullptr;
  reattn_cache* cache = nullptr;
  reattn_request* request = nullptr;
  EXPECT_FAILS(REATTN_E_BUSY, "", try_append(s.get(), "x"));
  EXPECT_FAILS(REATTN_E_BUSY, "", call(reattn_session_truncate, s.get(), int64_t{0}));
  EXPECT_FAILS(REATTN_E_BUSY, "", call(reattn_session_fork, s.get(), &out));
  EXPECT_FAILS(REATTN_E_BUSY, "", call(reattn_cache_snapshot, s.get(), &cache));
  EXPECT_FAILS(REATTN_E_BUSY, "", call(reattn_request_create, s.get(), nullptr, &request));
  EXPECT_EQ(drain(r.get()).reason, REATTN_DONE_LENGTH);
  append(s.get(), "x");
  EXPECT_FAILS(REATTN_E_BUSY, "queued", call(reattn_session_fork, s.get(), &out));
}

TEST_F(SessionTest, ReadersLookWhileItReads) {
  const Session s = session();
  append(s.get(), document(3000));
  Request r = new_request(s.get(), 4);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    int64_t last = 0;
    while (!done) {
      const int64_t n = n_tokens(s.get());
      EXPECT_GE(n, last);
      last = n;
      tokens(s.get());
      auto stats = sized<reattn_request_stats>();
      EXPECT_OK(call(reattn_request_get_stats, r.get(), &stats));
      std::vector<reattn_span> spans(1000);
      EXPECT_OK(call(reattn_request_recalled, r.get(), int64_t{REATTN_ALL_LAYERS},
                     int32_t{REATTN_RECALLED_PROMPT}, spans.data(), spans.size(), nullptr));
    }
  });
  drain(r.get());
  done = true;
  reader.join();
}

}  // namespace
}  // namespace reattn::test
