// Scoring in int8: the same bits whichever way a cache came about, close to native scoring, and refused where it is not there.
#include <algorithm>
#include <cmath>
#include <set>

#include "tests/core/engine_fixture.hpp"
#include "tests/support/forwarding_device.hpp"

namespace reattn::engine {
namespace {

using kernels::kScaleBlock;

// Notes what is quantised and how far int8 scores reach.
class Watching final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  void quantize_keys(Stream& s, std::span<const kernels::QuantizeKeysArgs> a) override {
    for (const auto& args : a) quantized.emplace_back(args.begin, args.end);
    ForwardingDevice::quantize_keys(s, a);
  }
  void score(Stream& s, std::span<const kernels::ScoreArgs> a) override {
    for (const auto& args : a) int8_ends.insert(args.int8_end);
    ForwardingDevice::score(s, a);
  }
  std::vector<std::pair<int64_t, int64_t>> quantized;
  std::set<int64_t> int8_ends;
};

select::Settings int8_settings() {
  select::Settings s = small_settings();
  s.scoring = select::Scoring::kInt8;
  return s;
}

select::Settings int8_cache() {
  select::Settings s = int8_settings();
  s.kv_dtype = kernels::DType::kF16;
  s.int8_cache = true;
  return s;
}

enum class On { kReference, kCpu };

class Int8Test : public EngineTest, public testing::WithParamInterface<On> {
 protected:
  void SetUp() override {
    device_ = std::make_shared<Watching>(GetParam() == On::kCpu ? kernels::make_cpu_device(2)
                                                                : kernels::make_reference_device());
    model_ = Model::open(path(), device_, nullptr);
    ids_ = model_->tokenizer().encode(document(4000), false);
  }
  std::shared_ptr<Session> read(std::initializer_list<int64_t> lengths,
                                const select::Settings& settings = int8_settings()) {
    auto s = Session::create(model_, settings);
    int64_t at = 0;
    for (const int64_t n : lengths) {
      s->append_ids(ids(at, n), {});
      at += n;
    }
    ask(s, 0);
    return s;
  }
  std::span<const int32_t> ids(int64_t at, int64_t n) const {
    return std::span(ids_).subspan(static_cast<size_t>(at), static_cast<size_t>(n));
  }
  // What a session answers to a question, and what it recalled for it.
  struct Seen {
    Answer answer;
    std::vector<float> logits;
    std::vector<std::pair<int64_t, int64_t>> recalled;
    bool operator==(const Seen&) const = default;
  };
  Seen question(const std::shared_ptr<Session>& s) const {
    s->append_text("\nWhich room? ", {});
    Request request(s, {.max_tokens = 6, .ignore_end = true});
    Seen seen{drain(request), request.logits(), {}};
    for (const Span& span : request.recalled(-1, RecalledScope::kAnswer)) {
      seen.recalled.emplace_back(span.begin, span.end);
    }
    return seen;
  }
  static std::set<int64_t> positions(const Request& request) {
    std::set<int64_t> out;
    for (const Span& span : request.recalled(0, RecalledScope::kPrompt)) {
      for (int64_t t = span.begin; t < span.end; ++t) out.insert(t);
    }
    return out;
  }

  std::shared_ptr<Watching> device_;
  std::shared_ptr<const Model> model_;
  std::vector<int32_t> ids_;
};

TEST_P(Int8Test, ABlockIsQuantizedOnceItIsComplete) {
  read({100, 50, 300});
  const std::vector<std::pair<int64_t, int64_t>> expected = {
      {0, 128}, {0, 128}, {128, 256}, {128, 256}, {256, 384}, {256, 384}};  // in both layers
  EXPECT_EQ(device_->quantized, expected);
  EXPECT_EQ(device_->int8_ends, (std::set<int64_t>{0, 128, 256, 384}));
  device_->int8_ends.clear();
  device_->quantized.clear();
  read({450}, small_settings());
  EXPECT_EQ(device_->int8_ends, std::set<int64_t>{0});
  EXPECT_TRUE(device_->quantized.empty());
}

TEST_P(Int8Test, RecallsAboutWhatNativeScoringDoes) {
  const auto recalled = [&](const select::Settings& settings) {
    auto s = Session::create(model_, settings);
    s->append_ids(ids(0, 900), {});
    Request request(s, {});
    drain(request);
    return positions(request);
  };
  select::Settings native = small_settings();
  native.n_anchors = 32;
  select::Settings int8 = native;
  int8.scoring = select::Scoring::kInt8;
  const std::set<int64_t> a = recalled(native), b = recalled(int8);
  std::vector<int64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  EXPECT_GE(both.size() * 10, a.size() * 9) << both.size() << " of " << a.size();
}

TEST_P(Int8Test, PiecesForksAndSnapshotsGiveTheSameBits) {
  select::Settings half = int8_settings();
  half.kv_dtype = GetParam() == On::kCpu ? kernels::DType::kF16 : kernels::DType::kBF16;
  for (const select::Settings& settings : {int8_settings(), half, int8_cache()}) {
    const auto whole = read({700}, settings);
    const auto snapshot = whole->snapshot();
    const std::string file = temp_path("int8.reattn");
    cache::save(*snapshot, file);
    const auto opened = cache::open(file, model_->identity(), device_);
    std::remove(file.c_str());
    EXPECT_EQ(opened->settings.scoring, select::Scoring::kInt8);
    EXPECT_EQ(opened->settings.int8_cache, settings.int8_cache);
    EXPECT_EQ(opened->cache.bytes(), whole->info().kv_bytes);

    auto pieces = Session::create(model_, settings);
    for (const auto& [at, n] : {std::pair{0, 150}, {150, 201}, {351, 349}}) {
      pieces->append_ids(ids(at, n), {.more = at != 351});
    }
    ask(pieces, 0);
    const auto fork = whole->fork();
    const Seen expected = question(whole);
    EXPECT_EQ(question(pieces), expected);
    EXPECT_EQ(question(fork), expected);
    EXPECT_EQ(question(Session::create(model_, opened->settings, *opened)), expected);
    EXPECT_EQ(question(Session::create(model_, snapshot->settings, *snapshot)), expected);
    EXPECT_EQ(expected == question(read({700})), settings.kv_dtype == kernels::DType::kF32);
  }
}

// Other text after the truncation: the block that it cut is quantised once more, a fork's stays.
TEST_P(Int8Test, ATruncatedBlockIsQuantizedAgain) {
  const auto once = read({200});
  once->append_ids(ids(600, 300), {});
  const Seen expected = question(once);
  const auto whole = read({200, 300});
  const auto fork = whole->fork();
  whole->truncate(200);
  whole->append_ids(ids(600, 300), {});
  EXPECT_EQ(question(whole), expected);
  EXPECT_EQ(question(fork), question(read({200, 300})));
}

TEST_P(Int8Test, AnswersGoOnAfterTheBlockTheyComplete) {
  auto a = read({250});
  const auto b = a->fork();
  const Answer together = ask(a, 12);
  Answer steps;
  for (int i = 0; i < 12; ++i) steps.tokens.push_back(ask(b, 1).tokens[0]);
  EXPECT_EQ(steps.tokens, together.tokens);
  EXPECT_EQ(question(a), question(b));
}

// The cut block goes on from int8, whatever else is still there: the same bits in a session, its fork and a file.
TEST_P(Int8Test, AnInt8CacheThatIsTruncatedGoesOnFromInt8) {
  for (const int64_t n : {640, 700, 520, 300, 130}) {
    const auto whole = read({900}, int8_cache());
    const std::string file = temp_path("int8.reattn");
    cache::save(*whole->snapshot(), file);
    const auto opened = cache::open(file, model_->identity(), device_);
    std::remove(file.c_str());
    const auto fork = whole->fork();
    const auto untouched = whole->fork();
    const auto again = Session::create(model_, opened->settings, *opened);
    for (const auto& s : {whole, fork, again}) {
      s->truncate(n);
      s->append_ids(ids(900, 200), {});
    }
    const Seen expected = question(whole);
    EXPECT_EQ(question(fork), expected) << n;
    EXPECT_EQ(question(again), expected) << n;
    EXPECT_EQ(question(untouched), question(read({900}, int8_cache()))) << n;
  }
}

TEST_P(Int8Test, AnInt8CacheIsCloseToOneInF16) {
  select::Settings f16 = int8_settings();
  f16.kv_dtype = kernels::DType::kF16;
  const auto logits = [&](const select::Settings& settings) {
    return question(read({900}, settings)).logits;
  };
  const std::vector<float> a = logits(f16), b = logits(int8_cache());
  double dot = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    dot += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  EXPECT_GT(dot / std::sqrt(aa * bb), 0.99);
  EXPECT_NE(a, b);
}

TEST_P(Int8Test, FullPagesOfAnInt8CacheAreInInt8Alone) {
  const model::Config& c = model_->config();
  const auto s = read({1100}, int8_cache());
  const int64_t plane =
      (c.n_kv_heads * (kernels::kPageTokens * c.head_dim + 4 * 4) + 255) / 256 * 256;
  const int64_t native = c.n_kv_heads * kernels::kPageTokens * c.head_dim * 2;
  EXPECT_EQ(s->info().kv_bytes, static_cast<uint64_t>(2 * c.n_layers * (3 * plane + native)));
  EXPECT_EQ(plan(model_->header(), int8_cache(), 1100, *device_).kv_bytes,
            static_cast<uint64_t>(2 * c.n_layers * 3 * plane));
  select::Settings native_scoring = int8_cache();
  native_scoring.scoring = select::Scoring::kNative;
  expect_error(ErrorCode::kArg, {"scoring is native"},
               [&] { Session::create(model_, native_scoring); });
  select::Settings other = int8_cache();
  other.int8_cache = false;
  expect_error(ErrorCode::kMismatch, {"kv_dtype"},
               [&] { Session::create(model_, other, *s->snapshot()); });
}

TEST_P(Int8Test, PagesHoldTheInt8KeysToo) {
  const model::Config& c = model_->config();
  const auto native = plan(model_->header(), small_settings(), 600, *device_);
  const auto int8 = plan(model_->header(), int8_settings(), 600, *device_);
  const int64_t plane = c.n_kv_heads * (kernels::kPageTokens * c.head_dim + 4 * 4);
  EXPECT_EQ(int8.kv_bytes - native.kv_bytes,
            static_cast<uint64_t>(2 * c.n_layers * ((plane + 255) / 256 * 256)));
  EXPECT_EQ(read({600})->info().kv_bytes, int8.kv_bytes);
}

TEST_P(Int8Test, IsForDevicesThatHaveIt) {
  class Native final : public test::ForwardingDevice {
   public:
    using ForwardingDevice::ForwardingDevice;
    bool scores_int8() const override { return false; }
  };
  const auto int8 = int8_settings();
  const auto native_device = std::make_shared<Native>(kernels::make_cpu_device(1));
  const auto native_model = Model::open(path(), native_device, nullptr);
  expect_error(ErrorCode::kUnsupported, {"scoring is int8", "'cpu'"},
               [&] { Session::create(native_model, int8); });
  expect_error(ErrorCode::kUnsupported, {"scoring is int8"},
               [&] { plan(native_model->header(), int8, 100, *native_device); });
  const std::string file = temp_path("int8.reattn");
  const auto snapshot = read({300})->snapshot();
  cache::save(*snapshot, file);
  expect_error(ErrorCode::kUnsupported, {file, "scoring is int8"},
               [&] { cache::open(file, native_model->identity(), native_device); });
  std::remove(file.c_str());
  select::Settings native = snapshot->settings;
  native.scoring = select::Scoring::kNative;
  expect_error(ErrorCode::kMismatch, {"scoring is 0", "1"},
               [&] { Session::create(model_, native, *snapshot); });
  select::Settings strange = int8;
  strange.scoring = static_cast<select::Scoring>(2);
  expect_error(ErrorCode::kArg, {"scoring is 2"}, [&] { Session::create(model_, strange); });
}

INSTANTIATE_TEST_SUITE_P(Devices, Int8Test, testing::Values(On::kReference, On::kCpu),
                         [](const auto& on) { return on.param == On::kCpu ? "Cpu" : "Reference"; });

}  // namespace
}  // namespace reattn::engine
