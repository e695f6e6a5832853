// What the engine asks of a device, with devices that answer otherwise than the CPU.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/model/weights.hpp"
#include "kernels/cpu/reference/dequantize.hpp"
#include "tests/core/engine_fixture.hpp"
#include "tests/support/encode.hpp"
#include "tests/support/forwarding_device.hpp"

namespace reattn::engine {
namespace {

// Holds matrices in BF16, whatever the file has, and counts what is allocated.
class Bf16Device final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;

  kernels::DType weight_type(kernels::DType) const override { return kernels::DType::kBF16; }
  void upload_weights(Stream& s, void* to, const void* from_host, kernels::DType file_type,
                      int64_t n_elements) override {
    ASSERT_EQ(file_type, kernels::DType::kF32);
    const auto* from = static_cast<const float*>(from_host);
    const auto bytes = test::encode(kernels::DType::kBF16, {from, from + n_elements});
    upload(s, to, bytes.data(), bytes.size());
  }
  void* allocate(size_t bytes) override {
    n_bytes += bytes;
    return ForwardingDevice::allocate(bytes);
  }
  std::atomic<uint64_t> n_bytes = 0;
};

TEST_F(EngineTest, WeightsAreHeldAsTheDeviceWants) {
  const auto device = std::make_shared<Bf16Device>(kernels::make_cpu_device(1));
  const auto held = Model::open(path(), device, nullptr);
  EXPECT_EQ(held->header().weights_bytes, device->n_bytes) << "the plan is exact";
  EXPECT_EQ(read_header(path(), *device).weights_bytes, device->n_bytes);
  EXPECT_EQ(held->weights().layers()[0].q.dtype, kernels::DType::kBF16);
  EXPECT_EQ(held->identity(), model()->identity()) << "of the file, however it is held";
  EXPECT_LT(held->header().weights_bytes, model()->header().weights_bytes);

  // The same as a file that has them so.
  const std::string rounded = write_model("bf16.gguf", {.dtype = kernels::DType::kBF16});
  const auto file = Model::open(rounded, kernels::make_cpu_device(1), nullptr);
  std::remove(rounded.c_str());
  EXPECT_EQ(file->header().weights_bytes, held->header().weights_bytes);
  auto a = Session::create(held, small_settings()), b = Session::create(file, small_settings());
  a->append_text(document(300), {});
  b->append_text(document(300), {});
  EXPECT_EQ(ask(a, 8), ask(b, 8));
}

// The reference device, counting what is allocated.
class F8Device final : public test::ForwardingDevice {
 public:
  F8Device() : ForwardingDevice(kernels::make_reference_device()) {}
  bool holds_f8() const override { return true; }
  void upload_rows(Stream& s, const kernels::QuantizeRowsArgs& a) override {
    most_rows = std::max(most_rows.load(), a.from.n_rows);
    reference_->upload_rows(s, a);
  }
  void* allocate(size_t bytes) override {
    n_bytes += bytes;
    return ForwardingDevice::allocate(bytes);
  }
  std::atomic<uint64_t> n_bytes = 0;
  std::atomic<int64_t> most_rows = 0;

 private:
  std::shared_ptr<kernels::Device> reference_ = kernels::make_reference_device();
};

TEST_F(EngineTest, WeightsAreHeldInF8WhereThatIsAskedFor) {
  constexpr auto kF8 = model::WeightType::kF8;
  const auto device = std::make_shared<F8Device>();
  const auto held = Model::open(path(), device, nullptr, kF8);
  EXPECT_EQ(held->header().weights, kF8);
  EXPECT_EQ(held->header().weights_bytes, device->n_bytes) << "the plan is exact";
  EXPECT_EQ(read_header(path(), *device, kF8).weights_bytes, device->n_bytes);
  EXPECT_EQ(plan(held->header(), small_settings(), 100, *device).weights_bytes, device->n_bytes);
  EXPECT_LT(device->n_bytes, model()->header().weights_bytes);
  EXPECT_EQ(held->identity(), model()->identity()) << "of the file, however it is held";
  EXPECT_EQ(model()->header().weights, model::WeightType::kAuto);
  EXPECT_GT(device->most_rows, 1);

  const model::LayerWeights& layer = held->weights().layers()[1];
  for (const kernels::Matrix* m :
       {&layer.q, &layer.k, &layer.v, &layer.attn_output, &layer.gate, &layer.up, &layer.down}) {
    EXPECT_EQ(m->dtype, kernels::DType::kF8);
    EXPECT_NE(m->scales, nullptr);
  }
  EXPECT_EQ(held->weights().embedding().dtype, kernels::DType::kF32);
  EXPECT_EQ(held->weights().output().dtype, kernels::DType::kF32);

  // Row by row what the file has, rounded.
  const model::LayerWeights& exact = model()->weights().layers()[1];
  std::vector<float> row(static_cast<size_t>(exact.down.n_cols)), want = row;
  for (const int64_t r : {int64_t{0}, exact.down.n_rows - 1}) {
    kernels::reference::dequantize_row(exact.down, r, want.data());
    kernels::reference::dequantize_row(layer.down, r, row.data());
    double error = 0, size = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      error += std::pow(static_cast<double>(row[i]) - want[i], 2);
      size += std::pow(static_cast<double>(want[i]), 2);
    }
    EXPECT_GT(error, 0);
    EXPECT_LT(std::sqrt(error / size), 0.05);
  }
  const auto s = Session::create(held, small_settings());
  s->append_text(document(200), {});
  EXPECT_EQ(ask(s, 4).tokens.size(), 4u);
}

TEST_F(EngineTest, MadeUpWeightsInF8TakeWhatThePlanSays) {
  model::Config c = model()->config();
  c.n_ff = 100;  // scales begin at whole cache lines, wherever the elements end
  for (const bool tied : {false, true}) {
    c.tied_embeddings = tied;
    const auto device = std::make_shared<F8Device>();
    const auto made = Model::synthesize(c, 3, device, nullptr, model::WeightType::kF8);
    EXPECT_EQ(made->header().weights_bytes, device->n_bytes);
    EXPECT_EQ(made->weights().layers()[0].gate.dtype, kernels::DType::kF8);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(made->weights().layers()[0].gate.scales) % 64, 0u);
  }
}

TEST_F(EngineTest, RefusesWeightsThatTheDeviceDoesNotHold) {
  const auto cpu = kernels::make_cpu_device(1);
  constexpr auto kF8 = model::WeightType::kF8;
  const auto refuses = [](const auto& f) {
    try {
      f();
      FAIL() << "nothing was thrown";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kUnsupported);
      EXPECT_NE(std::string(e.what()).find("weights is fp8, the device 'cpu'"), std::string::npos)
          << e.what();
    }
  };
  refuses([&] { Model::open(path(), cpu, nullptr, kF8); });
  refuses([&] { read_header(path(), *cpu, kF8); });
  refuses([&] { Model::synthesize(model()->config(), 1, cpu, nullptr, kF8); });
}

// Counts what comes back to the host.
class Counting final : public test::ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  void download(Stream& s, void* to, const void* from, size_t bytes) override {
    ++n_downloads;
    most_bytes = std::max(most_bytes, bytes);
    ForwardingDevice::download(s, to, from, bytes);
  }
  int n_downloads = 0;
  size_t most_bytes = 0;
};

TEST_F(EngineTest, AnswersWithTwoSmallDownloadsAToken) {
  const auto device = std::make_shared<Counting>(kernels::make_cpu_device(1));
  const auto s = Session::create(Model::open(path(), device, nullptr), small_settings());
  s->append_text(document(400), {});
  Request request(s, {.max_tokens = 8, .ignore_end = true});
  drain(request);
  const std::vector<float> at_its_end = request.logits();
  ask(s, 1);
  device->n_downloads = 0;
  device->most_bytes = 0;
  EXPECT_EQ(ask(s, 8).tokens.size(), 8u);
  EXPECT_EQ(device->n_downloads, 16) << "what was recalled, and the token with its log-probability";
  EXPECT_LT(device->most_bytes, 300 * sizeof(float)) << "no logits";
  EXPECT_EQ(request.logits(), at_its_end) << "whatever the session has done since";
}

TEST_F(EngineTest, Bf16CachesAreForDevicesThatHaveThem) {
  select::Settings bf16 = small_settings(), f32 = small_settings();
  bf16.kv_dtype = kernels::DType::kBF16;
  expect_error(ErrorCode::kUnsupported, {"kv_dtype is BF16", "'cpu'"}, [&] { session(bf16); });
  expect_error(ErrorCode::kUnsupported, {"kv_dtype is BF16"},
               [&] { plan(model()->header(), bf16, 100, *model()->device()); });

  const auto reference = Model::open(path(), kernels::make_reference_device(), nullptr);
  EXPECT_EQ(2 * plan(reference->header(), bf16, 100, *reference->device()).kv_bytes,
            plan(reference->header(), f32, 100, *reference->device()).kv_bytes);
  const auto s = Session::create(reference, bf16);
  s->append_text(document(300), {});
  EXPECT_EQ(ask(s, 4).tokens.size(), 4u);
  const std::string file = temp_path("bf16.reattn");
  cache::save(*s->snapshot(), file);
  const auto snapshot = cache::open(file, reference->identity(), reference->device());
  EXPECT_EQ(snapshot->settings.kv_dtype, kernels::DType::kBF16);
  EXPECT_EQ(ask(Session::create(reference, snapshot->settings, *snapshot), 4), ask(s, 4));
  expect_error(ErrorCode::kUnsupported, {file, "kv_dtype is BF16"},
               [&] { cache::open(file, model()->identity(), model()->device()); });
  std::remove(file.c_str());
}

// Until a step runs, when the cache's pages and their table come.
TEST_F(EngineTest, ASessionAndItsRequestTakeWhatIsPlanned) {
  const auto device = std::make_shared<Bf16Device>(kernels::make_cpu_device(1));
  const auto held = Model::open(path(), device, nullptr);
  select::Settings settings = small_settings();
  settings.vote_stride = 3;
  const uint64_t before = device->n_bytes;
  const auto s = Session::create(held, settings);
  s->append_ids(std::vector<int32_t>(10, 40), {});
  Request request(s, {});
  EXPECT_EQ(device->n_bytes - before + device->scratch_bytes(),
            plan(held->header(), settings, 0, *device).working_bytes);
}

}  // namespace
}  // namespace reattn::engine
