// Several chunks through each layer together, and steps called before the host knows their token: the same bits as one at a time.
#include <algorithm>
#include <array>
#include <cstring>

#include "tests/core/engine_fixture.hpp"
#include "tests/support/forwarding_device.hpp"

namespace reattn::engine {
namespace {

constexpr int32_t kChunk = 32;

// Carries four chunks together, and counts the calls that give the selection several of them.
class FourChunks final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  int64_t super_chunk() const override { return 4 * kChunk; }
  void attend(Stream& s, std::span<const kernels::AttendArgs> a) override {
    most_chunks = std::max(most_chunks, a.size());
    ForwardingDevice::attend(s, a);
  }
  size_t most_chunks = 0;
};

// Has the next step called before the sampled token is known.
class RunsAhead final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  bool runs_ahead() const override { return true; }
  void embed(Stream& s, const kernels::EmbedArgs& a) override {
    ++n_embeds;
    ForwardingDevice::embed(s, a);
  }
  int n_embeds = 0;
};

using Spans = std::vector<std::array<int64_t, 3>>;

// Everything that can be seen of a session and its request.
struct Seen {
  Answer answer;
  std::vector<int32_t> tokens;
  std::vector<uint32_t> logprobs, logits;  // as bits, so that NaN equals NaN
  std::vector<Spans> recalled;             // of every layer and scope
  std::string snapshot;
  int64_t n_prefill_tokens = 0, n_decode_tokens = 0;
  bool operator==(const Seen&) const = default;
};

std::vector<uint32_t> bits(const std::vector<float>& values) {
  std::vector<uint32_t> out(values.size());
  std::memcpy(out.data(), values.data(), values.size() * sizeof(float));
  return out;
}

// Reads appends of these lengths, every second one with log-probabilities, and generates.
Seen run(const std::shared_ptr<const Model>& model, const select::Settings& settings,
         const std::vector<int64_t>& lengths, int64_t timeout_ms = -1) {
  const auto session = Session::create(model, settings);
  const std::vector<int32_t> ids = model->tokenizer().encode(document(3000), false);
  size_t at = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    session->append_ids(std::span(ids).subspan(at, static_cast<size_t>(lengths[i])),
                        {.logprobs = i % 2 == 1});
    at += static_cast<size_t>(lengths[i]);
  }
  Request request(session, {.max_tokens = 5, .ignore_end = true});
  Seen seen;
  seen.answer = drain(request, timeout_ms);
  seen.answer.n_prefill_events = 0;  // the one thing that differs
  const int64_t n = session->info().n_tokens;
  seen.tokens = session->tokens(0, n);
  seen.logprobs = bits(session->logprobs(0, n));
  seen.logits = bits(request.logits());
  for (const auto scope :
       {RecalledScope::kLastStep, RecalledScope::kPrompt, RecalledScope::kAnswer}) {
    for (int64_t layer = -1; layer < 2; ++layer) {
      seen.recalled.emplace_back();
      for (const Span& s : request.recalled(layer, scope)) {
        seen.recalled.back().push_back({s.begin, s.end, s.votes});
      }
    }
  }
  seen.n_prefill_tokens = request.stats().n_prefill_tokens;
  seen.n_decode_tokens = request.stats().n_decode_tokens;
  const std::string file = temp_path("super.reattn");
  cache::save(*session->snapshot(), file);
  std::ifstream in(file, std::ios::binary);
  seen.snapshot = {std::istreambuf_iterator<char>(in), {}};
  std::remove(file.c_str());
  return seen;
}

class SuperChunkTest : public EngineTest {
 protected:
  // The same model twice: one chunk at a time, and four.
  void use(const std::shared_ptr<kernels::Device>& device) {
    four_chunks = std::make_shared<FourChunks>(device);
    one = Model::open(path(), device, nullptr);
    four = Model::open(path(), four_chunks, nullptr);
  }
  void expect_same(const select::Settings& settings, const std::vector<int64_t>& lengths) {
    const Seen expected = run(one, settings, lengths), seen = run(four, settings, lengths);
    EXPECT_EQ(seen.answer, expected.answer);
    EXPECT_EQ(seen.tokens, expected.tokens);
    EXPECT_EQ(seen.logprobs, expected.logprobs);
    EXPECT_EQ(seen.logits, expected.logits);
    EXPECT_EQ(seen.recalled, expected.recalled);
    EXPECT_TRUE(seen == expected) << "snapshot or numbers of tokens";
  }
  std::shared_ptr<FourChunks> four_chunks;
  std::shared_ptr<const Model> one, four;
};

// Plain loops: a row's result is the same whatever stands beside it. Ends of every raggedness.
TEST_F(SuperChunkTest, EqualsOneChunkAtATimeOnTheReference) {
  use(kernels::make_reference_device());
  for (const std::vector<int64_t>& lengths : std::vector<std::vector<int64_t>>{
           {1}, {40}, {128, 128}, {300, 7}, {129, 65, 33}, {1, 200, 2}}) {
    expect_same(small_settings(), lengths);
  }
  EXPECT_EQ(four_chunks->most_chunks, 4u);
}

// The fast products round a step of at most 15 rows in their own way, so ends are longer here.
TEST_F(SuperChunkTest, EqualsOneChunkAtATimeOnTheCpu) {
  use(kernels::make_cpu_device(2));
  for (const std::vector<int64_t>& lengths :
       std::vector<std::vector<int64_t>>{{31}, {128}, {300 + 4 + 16, 48}, {96, 500, 20}}) {
    expect_same(small_settings(), lengths);
  }
}

TEST_F(SuperChunkTest, EqualsItWithEverySetting) {
  use(kernels::make_reference_device());
  const auto with = [&](auto change) {
    select::Settings s = small_settings();
    change(s);
    expect_same(s, {270, 45});
  };
  with([](auto& s) { s.vote_stride = 3; });
  with([](auto& s) { s.selection = select::Selection::kBlock1; });
  with([](auto& s) { s.selection = select::Selection::kFull; });
  with([](auto& s) { s.n_anchors = 0; });
  with([](auto& s) { s.n_local = 300; });  // a middle only near the end
  with([](auto& s) { s.kv_dtype = kernels::DType::kF16; });
  with([](auto& s) { s.scoring = select::Scoring::kInt8; });
  with([](auto& s) {
    s.scoring = select::Scoring::kInt8;
    s.kv_dtype = kernels::DType::kF16;
    s.int8_cache = true;
  });
  with([](auto& s) {
    s.scoring = select::Scoring::kInt8;
    s.selection = select::Selection::kBlock1;
    s.kv_dtype = kernels::DType::kBF16;
    s.chunk = 40;
  });
  with([](auto& s) { s.chunk = 48; });  // two and a half fit: two
  with([](auto& s) {                    // more than a super-chunk: one
    s.chunk = 150;
    s.n_local = 200;
  });
}

TEST_F(SuperChunkTest, TimeoutsDoNotChangeIt) {
  use(kernels::make_reference_device());
  EXPECT_TRUE(run(four, small_settings(), {300, 45}, 0) == run(one, small_settings(), {300, 45}));
}

TEST_F(SuperChunkTest, RunningAheadChangesNothing) {
  for (const auto& device : {kernels::make_reference_device(), kernels::make_cpu_device(2)}) {
    const auto ahead = std::make_shared<RunsAhead>(device);
    one = Model::open(path(), device, nullptr);
    four = Model::open(path(), ahead, nullptr);
    for (const std::vector<int64_t>& lengths :
         std::vector<std::vector<int64_t>>{{1}, {300, 7}, {506, 3}, {1020}}) {
      expect_same(small_settings(), lengths);
    }
    select::Settings int8 = small_settings();
    int8.scoring = select::Scoring::kInt8;
    int8.kv_dtype = kernels::DType::kF16;
    int8.int8_cache = true;
    if (device->scores_int8()) expect_same(int8, {125});
    // A token each, and no more steps: the last of five was sampled before the step of the fourth had been asked for.
    ahead->n_embeds = 0;
    run(four, small_settings(), {20});
    EXPECT_EQ(ahead->n_embeds, 1 + 5);
  }
}

TEST_F(SuperChunkTest, AStepAheadIsForgottenWithItsRequest) {
  const auto ahead = std::make_shared<RunsAhead>(kernels::make_reference_device());
  const auto model = Model::open(path(), ahead, nullptr);
  const auto s = Session::create(model, small_settings());
  s->append_ids(std::vector<int32_t>(512, 40), {});
  {
    Request request(s, {.max_tokens = 3, .ignore_end = true});
    while (request.next(-1)->kind != EventKind::kText) {
    }
    EXPECT_EQ(s->info().n_pages, 2) << "the next step's";
  }
  EXPECT_EQ(s->info().n_tokens, 512);
  EXPECT_EQ(s->info().n_pages, 1);
  Request request(s, {.max_tokens = 3, .ignore_end = true});
  while (request.next(-1)->kind != EventKind::kText) {
  }
  request.cancel();
  EXPECT_EQ(drain(request).reason, DoneReason::kCancelled);
  EXPECT_EQ(s->info().n_tokens, 513) << "a delivered token counts";
}

TEST_F(SuperChunkTest, NeverCrossesAnAppend) {
  use(kernels::make_cpu_device(1));
  const auto s = Session::create(four, small_settings());
  const std::vector<int32_t> ids(300, 40);
  s->append_ids(ids, {});
  s->append_ids(std::span(ids).first(33), {});
  s->append_ids(std::span(ids).first(5), {});
  Request request(s, {});
  std::vector<int64_t> done;
  while (const auto e = request.next(-1)) {
    if (e->kind == EventKind::kPrefill) done.push_back(e->n_done);
  }
  EXPECT_EQ(done, (std::vector<int64_t>{128, 256, 300, 333, 338}));
}

TEST_F(SuperChunkTest, CancelDropsTheWholeStep) {
  use(kernels::make_cpu_device(1));
  const auto s = Session::create(four, small_settings());
  s->append_ids(std::vector<int32_t>(300, 40), {});
  Request request(s, {.max_tokens = 3});
  ASSERT_EQ(request.next(-1)->n_done, 128);
  ASSERT_FALSE(request.next(0).has_value()) << "inside the second step";
  EXPECT_EQ(s->info().n_pending, 300 - 128);
  request.cancel();
  EXPECT_EQ(drain(request).reason, DoneReason::kCancelled);
  EXPECT_EQ(s->info().n_tokens, 128);
  EXPECT_EQ(s->info().n_pages, 1);
  s->append_ids(std::vector<int32_t>(40, 41), {});
  EXPECT_EQ(ask(s, 3).tokens.size(), 3u);
}

TEST_F(SuperChunkTest, ThePlanFollows) {
  use(kernels::make_cpu_device(1));
  const auto working = [&](const Model& m, int32_t chunk) {
    select::Settings s = small_settings();
    s.chunk = chunk;
    s.n_local = 128;
    return plan(m.header(), s, 0, *m.device()).working_bytes;
  };
  EXPECT_GT(working(*four, 32), working(*one, 32));
  EXPECT_GT(working(*four, 32), working(*four, 48)) << "128 rows against 96";
  EXPECT_EQ(working(*four, 128), working(*one, 128));
}

}  // namespace
}  // namespace reattn::engine
