// Sampling and log-probabilities of the CUDA device against the reference.
#include <cmath>
#include <limits>

#include "kernels/cpu/reference/reference.hpp"
#include "tests/kernels/cuda_fixture.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Sampled {
  int32_t token = -1;
  float logprob = 0;
};

class CudaSampling : public CudaTest {
 protected:
  void set(const std::vector<float>& logits) {
    host_ = logits;
    logits_.emplace(logits);
    token_.emplace(1);
    logprob_.emplace(1);
  }
  Sampled on_device(float temperature, int32_t top_k, float top_p, float min_p, double uniform) {
    token_->fill_bytes(0xEE);
    logprob_->fill_bytes(0xFF);
    device().sample(stream_, {logits_->data(), static_cast<int64_t>(host_.size()), temperature,
                              top_k, top_p, min_p, uniform, token_->data(), logprob_->data()});
    return {token_->download()[0], logprob_->download()[0]};
  }
  Sampled both(float temperature, int32_t top_k, float top_p, float min_p, double uniform) {
    const Sampled got = on_device(temperature, top_k, top_p, min_p, uniform);
    Sampled want;
    reference::sample({host_.data(), static_cast<int64_t>(host_.size()), temperature, top_k, top_p,
                       min_p, uniform, &want.token, &want.logprob});
    EXPECT_EQ(got.token, want.token)
        << "temperature " << temperature << ", top_k " << top_k << ", top_p " << top_p << ", min_p "
        << min_p << ", uniform " << uniform << ", of " << host_.size();
    EXPECT_NEAR(got.logprob, want.logprob, 1e-5F);
    return got;
  }

  std::vector<float> host_;
  std::optional<DeviceArray<float>> logits_, logprob_;
  std::optional<DeviceArray<int32_t>> token_;
};

TEST_F(CudaSampling, TakesTheLargestAtTemperatureZero) {
  set({1, 5, 5, 2});
  EXPECT_EQ(both(0, 0, 1, 0, 0.9).token, 1);
  set({NAN, -3, NAN, -2});
  EXPECT_EQ(both(0, 0, 1, 0, 0.9).token, 3);
  set({-0.0F, 0.0F, -1.0F});
  EXPECT_EQ(both(0, 0, 1, 0, 0.9).token, 0);
  set({0.5F});
  EXPECT_EQ(both(0, 0, 1, 0, 0).token, 0);
  std::vector<float> logits = random_floats(50'257, 1);
  logits[50'256] = 9;
  set(logits);
  EXPECT_EQ(both(0, 40, 0.5F, 0.1F, 0.5).token, 50'256);
  for (const int64_t n : {2047, 2048, 2049, 49'152, 128'256, 262'144, 600'000}) {
    logits = random_floats(n, 5);
    logits[static_cast<size_t>(n / 2)] = logits[static_cast<size_t>(n - 1)] = 20;
    set(logits);
    EXPECT_EQ(both(0, 0, 1, 0, 0.5).token, n / 2);
  }
}

TEST_F(CudaSampling, EqualsTheReference) {
  std::vector<float> logits = random_floats(3001, 2, 3.0F);
  for (size_t i = 0; i < logits.size(); i += 7) logits[i] = logits[0];  // many equals
  logits[11] = NAN;
  logits[12] = -kInf;
  set(logits);
  for (const float temperature : {0.2F, 1.0F, 3.0F}) {
    for (const int32_t top_k : {0, 1, 40, 300, 100'000}) {
      for (const float top_p : {0.01F, 0.5F, 0.95F, 1.0F}) {
        for (const float min_p : {0.0F, 0.05F, 1.0F}) {
          for (const double uniform : {0.0, 0.123, 0.5, 0.987, 0.9999}) {
            both(temperature, top_k, top_p, min_p, uniform);
          }
        }
      }
    }
  }
}

TEST_F(CudaSampling, LargeVocabularies) {
  for (const int64_t n : {49'152, 128'256, 262'144, 600'000}) {
    set(random_floats(n, static_cast<uint32_t>(n), 2.5F));
    for (const double uniform : {0.0, 0.3, 0.77, 0.999}) {
      both(0.8F, 40, 0.95F, 0.05F, uniform);
      both(1.0F, 0, 1, 0, uniform);
      both(1.5F, 0, 0.9F, 0, uniform);
      both(1.0F, 50'000, 1, 0, uniform);
    }
  }
}

TEST_F(CudaSampling, EqualLogitsAreTakenInTheOrderOfTheirIds) {
  set(std::vector<float>(10'000, 0.25F));
  for (const double uniform : {0.0, 0.1, 0.49999, 0.7, 0.99999}) {
    EXPECT_EQ(both(1, 0, 1, 0, uniform).token, static_cast<int32_t>(uniform * 10'000));
    both(1, 100, 1, 0, uniform);
    both(1, 0, 0.37F, 0, uniform);
    both(1, 5000, 0.5F, 0.2F, uniform);
  }
}

TEST_F(CudaSampling, NanAndInfinityDoNotWinByAccident) {
  for (const double uniform : {0.0, 0.4, 0.6, 0.999}) {
    set({NAN, 1, -kInf, 1, NAN});
    EXPECT_EQ(both(1, 0, 1, 0, uniform).token, uniform < 0.5 ? 1 : 3);
    set({3, kInf, 5, kInf});
    const Sampled certain = both(0.7F, 0, 0.9F, 0, uniform);
    EXPECT_TRUE(certain.token == 1 || certain.token == 3);
    EXPECT_NEAR(certain.logprob, std::log(0.5F), 1e-6F);
  }
  std::vector<float> two_left(5000, -kInf);
  two_left[7] = two_left[4000] = 1;
  set(two_left);
  EXPECT_EQ(both(1, 0, 1, 0, 1.0 - 1e-16).token, 4000);
  for (const float nothing : {static_cast<float>(NAN), -kInf}) {
    set(std::vector<float>(100, nothing));
    for (const float temperature : {0.0F, 1.0F}) {
      const Sampled none = on_device(temperature, 3, 0.5F, 0.1F, 0.5);
      EXPECT_EQ(none.token, -1);
      EXPECT_TRUE(std::isnan(none.logprob));
    }
  }
}

TEST_F(CudaSampling, TinyTemperatureIsGreedy) {
  set({1.0F, 1.001F, 0.5F});
  for (const double uniform : {0.0, 0.5, 0.999}) EXPECT_EQ(both(1e-30F, 0, 1, 0, uniform).token, 1);
}

TEST_F(CudaSampling, IsTheSameEveryTime) {
  set(random_floats(128'256, 9, 2.0F));
  const Sampled first = on_device(1.3F, 0, 0.97F, 0.01F, 0.61);
  for (int i = 0; i < 20; ++i) {
    const Sampled again = on_device(1.3F, 0, 0.97F, 0.01F, 0.61);
    EXPECT_EQ(again.token, first.token);
    EXPECT_EQ(std::memcmp(&again.logprob, &first.logprob, 4), 0);
  }
}

TEST_F(CudaSampling, LogprobEqualsTheReference) {
  for (const int64_t n_vocab : {1, 3, 100, 49'152, 128'256}) {
    std::vector<float> logits = random_floats(4 * n_vocab, 3, 10.0F);
    if (n_vocab > 4) logits[4] = -kInf;
    const std::vector<int32_t> ids{0, static_cast<int32_t>(n_vocab - 1), 0,
                                   static_cast<int32_t>(n_vocab / 2)};
    const DeviceArray<float> dlogits(logits);
    const DeviceArray<int32_t> dids(ids);
    DeviceArray<float> out(4);
    out.fill_bytes(0xFF);
    device().logprob(stream_, {dlogits.data(), 4, n_vocab, dids.data(), out.data()});
    const std::vector<float> got = out.download();
    std::vector<float> want(4);
    reference::logprob({logits.data(), 4, n_vocab, ids.data(), want.data()});
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(got[i], want[i], 1e-5F) << n_vocab;
  }
}

}  // namespace
}  // namespace reattn::kernels
