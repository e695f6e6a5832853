// Sampling and log-probabilities: the fast ones against the reference, and the reference against
// its definition.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "kernels/cpu/ops.hpp"
#include "kernels/cpu/reference/reference.hpp"
#include "tests/kernels/random_matrix.hpp"

namespace reattn::kernels::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Sampled {
  int32_t token = -1;
  float logprob = 0;
};

class Sampling : public testing::Test {
 protected:
  Sampled both(const std::vector<float>& logits, float temperature, int32_t top_k, float top_p,
               float min_p, double uniform) {
    Sampled fast, plain;
    SampleArgs a{logits.data(), static_cast<int64_t>(logits.size()),
                 temperature,   top_k,
                 top_p,         min_p,
                 uniform,       &fast.token,
                 &fast.logprob};
    sample(context_, a);
    a.token = &plain.token;
    a.logprob = &plain.logprob;
    reference::sample(a);
    EXPECT_EQ(fast.token, plain.token)
        << "temperature " << temperature << ", top_k " << top_k << ", top_p " << top_p << ", min_p "
        << min_p << ", uniform " << uniform;
    EXPECT_NEAR(fast.logprob, plain.logprob, 1e-5F);
    return fast;
  }

  ThreadPool pool_{2};
  ScratchPool scratch_;
  Context context_{pool_, scratch_, nullptr};
};

TEST_F(Sampling, TakesTheLargestAtTemperatureZero) {
  EXPECT_EQ(both({1, 5, 5, 2}, 0, 0, 1, 0, 0.9).token, 1);
  EXPECT_EQ(both({NAN, -3, NAN, -2}, 0, 0, 1, 0, 0.9).token, 3);
  EXPECT_EQ(both({0.5F}, 0, 0, 1, 0, 0).token, 0);
  std::vector<float> logits = random_floats(50'257, 1);
  logits[50'256] = 9;
  EXPECT_EQ(both(logits, 0, 40, 0.5F, 0.1F, 0.5).token, 50'256);
}

TEST_F(Sampling, EqualsTheReference) {
  std::vector<float> logits = random_floats(3001, 2, 3.0F);
  for (size_t i = 0; i < logits.size(); i += 7) logits[i] = logits[0];  // many equals
  logits[11] = NAN;
  logits[12] = -kInf;
  for (const float temperature : {0.2F, 1.0F, 3.0F}) {
    for (const int32_t top_k : {0, 1, 40, 300, 100'000}) {
      for (const float top_p : {0.01F, 0.5F, 0.95F, 1.0F}) {
        for (const float min_p : {0.0F, 0.05F, 1.0F}) {
          for (const double uniform : {0.0, 0.123, 0.5, 0.987, 0.9999}) {
            both(logits, temperature, top_k, top_p, min_p, uniform);
          }
        }
      }
    }
  }
}

TEST_F(Sampling, FollowsTheProbabilities) {
  const std::vector<float> logits{std::log(0.1F), std::log(0.6F), std::log(0.3F)};
  std::map<int32_t, int> counts;
  for (int i = 0; i < 1000; ++i) ++counts[both(logits, 1, 0, 1, 0, (i + 0.5) / 1000).token];
  EXPECT_NEAR(counts[1], 600, 1);
  EXPECT_NEAR(counts[2], 300, 1);
  EXPECT_NEAR(counts[0], 100, 1);
  EXPECT_NEAR(both(logits, 1, 0, 1, 0, 0.7).logprob, std::log(0.3F), 1e-6F);
  // What the cuts leave shares the whole: 0.6 and 0.3 become 2/3 and 1/3.
  for (const auto& [top_k, top_p, min_p] :
       {std::tuple{2, 1.0F, 0.0F}, {0, 0.85F, 0.0F}, {0, 1.0F, 0.4F}}) {
    EXPECT_EQ(both(logits, 1, top_k, top_p, min_p, 0.66).token, 1);
    EXPECT_EQ(both(logits, 1, top_k, top_p, min_p, 0.67).token, 2);
    EXPECT_EQ(both(logits, 1, top_k, top_p, min_p, 0.9999).token, 2);
  }
}

TEST_F(Sampling, NanAndInfinityDoNotWinByAccident) {
  for (const double uniform : {0.0, 0.4, 0.6, 0.999}) {
    const int32_t token = both({NAN, 1, -kInf, 1, NAN}, 1, 0, 1, 0, uniform).token;
    EXPECT_EQ(token, uniform < 0.5 ? 1 : 3);
    const Sampled certain = both({3, kInf, 5, kInf}, 0.7F, 0, 0.9F, 0, uniform);
    EXPECT_TRUE(certain.token == 1 || certain.token == 3);
    EXPECT_NEAR(certain.logprob, std::log(0.5F), 1e-6F);
  }
  std::vector<float> two_left(5000, -kInf);
  two_left[7] = two_left[4000] = 1;
  EXPECT_EQ(both(two_left, 1, 0, 1, 0, 1.0 - 1e-16).token, 4000);
  for (const float nothing : {static_cast<float>(NAN), -kInf}) {
    const std::vector<float> logits(100, nothing);
    for (const float temperature : {0.0F, 1.0F}) {
      int32_t token = -1;
      float logprob_out = 0;
      const SampleArgs a{logits.data(), 100, temperature, 0, 1, 0, 0.5, &token, &logprob_out};
      EXPECT_THROW(sample(context_, a), Error);
      EXPECT_THROW(reference::sample(a), Error);
    }
  }
}

TEST_F(Sampling, TinyTemperatureIsGreedy) {
  const std::vector<float> logits{1.0F, 1.001F, 0.5F};
  for (const double uniform : {0.0, 0.5, 0.999}) {
    EXPECT_EQ(both(logits, 1e-30F, 0, 1, 0, uniform).token, 1);
  }
}

TEST_F(Sampling, LogprobEqualsTheReference) {
  for (const int64_t n_vocab : {1, 3, 100, 49'152}) {
    std::vector<float> logits = random_floats(4 * n_vocab, 3, 10.0F);
    if (n_vocab > 4) logits[4] = -kInf;
    const std::vector<int32_t> ids{0, static_cast<int32_t>(n_vocab - 1), 0,
                                   static_cast<int32_t>(n_vocab / 2)};
    std::vector<float> got(4), want(4);
    LogprobArgs a{logits.data(), 4, n_vocab, ids.data(), got.data()};
    logprob(context_, a);
    a.out = want.data();
    reference::logprob(a);
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(got[i], want[i], 1e-5F) << n_vocab;
  }
}

TEST_F(Sampling, LogprobRefusesWhatItCannotRead) {
  std::vector<float> logits(10, 1.0F);
  float out = 0;
  for (const int32_t id : {-1, 10}) {
    EXPECT_THROW(logprob(context_, {logits.data(), 1, 10, &id, &out}), Error);
  }
  const int32_t id = 3;
  logits.assign(10, NAN);
  EXPECT_THROW(logprob(context_, {logits.data(), 1, 10, &id, &out}), Error);
  EXPECT_THROW(reference::logprob({logits.data(), 1, 10, &id, &out}), Error);
}

}  // namespace
}  // namespace reattn::kernels::cpu
