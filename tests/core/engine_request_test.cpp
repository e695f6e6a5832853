// Requests: events, timeouts, cancels, stop strings, sampling, provenance, log-probabilities.
#include <cmath>
#include <thread>

#include "core/engine/text_out.hpp"
#include "core/select/selector.hpp"
#include "tests/core/engine_fixture.hpp"

namespace reattn::engine {
namespace {

const std::string kDocument = document(900);

TEST_F(EngineTest, TimeoutsDoNotChangeTheAnswer) {
  auto a = session(), b = session();
  a->append_text(kDocument, {});
  b->append_text(kDocument, {});
  Request slow(a, {.max_tokens = 6, .ignore_end = true});
  EXPECT_FALSE(slow.next(0).has_value()) << "two layers take two calls";
  EXPECT_EQ(drain(slow, 0), ask(b, 6));
}

TEST_F(EngineTest, OneOrTwoThreadsGiveTheSameBits) {
  const auto two = Model::open(path(), kernels::make_cpu_device(2), nullptr);
  auto a = session(), b = Session::create(two, small_settings());
  a->append_text(kDocument, {});
  b->append_text(kDocument, {});
  EXPECT_EQ(ask(a, 12), ask(b, 12));
}

TEST_F(EngineTest, CancelWhileReadingKeepsTheCommittedChunks) {
  auto s = session();
  s->append_text(kDocument, {});
  const auto ids = model()->tokenizer().encode(kDocument, false);
  Request request(s, {.max_tokens = 5});
  ASSERT_EQ(request.next(-1)->n_done, 32);
  ASSERT_FALSE(request.next(0).has_value()) << "inside the second chunk";
  request.cancel();
  const auto event = request.next(-1);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->kind, EventKind::kDone);
  EXPECT_EQ(event->reason, DoneReason::kCancelled);
  EXPECT_EQ(s->info().n_tokens, 32);
  EXPECT_EQ(s->info().n_pending, 0);
  EXPECT_EQ(s->info().n_pages, 1);
  EXPECT_FALSE(request.next(-1).has_value());

  // The session goes on as if only that much had been appended.
  auto fresh = session();
  fresh->append_ids(std::span(ids).first(32), {});
  Request reading(fresh, {});
  drain(reading);
  const std::span<const int32_t> rest = std::span(ids).subspan(32);
  s->append_ids(rest, {});
  fresh->append_ids(rest, {});
  EXPECT_EQ(ask(s, 8), ask(fresh, 8));
}

TEST_F(EngineTest, CancelWhileAnsweringCommitsWhatWasDelivered) {
  auto s = read(kDocument);
  const int64_t n = s->info().n_tokens;
  s->append_ids(std::vector<int32_t>{60, 61}, {});
  Request request(s, {.max_tokens = 100, .ignore_end = true});
  ASSERT_EQ(request.next(-1)->kind, EventKind::kPrefill);
  const int32_t first = request.next(-1)->token;
  const int32_t second = request.next(-1)->token;
  ASSERT_FALSE(request.next(0).has_value()) << "inside the second token's step";
  request.cancel();
  EXPECT_EQ(drain(request).reason, DoneReason::kCancelled);
  EXPECT_EQ(s->tokens(n, s->info().n_tokens), (std::vector<int32_t>{60, 61, first, second}));
}

TEST_F(EngineTest, CancelFromAnotherThreadStopsTheReading) {
  auto s = session();
  s->append_text(document(100'000), {});
  Request request(s, {});
  std::thread other([&] {
    while (s->info().n_tokens == 0) std::this_thread::yield();
    request.cancel();
  });
  EXPECT_EQ(drain(request).reason, DoneReason::kCancelled);
  other.join();
  EXPECT_EQ(s->info().n_tokens % 32, 0);
  EXPECT_NO_THROW(s->append_text("more", {}));
}

TEST_F(EngineTest, FreeingARequestEndsIt) {
  auto s = session();
  s->append_text(kDocument, {});
  {
    Request request(s, {});
    request.next(-1);
  }
  EXPECT_EQ(s->info().n_tokens, 32);
  EXPECT_EQ(s->info().n_pending, 0);
  EXPECT_NO_THROW(s->fork());
}

TEST_F(EngineTest, LogitsMayBeAskedForFromAnyThread) {
  auto s = read(kDocument);
  Request request(s, {.max_tokens = 40, .ignore_end = true});
  std::thread other([&] {
    while (!request.done()) EXPECT_EQ(request.logits().size(), 300u);
    EXPECT_EQ(request.logits().size(), 300u);
  });
  drain(request);
  const std::vector<float> at_its_end = request.logits();
  other.join();
  auto fork = s->fork();
  ask(s, 3);
  EXPECT_EQ(request.logits(), at_its_end) << "the request's, not the session's";
  Request again(fork, {});
  EXPECT_EQ(again.logits(), at_its_end);
}

TEST_F(EngineTest, SamplingDependsOnTheSeedAlone) {
  auto s = read(kDocument);
  const Sampling warm{.temperature = 1.5f, .seed = 7};
  const Answer first = ask(s->fork(), 16, warm);
  EXPECT_EQ(ask(s->fork(), 16, warm), first);
  Sampling other = warm;
  other.seed = 8;
  EXPECT_NE(ask(s->fork(), 16, other).tokens, first.tokens);
  EXPECT_NE(ask(s->fork(), 16).tokens, first.tokens);
}

TEST_F(EngineTest, RefusesOptionsOutOfRange) {
  auto s = read(kDocument);
  const auto make = [&](const RequestOptions& o) { return [&s, o] { Request r(s, o); }; };
  expect_error(ErrorCode::kArg, {"max_tokens is -1"}, make({.max_tokens = -1}));
  expect_error(ErrorCode::kArg, {"temperature is nan"}, make({.sampling = {.temperature = NAN}}));
  expect_error(ErrorCode::kArg, {"top_p is 0"}, make({.sampling = {.top_p = 0}}));
  expect_error(ErrorCode::kArg, {"top_k is -2"}, make({.sampling = {.top_k = -2}}));
  expect_error(ErrorCode::kArg, {"min_p is 2"}, make({.sampling = {.min_p = 2}}));
  EXPECT_NO_THROW(ask(s, 1)) << "a refused request leaves the session free";
}

TEST_F(EngineTest, LogprobsOfGivenTokensEqualThoseOfGeneratedOnes) {
  auto s = read(kDocument);
  auto teacher = s->fork();
  const int64_t n = s->info().n_tokens;
  const Answer a = ask(s, 6);
  for (const int32_t id : a.tokens) {
    teacher->append_ids(std::span(&id, 1), {.logprobs = true});
    Request step(teacher, {});
    drain(step);
  }
  const auto given = teacher->logprobs(n, n + 6);
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(given[i], a.logprobs[i], 1e-4) << i;
  EXPECT_EQ(s->logprobs(n, n + 6), a.logprobs);
  EXPECT_TRUE(std::isnan(s->logprobs(3, 4)[0])) << "not asked for";
}

TEST_F(EngineTest, LogprobsInOneAppendCoverEveryTokenButTheFirst) {
  auto s = session();
  s->append_text(kDocument, {.logprobs = true});
  Request request(s, {});
  drain(request);
  const auto all = s->logprobs(0, s->info().n_tokens);
  EXPECT_TRUE(std::isnan(all[0]));
  for (size_t i = 1; i < all.size(); ++i) EXPECT_TRUE(all[i] < 0) << i;
}

TEST_F(EngineTest, RecalledSpansLieInTheMiddle) {
  auto s = read(kDocument);
  s->append_ids(std::vector<int32_t>{70, 71, 72}, {});
  Request request(s, {.max_tokens = 3, .ignore_end = true});
  drain(request);
  const int64_t n = s->info().n_tokens;
  for (const auto scope :
       {RecalledScope::kLastStep, RecalledScope::kPrompt, RecalledScope::kAnswer}) {
    for (int64_t layer = -1; layer < 2; ++layer) {
      const auto spans = request.recalled(layer, scope);
      ASSERT_FALSE(spans.empty());
      for (size_t i = 0; i < spans.size(); ++i) {
        EXPECT_GE(spans[i].begin, 8);
        EXPECT_LE(spans[i].end, n - 64);
        EXPECT_LT(spans[i].begin, spans[i].end);
        if (i > 0) {
          EXPECT_LE(spans[i].votes, spans[i - 1].votes);
        }
      }
    }
  }
  int64_t votes = 0;
  for (const Span& span : request.recalled(0, RecalledScope::kLastStep)) votes += span.votes;
  EXPECT_EQ(votes, 4 * 2) << "one query, four heads, top_k 2, all within eight anchors";
  expect_error(ErrorCode::kArg, {"layer is 2"},
               [&] { request.recalled(2, RecalledScope::kPrompt); });
}

TEST_F(EngineTest, NothingIsRecalledWithoutAnchors) {
  select::Settings none = small_settings();
  none.n_anchors = 0;
  auto s = session(none);
  s->append_text(kDocument, {});
  Request request(s, {.max_tokens = 2, .ignore_end = true});
  drain(request);
  EXPECT_TRUE(request.recalled(-1, RecalledScope::kPrompt).empty());
}

TEST_F(EngineTest, EverySelectionRunsAndStaysDeterministic) {
  for (const auto selection :
       {select::Selection::kFull, select::Selection::kExact, select::Selection::kBlock1}) {
    for (const auto dtype : {kernels::DType::kF32, kernels::DType::kF16}) {
      select::Settings s = small_settings();
      s.selection = selection;
      s.kv_dtype = dtype;
      s.vote_stride = 3;
      auto a = read(document(300), s), b = read(document(300), s);
      EXPECT_EQ(ask(a, 6), ask(b, 6));
    }
  }
}

// Inside the scope nothing is left out, so every selection is full attention.
TEST_F(EngineTest, ShortTextsAreFullAttention) {
  select::Settings full = small_settings();
  full.selection = select::Selection::kFull;
  auto a = read(document(60), full), b = read(document(60));
  ASSERT_LE(a->info().n_tokens, 72 - 4);
  EXPECT_EQ(ask(a, 4), ask(b, 4));
}

TEST(TextOut, CutsAtStopStringsAcrossTokens) {
  TextOut out;
  out.add_stop("END.");
  out.add_stop("\n\n");
  EXPECT_EQ(out.push("one E"), "one ");
  EXPECT_EQ(out.push("N"), "");
  EXPECT_EQ(out.push("tails"), "ENtails");
  EXPECT_EQ(out.push(" two\n"), " two");
  EXPECT_FALSE(out.stopped());
  EXPECT_EQ(out.push("\nthree"), "");
  EXPECT_TRUE(out.stopped());
  EXPECT_EQ(out.push("more"), "");
  EXPECT_EQ(out.finish(), "");
}

TEST(TextOut, HandsOutWhatWasHeldAtTheEnd) {
  TextOut out;
  out.add_stop("<end>");
  EXPECT_EQ(out.push("a <en"), "a ");
  EXPECT_EQ(out.push("\xF0\x9F"), "");
  EXPECT_EQ(out.finish(), "<en\xEF\xBF\xBD");
}

TEST(LayerRecall, MergesTouchingSpansAndSumsVotes) {
  LayerRecall r;
  r.add(10, 3, 4, 0, 100);  // [8, 12)
  r.add(14, 2, 4, 0, 100);  // [12, 16): touches
  r.add(40, 9, 4, 0, 100);  // [38, 42)
  r.add(99, 1, 4, 0, 100);  // clamped to [97, 100)
  r.add(10, 1, 4, 0, 100);  // once more
  const auto spans = r.spans();
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(spans[0].begin, 38);
  EXPECT_EQ(spans[0].votes, 9);
  EXPECT_EQ(spans[1].begin, 8);
  EXPECT_EQ(spans[1].end, 16);
  EXPECT_EQ(spans[1].votes, 6);
  EXPECT_EQ(spans[2].end, 100);
}

TEST(Settings, DefaultsArePublishedOnesAndFitEveryWindow) {
  EXPECT_EQ(select::scope(select::default_settings(8192)), 8192);
  EXPECT_EQ(select::default_settings(8192).n_anchors, 127);
  EXPECT_EQ(select::scope(select::default_settings(131072)), 16416);
  for (int64_t window = 1; window < 40000; window = window * 3 / 2 + 1) {
    EXPECT_NO_THROW(select::check(select::default_settings(window), window)) << window;
  }
}

}  // namespace
}  // namespace reattn::engine
