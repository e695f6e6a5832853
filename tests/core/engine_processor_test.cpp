// What changes logits before a token is sampled: repetition penalty and JSON schema, alone and in a queue.
#include <algorithm>
#include <cmath>
#include <map>
#include <regex>

#include "core/engine/queue.hpp"
#include "tests/core/engine_fixture.hpp"

namespace reattn::engine {
namespace {

const std::string kDocument = document(300);

constexpr const char* kSchema = R"({"type": "object",
  "properties": {"room": {"enum": ["attic", "cellar"]}, "code": {"type": "integer", "minimum": 10, "maximum": 99}},
  "required": ["room", "code"], "additionalProperties": false})";

bool fits(const std::string& text) {
  static const std::regex kForm(
      R"re(\s*\{\s*"room"\s*:\s*"(attic|cellar)"\s*,\s*"code"\s*:\s*[1-9][0-9]\s*\})re");
  return std::regex_match(text, kForm);
}

Answer ask_for_json(const std::shared_ptr<Session>& session, const char* schema,
                    const Sampling& sampling = {}) {
  Request request(session, {.max_tokens = 400, .sampling = sampling});
  request.set_json_schema(schema);
  return drain(request);
}

float logprob_of(const std::vector<float>& logits, int32_t id) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x));
  return static_cast<float>(logits[static_cast<size_t>(id)] - std::log(sum));
}

TEST_F(EngineTest, ASchemaBindsTheAnswer) {
  auto s = read(kDocument);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Answer a = ask_for_json(s->fork(), kSchema, {.temperature = 2, .seed = seed});
    EXPECT_EQ(a.reason, DoneReason::kEnd);
    EXPECT_TRUE(fits(a.text)) << a.text;
  }
}

TEST_F(EngineTest, WhatASchemaBoundIsInTheCache) {
  auto s = read(kDocument);
  const int64_t n = s->info().n_tokens;
  const Answer a = ask_for_json(s, kSchema);
  EXPECT_EQ(s->tokens(n, s->info().n_tokens), a.tokens) << "the last one too";
  EXPECT_EQ(s->text(n, s->info().n_tokens), a.text);
}

TEST_F(EngineTest, AnswersUnderASchemaDependOnTheSeedAlone) {
  auto s = read(kDocument);
  const Sampling warm{.temperature = 2, .seed = 3};
  const Answer first = ask_for_json(s->fork(), kSchema, warm);
  EXPECT_EQ(ask_for_json(s->fork(), kSchema, warm), first);
  EXPECT_NE(ask_for_json(s->fork(), R"({"type": "null"})", warm).tokens, first.tokens);
}

TEST_F(EngineTest, TheLogprobIsTheModelsOwn) {
  auto s = read(kDocument);
  const std::vector<float> before = Request(s->fork(), {}).logits();
  Request request(s, {.max_tokens = 3, .sampling = {.repetition = {1.7f, 0}}});
  request.set_json_schema(kSchema);
  const auto event = request.next(-1);
  ASSERT_EQ(event->kind, EventKind::kText);
  EXPECT_NEAR(event->logprob, logprob_of(before, event->token), 1e-4);
}

TEST_F(EngineTest, ASchemaComesBeforeTheFirstNextAndWithoutIgnoreEnd) {
  auto s = read(kDocument);
  {
    Request request(s, {.max_tokens = 400});
    expect_error(ErrorCode::kArg, {"not JSON"}, [&] { request.set_json_schema("{"); });
    request.set_json_schema(R"({"type": "null"})");
    request.set_json_schema(kSchema);
    EXPECT_TRUE(fits(drain(request).text)) << "the last one holds";
    expect_error(ErrorCode::kArg, {"before the first next"},
                 [&] { request.set_json_schema(kSchema); });
  }
  Request request(s, {.max_tokens = 4, .ignore_end = true});
  expect_error(ErrorCode::kArg, {"ignore_end is 1"}, [&] { request.set_json_schema(kSchema); });
}

TEST_F(EngineTest, AnAnswerUnderASchemaMayBeCutByItsLength) {
  auto s = read(kDocument);
  Request request(s, {.max_tokens = 4});
  request.set_json_schema(kSchema);
  const Answer a = drain(request);
  EXPECT_EQ(a.reason, DoneReason::kLength);
  EXPECT_EQ(a.tokens.size(), 4u);
}

// Greedy with the penalty, one token at a time, from the logits that each step leaves.
std::vector<int32_t> penalized(std::shared_ptr<Session> s, RepetitionPenalty penalty, int n) {
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) {
    Request looking(s, {});
    std::vector<float> logits = looking.logits();
    drain(looking);
    std::vector<int32_t> ids = s->tokens(0, s->info().n_tokens);
    if (penalty.window > 0 && ids.size() > static_cast<size_t>(penalty.window)) {
      ids.erase(ids.begin(), ids.end() - penalty.window);
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const int32_t id : ids) {
      float& x = logits[static_cast<size_t>(id)];
      x = x > 0 ? x / penalty.factor : x * penalty.factor;
    }
    out.push_back(
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    s->append_ids(std::span(&out.back(), 1), {});
    Request step(s, {});
    drain(step);
  }
  return out;
}

TEST_F(EngineTest, RepetitionIsPenalized) {
  auto s = read(kDocument);
  const Answer plain = ask(s->fork(), 24);
  std::vector<std::vector<int32_t>> seen{plain.tokens};
  for (const RepetitionPenalty penalty :
       {RepetitionPenalty{1.5f, 0}, RepetitionPenalty{1.5f, 4}, RepetitionPenalty{0.5f, 16}}) {
    const Answer a = ask(s->fork(), 24, {.repetition = penalty});
    EXPECT_EQ(a.tokens, penalized(s->fork(), penalty, 24));
    EXPECT_EQ(std::count(seen.begin(), seen.end(), a.tokens), 0) << penalty.window;
    seen.push_back(a.tokens);
  }
  EXPECT_EQ(ask(s->fork(), 24, {.repetition = {1, 0}}), plain) << "1 changes nothing";
}

TEST_F(EngineTest, RefusesPenaltiesOutOfRange) {
  auto s = read(kDocument);
  const auto make = [&](RepetitionPenalty p) {
    return [&s, p] { Request r(s, {.sampling = {.repetition = p}}); };
  };
  expect_error(ErrorCode::kArg, {"repetition_penalty is 0"}, make({0, 1}));
  expect_error(ErrorCode::kArg, {"repetition_penalty is nan"}, make({NAN, 1}));
  expect_error(ErrorCode::kArg, {"repetition_penalty is 101"}, make({101, 1}));
  expect_error(ErrorCode::kArg, {"repetition_window is -1"}, make({1, -1}));
}

TEST_F(EngineTest, InAQueueItIsAsAlone) {
  auto s = read(kDocument);
  const auto request = [&](size_t i) {
    RequestOptions o{.max_tokens = 400, .sampling = {.temperature = 1.5f, .seed = i}};
    if (i % 3 == 1) o.sampling.repetition = {1.3f, static_cast<int32_t>(i)};
    auto made = std::make_shared<Request>(s->fork(), o);
    if (i % 2 == 0) made->set_json_schema(i % 4 == 0 ? kSchema : R"({"type": "array"})");
    return made;
  };
  constexpr size_t kN = 9;
  Queue queue(model());
  std::vector<std::shared_ptr<Request>> together;
  for (size_t i = 0; i < kN; ++i) {
    together.push_back(request(i));
    queue.add(together.back(), i);
    expect_error(ErrorCode::kBusy, {"in a queue"}, [&] { together[i]->set_json_schema(kSchema); });
  }
  std::map<uint64_t, std::string> texts;
  while (const Queue::Item* item = queue.next(-1)) {
    ASSERT_FALSE(item->error);
    texts[item->tag] += item->event.text;
    queue.pop();
  }
  for (size_t i = 0; i < kN; ++i) {
    auto alone = request(i);
    EXPECT_EQ(texts[i], drain(*alone).text) << i;
    EXPECT_TRUE(i % 4 != 0 || fits(texts[i])) << texts[i];
  }
}

// A model whose tokens are no JSON: alone, and among others that go on.
TEST_F(EngineTest, WhoCannotGoOnEndsAlone) {
  model::Config config = model()->config();
  config.name = "words";
  const auto words = Model::synthesize(config, 1, kernels::make_cpu_device(1), nullptr);
  auto s = Session::create(words, small_settings());
  s->append_ids(std::vector<int32_t>{1, 2, 3}, {});
  Request reading(s, {});
  drain(reading);
  auto bound = std::make_shared<Request>(s->fork(), RequestOptions{.max_tokens = 5});
  auto free = std::make_shared<Request>(s->fork(), RequestOptions{.max_tokens = 5});
  bound->set_json_schema("{}");
  Queue queue(words);
  queue.add(bound, 1);
  queue.add(free, 2);
  int n_failed = 0, n_tokens = 0;
  while (const Queue::Item* item = queue.next(-1)) {
    if (item->error) {
      ++n_failed;
      EXPECT_EQ(item->tag, 1u);
      expect_error(ErrorCode::kUnsupported, {"no token can be chosen"},
                   [&] { std::rethrow_exception(item->error); });
    } else if (item->event.kind == EventKind::kText) {
      ++n_tokens;
    }
    queue.pop();
  }
  EXPECT_EQ(n_failed, 1);
  EXPECT_EQ(n_tokens, 5);
}

}  // namespace
}  // namespace reattn::engine
