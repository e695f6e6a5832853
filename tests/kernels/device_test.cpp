// The two CPU devices through their common interface: memory, what they say of themselves, and many
// threads at once.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "reattn/kernels/device.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels {
namespace {

class DeviceTest : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<Device> device_ =
      std::string_view(GetParam()) == "fast" ? make_cpu_device(2) : make_reference_device();
};

TEST_P(DeviceTest, DescribesItself) {
  const DeviceInfo info = device_->info();
  EXPECT_EQ(info.kind, "cpu");
  EXPECT_FALSE(info.name.empty());
  EXPECT_FALSE(info.instructions.empty());
  EXPECT_EQ(info.n_threads, std::string_view(GetParam()) == "fast" ? 2 : 1);
  EXPECT_GT(info.memory_free, 0);
  EXPECT_GE(info.memory_total, info.memory_free);
}

TEST_P(DeviceTest, AllocatesAlignedMemoryAndCopies) {
  Stream stream;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100'000}, size_t{9} << 20}) {
    void* a = device_->allocate(bytes);
    void* b = device_->allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0U);
    std::vector<char> in(bytes), out(bytes);
    for (size_t i = 0; i < bytes; ++i) in[i] = static_cast<char>(i * 7);
    device_->upload(stream, a, in.data(), bytes);
    device_->copy(stream, b, a, bytes);
    device_->download(stream, out.data(), b, bytes);
    EXPECT_EQ(in, out);
    device_->release(a, bytes);
    device_->release(b, bytes);
  }
}

TEST_P(DeviceTest, ScoresInInt8) {
  Stream stream;
  EXPECT_TRUE(device_->scores_int8());
  device_->quantize_keys(stream, {});
}

TEST_P(DeviceTest, RefusesWhatTheMachineCannotHold) {
  const int64_t free = device_->info().memory_free;
  for (const size_t bytes :
       {static_cast<size_t>(free) * 2, static_cast<size_t>(free) + (size_t{1} << 30),
        std::numeric_limits<size_t>::max(), std::numeric_limits<size_t>::max() / 2}) {
    try {
      device_->release(device_->allocate(bytes), bytes);
      ADD_FAILURE() << bytes << " bytes were granted";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kOomHost);
      EXPECT_NE(std::string(e.what()).find(std::to_string(bytes)), std::string::npos) << e.what();
    }
  }
}

TEST_P(DeviceTest, StopsWhenCancelled) {
  const std::atomic<bool> cancel{true};
  Stream stream{&cancel};
  std::vector<float> x(64, 1.0F), out(64);
  const int32_t id = 0;
  int32_t token = 0;
  float logprob = 0;
  const Matrix w{x.data(), DType::kF32, 8, 8};
  const auto expect_cancelled = [](auto&& call) {
    try {
      call();
      ADD_FAILURE() << "not cancelled";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCancelled);
    }
  };
  expect_cancelled([&] { device_->embed(stream, {w, &id, 1, out.data()}); });
  expect_cancelled([&] { device_->rms_norm(stream, {x.data(), x.data(), 8, 8, 0, out.data()}); });
  expect_cancelled([&] { device_->matmul(stream, {x.data(), 8, w, nullptr, out.data(), false}); });
  expect_cancelled([&] { device_->swiglu(stream, {x.data(), x.data(), 64, out.data()}); });
  expect_cancelled([&] {
    device_->sample(stream, {x.data(), 64, 0, 0, 1, 0, 0, &token, &logprob});
  });
  expect_cancelled([&] { device_->logprob(stream, {x.data(), 1, 64, &id, out.data()}); });
}

// Several threads with a stream each, one of them cancelled again and again: the others' results
// never change.
TEST_P(DeviceTest, ServesManyThreads) {
  const RandomMatrix weights(DType::kQ4_1, 96, 64, 1);
  const std::vector<float> x = random_floats(20 * 64, 2);
  const auto product = [&](int64_t n_rows, const std::atomic<bool>* cancel) {
    Stream stream{cancel};
    std::vector<float> out(static_cast<size_t>(n_rows * 96));
    device_->matmul(stream, {x.data(), n_rows, weights.matrix(), nullptr, out.data(), false});
    return out;
  };
  const std::vector<float> few = product(1, nullptr), many = product(20, nullptr);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::atomic<bool> cancel{true};
      for (int round = 0; round < 30; ++round) {
        if (t == 0) {
          EXPECT_THROW(product(20, &cancel), Error);
        }
        EXPECT_EQ(product(1, nullptr), few);
        EXPECT_EQ(product(20, nullptr), many);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceTest, testing::Values("fast", "reference"),
                         [](const auto& device) { return std::string(device.param); });

TEST(CpuDevice, ChecksItsThreads) {
  EXPECT_THROW(make_cpu_device(-1), Error);
  EXPECT_GE(make_cpu_device(0)->info().n_threads, 1);
}

}  // namespace
}  // namespace reattn::kernels
