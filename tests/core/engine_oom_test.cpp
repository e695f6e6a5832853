// Device memory that runs out at any one point, be it an allocation or an operation that needs working memory: an error, and the session
// goes on from its last committed step to the same tokens.
#include <map>

#include "core/engine/queue.hpp"
#include "tests/core/engine_fixture.hpp"
#include "tests/support/forwarding_device.hpp"

namespace reattn::engine {
namespace {

class FailsOnce final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  void* allocate(size_t bytes) override {
    step("allocation");
    return ForwardingDevice::allocate(bytes);
  }
  void embed(Stream& s, const kernels::EmbedArgs& a) override {
    step("embed");
    ForwardingDevice::embed(s, a);
  }
  void rms_norm(Stream& s, const kernels::RmsNormArgs& a) override {
    step("rms_norm");
    ForwardingDevice::rms_norm(s, a);
  }
  void matmul(Stream& s, const kernels::MatmulArgs& a) override {
    step("matmul");
    ForwardingDevice::matmul(s, a);
  }
  void kv_append(Stream& s, std::span<const kernels::KvAppendArgs> a) override {
    step("kv_append");
    ForwardingDevice::kv_append(s, a);
  }
  void quantize_keys(Stream& s, std::span<const kernels::QuantizeKeysArgs> a) override {
    step("quantize_keys");
    ForwardingDevice::quantize_keys(s, a);
  }
  void score(Stream& s, std::span<const kernels::ScoreArgs> a) override {
    step("score");
    ForwardingDevice::score(s, a);
  }
  void vote(Stream& s, std::span<const kernels::VoteArgs> a) override {
    step("vote");
    ForwardingDevice::vote(s, a);
  }
  void attend(Stream& s, std::span<const kernels::AttendArgs> a) override {
    step("attend");
    ForwardingDevice::attend(s, a);
  }
  void sample(Stream& s, const kernels::SampleArgs& a) override {
    step("sample");
    ForwardingDevice::sample(s, a);
  }

  bool runs_ahead() const override { return ahead; }

  // The call of this number from here on fails, of all or of one kind; −1: none does.
  void fail_at(int64_t number, std::string kind = {}) {
    left_ = number;
    kind_ = std::move(kind);
  }
  bool ahead = false;
  bool has_failed() const { return !failed_.empty(); }
  const std::string& failed() const { return failed_; }

 private:
  void step(const char* what) {
    if (!kind_.empty() && kind_ != what) return;
    if (left_ < 0 || left_-- > 0) return;
    failed_ = what;
    fail(ErrorCode::kOomDevice, what, ": no memory is left");
  }
  int64_t left_ = -1;
  std::string failed_, kind_;
};

// Calls f until it goes through; at most one failure is expected.
template <class F>
void until_it_goes(const FailsOnce& device, F&& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kOomDevice) << e.what();
    EXPECT_TRUE(device.has_failed()) << e.what();
    EXPECT_NE(std::string(e.what()).find("no memory is left"), std::string::npos) << e.what();
    f();
  }
}

using Ids = std::vector<int32_t>;
constexpr int64_t kDocument = 300, kQuestion = 3, kAnswer = 5;  // tokens

Ids prompt(int64_t n) {
  Ids ids;
  for (int64_t i = 0; i < n; ++i) ids.push_back(static_cast<int32_t>(40 + i * 37 % 90));
  return ids;
}

// Reads on to a prompt of n_prompt tokens and answers it, both from where the session stands: a failure drops what was not read.
std::shared_ptr<Request> going_on(const std::shared_ptr<Session>& s, int64_t n_prompt,
                                  int64_t n_answer) {
  const int64_t n = s->info().n_tokens;
  if (n < n_prompt && s->info().n_pending == 0) {
    const Ids ids = prompt(n_prompt);
    s->append_ids({ids.begin() + n, ids.end()}, {});
  }
  return std::make_shared<Request>(
      s, RequestOptions{.max_tokens = n_prompt + n_answer - std::max(n, n_prompt),
                        .ignore_end = true});
}

// A model, a document read, a fork of it that answers, a snapshot that another session answers from, and that beside the first in a queue.
std::vector<Ids> scenario(const std::string& path, const std::shared_ptr<FailsOnce>& device,
                          const select::Settings& settings) {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const cache::Snapshot> snapshot;
  std::shared_ptr<Session> read, fork, other;
  until_it_goes(*device, [&] { model = Model::open(path, device, nullptr); });
  until_it_goes(*device, [&] { read = Session::create(model, settings); });
  until_it_goes(*device, [&] { drain(*going_on(read, kDocument, 0)); });
  until_it_goes(*device, [&] { snapshot = read->snapshot(); });
  until_it_goes(*device, [&] { other = Session::create(model, settings, *snapshot); });
  until_it_goes(*device, [&] { fork = read->fork(); });
  until_it_goes(*device, [&] { drain(*going_on(fork, kDocument, kAnswer)); });
  until_it_goes(*device, [&] {
    Queue queue(model);
    std::vector<std::shared_ptr<Request>> requests;
    for (const auto& s : {other, read}) {
      if (s->info().n_tokens == kDocument + kQuestion + kAnswer) continue;
      requests.push_back(going_on(s, kDocument + kQuestion, kAnswer));
      queue.add(requests.back(), requests.size());
    }
    std::exception_ptr error;
    while (!queue.is_empty()) {
      if (const Queue::Item* item = queue.next(-1)) {
        if (item->error) error = item->error;
        queue.pop();
      }
    }
    if (error) std::rethrow_exception(error);
  });
  std::vector<Ids> out;
  for (const auto& s : {read, fork, other}) {
    out.push_back(s->tokens(0, s->info().n_tokens));
    EXPECT_EQ(s->info().n_pending, 0);
  }
  return out;
}

void fail_everywhere(const std::string& path, const select::Settings& settings,
                     const std::shared_ptr<kernels::Device>& to, int64_t stride,
                     bool ahead = false) {
  const auto device_that = [&](int64_t fails_at) {
    const auto device = std::make_shared<FailsOnce>(to);
    device->ahead = ahead;
    device->fail_at(fails_at);
    return device;
  };
  const auto expected = scenario(path, device_that(-1), settings);
  EXPECT_EQ(expected[1].size(), static_cast<size_t>(kDocument + kAnswer));
  EXPECT_EQ(expected[2], expected[0]);
  std::map<std::string, int> failed;
  for (int64_t at = 0;; at += stride) {
    const auto device = device_that(at);
    const auto got = scenario(path, device, settings);
    if (!device->has_failed()) break;
    ++failed[device->failed()];
    ASSERT_EQ(got, expected) << "after failure " << at << ", of " << device->failed();
  }
  EXPECT_GT(failed["allocation"], 30 / stride);
  EXPECT_GT(failed["attend"], 20 / stride);
  EXPECT_GT(failed["score"], 10 / stride);
}

TEST_F(EngineTest, MemoryMayRunOutAnywhere) {
  fail_everywhere(path(), small_settings(), kernels::make_cpu_device(1), 1);
}

TEST_F(EngineTest, MemoryMayRunOutAnywhereOfADeviceThatRunsAhead) {
  fail_everywhere(path(), small_settings(), kernels::make_cpu_device(1), 3, true);
}

// A token that counts has recalled something, also when the sampling of the next one fails.
TEST_F(EngineTest, AFailureLeavesWhatItsTokensRecalled) {
  const auto device = std::make_shared<FailsOnce>(kernels::make_cpu_device(1));
  device->ahead = true;
  const auto s = Session::create(Model::open(path(), device, nullptr), small_settings());
  drain(*going_on(s, kDocument, 0));
  const auto request = going_on(s, kDocument, kAnswer);
  device->fail_at(1, "sample");
  expect_error(ErrorCode::kOomDevice, {"sample", "stands at 301 tokens"}, [&] { drain(*request); });
  EXPECT_EQ(request->stats().n_decode_tokens, 1);
  EXPECT_FALSE(request->recalled(-1, RecalledScope::kAnswer).empty());
  EXPECT_EQ(request->recalled(-1, RecalledScope::kAnswer),
            request->recalled(-1, RecalledScope::kLastStep));
}

TEST_F(EngineTest, MemoryMayRunOutAnywhereOfAnInt8Cache) {
  select::Settings settings = small_settings();
  settings.kv_dtype = kernels::DType::kF16;
  settings.int8_cache = true;
  settings.scoring = select::Scoring::kInt8;
  fail_everywhere(path(), settings, kernels::make_reference_device(), 10);  // it is slow
}

}  // namespace
}  // namespace reattn::engine
