// Sessions: appending in pieces, truncating, forking; all must leave the answer what it was.
#include <thread>

#include "tests/core/engine_fixture.hpp"

namespace reattn::engine {
namespace {

const std::string kDocument = document(900);
const std::string kQuestion = "\nWhat is the code? ";

TEST_F(EngineTest, ReadsAndAnswers) {
  auto s = read(kDocument);
  EXPECT_GT(s->info().n_tokens, 200);
  EXPECT_EQ(s->info().n_pending, 0);
  EXPECT_EQ(s->text(0, s->info().n_tokens), kDocument);
  s->append_text(kQuestion, {});
  const Answer a = ask(s, 12);
  EXPECT_EQ(a.tokens.size(), 12u);
  EXPECT_EQ(a.reason, DoneReason::kLength);
  const auto tail = s->tokens(s->info().n_tokens - 12, s->info().n_tokens);
  EXPECT_EQ(tail, a.tokens) << "every delivered token is committed";
}

TEST_F(EngineTest, PiecesOfAnySizeGiveTheSameAnswer) {
  const std::string text = kDocument + " naïve 😀 日本語 " + kDocument;
  auto whole = read(text);
  whole->append_text(kQuestion, {});
  const Answer expected = ask(whole, 10);
  for (const size_t piece : {1u, 7u, 64u, 1000u}) {
    auto s = session();
    for (size_t at = 0; at < text.size(); at += piece) {
      s->append_text(std::string_view(text).substr(at, piece), {.more = at + piece < text.size()});
    }
    Request reading(s, {});
    drain(reading);
    s->append_text(kQuestion, {});
    EXPECT_EQ(ask(s, 10), expected) << "pieces of " << piece;
  }
}

TEST_F(EngineTest, IdsInPiecesEqualIdsAtOnce) {
  const auto ids = model()->tokenizer().encode(kDocument, false);
  auto whole = session(), pieces = session();
  whole->append_ids(ids, {});
  const size_t n = ids.size() / 3;
  pieces->append_ids(std::span(ids).first(n), {.more = true});
  EXPECT_EQ(pieces->info().n_pending, static_cast<int64_t>(n));
  pieces->append_ids(std::span(ids).subspan(n), {});
  EXPECT_EQ(ask(whole, 8), ask(pieces, 8));
}

TEST_F(EngineTest, AppendsAreCutIntoChunksFromTheirOwnStart) {
  auto s = session();
  const std::vector<int32_t> ids(70, 40);
  s->append_ids(ids, {});
  s->append_ids(std::span(ids).first(33), {});
  Request request(s, {});
  std::vector<int64_t> done;
  while (const auto e = request.next(-1)) {
    if (e->kind == EventKind::kPrefill) done.push_back(e->n_done);
    EXPECT_EQ(e->n_total, 103);
  }
  EXPECT_EQ(done, (std::vector<int64_t>{32, 64, 70, 102, 103}));
}

TEST_F(EngineTest, ForkSharesPagesAndGivesTheSameAnswer) {
  auto s = read(kDocument);
  auto f = s->fork();
  EXPECT_EQ(f->info().n_shared_pages, f->info().n_pages);
  s->append_text(kQuestion, {});
  f->append_text(kQuestion, {});
  const Answer first = ask(s, 10);
  EXPECT_EQ(ask(f, 10), first);
  EXPECT_EQ(s->info().n_shared_pages, s->info().n_pages - 1) << "the last page was copied";
  EXPECT_EQ(s->tokens(0, s->info().n_tokens), f->tokens(0, f->info().n_tokens));
}

TEST_F(EngineTest, AForkThatWritesLeavesTheOtherUntouched) {
  auto s = read(kDocument);
  auto untouched = read(kDocument);
  auto f = s->fork();
  f->append_text(document(300) + "something else entirely", {});
  ask(f, 5);
  s->append_text(kQuestion, {});
  untouched->append_text(kQuestion, {});
  EXPECT_EQ(ask(s, 10), ask(untouched, 10));
}

TEST_F(EngineTest, TruncateGoesBackToWhatWasThere) {
  auto s = read(kDocument);
  const int64_t n = s->info().n_tokens;
  auto reference = s->fork();
  s->append_text("a wrong turn", {});
  ask(s, 20);
  s->truncate(n);
  EXPECT_EQ(s->info().n_tokens, n);
  s->append_text(kQuestion, {});
  reference->append_text(kQuestion, {});
  EXPECT_EQ(ask(s, 10), ask(reference, 10));
}

TEST_F(EngineTest, GeneratesAfterTruncateWithoutNewInput) {
  auto s = read(kDocument);
  s->truncate(s->info().n_tokens - 5);
  const int64_t n = s->info().n_tokens;
  EXPECT_EQ(ask(s, 4).tokens.size(), 4u);
  EXPECT_EQ(s->info().n_tokens, n + 4);
}

TEST_F(EngineTest, TruncateDropsWhatIsQueued) {
  auto s = read(kDocument);
  const int64_t n = s->info().n_tokens;
  s->append_text("queued", {});
  s->append_text("begun", {.more = true});
  EXPECT_GT(s->info().n_pending, 0);
  s->truncate(n);
  EXPECT_EQ(s->info().n_pending, 0);
  EXPECT_NO_THROW(s->fork());
}

TEST_F(EngineTest, RefusesBadInputAndKeepsWhatWasQueued) {
  auto s = session();
  s->append_text("good", {});
  const int64_t pending = s->info().n_pending;
  const std::vector<int32_t> bad{1, 300};
  expect_error(ErrorCode::kArg, {"ids[1] is 300"}, [&] { s->append_ids(bad, {}); });
  expect_error(ErrorCode::kArg, {"offset 3"}, [&] { s->append_text("abc\xFFxyz", {}); });
  expect_error(ErrorCode::kArg, {"ends inside the character"},
               [&] { s->append_text("ab\xF0\x9F", {}); });
  EXPECT_EQ(s->info().n_pending, pending);

  s->append_text("half \xF0\x9F", {.more = true});
  expect_error(ErrorCode::kArg, {"offset 5"}, [&] { s->append_text("no", {.more = true}); });
  expect_error(ErrorCode::kArg, {"MORE"}, [&] { Request r(s, {}); });
  s->append_text("\x98\x80", {});
  Request request(s, {});
  drain(request);
  EXPECT_EQ(s->text(0, s->info().n_tokens), "goodhalf 😀");
}

TEST_F(EngineTest, RefusesMoreThanFits) {
  select::Settings s = small_settings();
  s.max_tokens = 40;
  auto small = session(s);
  expect_error(ErrorCode::kArg, {"max_tokens of 40"}, [&] { small->append_text(kDocument, {}); });
  EXPECT_EQ(small->info().n_pending, 0);
  small->append_ids(std::vector<int32_t>(38, 50), {});
  EXPECT_EQ(ask(small, 10).reason, DoneReason::kFull);
  EXPECT_EQ(small->info().n_tokens, 40);

  select::Settings full = small_settings();
  full.selection = select::Selection::kFull;
  auto window = session(full);
  expect_error(ErrorCode::kArg, {"trained window"},
               [&] { window->append_text(document(3000), {}); });

  auto huge = session();
  const std::vector<int32_t> ids(2'000'000, 5);
  expect_error(ErrorCode::kOomHost, {"are free"}, [&] {
    for (int i = 0; i < 1000; ++i)
      huge->append_ids(ids, {});  // terabytes of cache, never allocated
  });
}

TEST_F(EngineTest, RefusesAnEmptyPrompt) {
  auto s = session();
  expect_error(ErrorCode::kArg, {"empty"}, [&] { Request r(s, {.max_tokens = 5}); });
  s->append_text("", {});
  expect_error(ErrorCode::kArg, {"empty"}, [&] { Request r(s, {.max_tokens = 5}); });
}

TEST_F(EngineTest, IsBusyWhileARequestLives) {
  auto s = read(kDocument);
  s->append_text(kQuestion, {});
  Request request(s, {.max_tokens = 3, .ignore_end = true});
  expect_error(ErrorCode::kBusy, {"request is live"}, [&] { s->append_text("x", {}); });
  expect_error(ErrorCode::kBusy, {"request is live"}, [&] { s->truncate(0); });
  expect_error(ErrorCode::kBusy, {"request is live"}, [&] { s->fork(); });
  expect_error(ErrorCode::kBusy, {"request is live"}, [&] { s->snapshot(); });
  expect_error(ErrorCode::kBusy, {"request is live"}, [&] { Request second(s, {}); });
  drain(request);
  EXPECT_NO_THROW(s->append_text("x", {}));
  expect_error(ErrorCode::kBusy, {"queued"}, [&] { s->fork(); });
}

TEST_F(EngineTest, SettingsAreCheckedWithBothNumbers) {
  const auto with = [&](auto change) {
    select::Settings s = small_settings();
    change(s);
    return [s] { session(s); };
  };
  expect_error(ErrorCode::kArg, {"= 528, beyond the model's trained window of 512"},
               with([](auto& s) { s.n_anchors = 114; }));
  expect_error(ErrorCode::kArg, {"n_local is 31, below chunk 32"},
               with([](auto& s) { s.n_local = 31; }));
  expect_error(ErrorCode::kArg, {"top_k is 17"}, with([](auto& s) { s.top_k = 17; }));
  expect_error(ErrorCode::kArg, {"top_k is 0"}, with([](auto& s) { s.top_k = 0; }));
  expect_error(ErrorCode::kArg, {"span is 0"}, with([](auto& s) { s.span = 0; }));
  expect_error(ErrorCode::kArg, {"vote_stride is 0"}, with([](auto& s) { s.vote_stride = 0; }));
  expect_error(ErrorCode::kArg, {"chunk is 0"}, with([](auto& s) { s.chunk = 0; }));
  expect_error(ErrorCode::kArg, {"selection is 7"},
               with([](auto& s) { s.selection = static_cast<select::Selection>(7); }));
}

TEST_F(EngineTest, ReadersMayLookWhileItReads) {
  auto s = session();
  s->append_text(document(4000), {});
  Request request(s, {});
  std::thread reader([&] {
    while (!request.done()) {
      const SessionInfo info = s->info();
      if (info.n_tokens > 0) {
        EXPECT_EQ(s->tokens(0, 1).size(), 1u);
      }
      request.stats();
      request.recalled(-1, RecalledScope::kPrompt);
    }
  });
  drain(request);
  reader.join();
}

}  // namespace
}  // namespace reattn::engine
