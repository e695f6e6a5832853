// reattn trace against the reference implementation's results. Runs where REATTN_TEST_MODEL names
// SmolLM2-135M-Instruct in Q4_1, which the cases in tests/data/golden were computed with. With REATTN_TEST_DEVICE=cuda: on the
// GPU, whose BF16 arithmetic moves a small set much.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/cli/command.hpp"

namespace reattn::test {
namespace {

using Json = nlohmann::json;

// Intersection over union of two ascending lists of positions; 1 for two empty ones.
double overlap(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  const size_t either = a.size() + b.size() - both.size();
  return either == 0 ? 1 : static_cast<double>(both.size()) / static_cast<double>(either);
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, Reproduced) {
  const char* model = std::getenv("REATTN_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "REATTN_TEST_MODEL names no model";
  const char* device = std::getenv("REATTN_TEST_DEVICE");
  const bool on_gpu = device != nullptr && std::string(device) == "cuda";
  const std::string path = std::string(REATTN_GOLDEN_CASES) + "/" + GetParam() + ".json";
  std::ifstream file(path);
  const Json expected = Json::parse(file);
  const Outcome outcome = reattn_command(
      {"trace", model, path, "--device", on_gpu ? "cuda" : "cpu", "--kv", on_gpu ? "bf16" : "f32"});
  if (on_gpu && outcome.err.find("CUDA: ") != std::string::npos) GTEST_SKIP() << "no CUDA device";
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json result = Json::parse(outcome.out);

  const Json& selected = expected["selected"];
  ASSERT_EQ(result["selected"].size(), selected.size());
  double sum = 0, worst = 1;
  for (size_t i = 0; i < selected.size(); ++i) {
    const Json& got = result["selected"][i];
    EXPECT_EQ(got["chunk_start"], selected[i]["chunk_start"]);
    EXPECT_EQ(got["layer"], selected[i]["layer"]);
    const double o = overlap(got["positions"].get<std::vector<int64_t>>(),
                             selected[i]["positions"].get<std::vector<int64_t>>());
    sum += o;
    worst = std::min(worst, o);
  }
  const double mean = sum / static_cast<double>(selected.size());
  EXPECT_GE(mean, on_gpu ? 0.88 : 0.999);
  EXPECT_GE(worst, on_gpu ? 0.5 : 0.95);

  const auto nll = result["nll"].get<std::vector<double>>();
  const auto expected_nll = expected["nll"].get<std::vector<double>>();
  ASSERT_EQ(nll.size(), expected_nll.size());
  double nll_apart = 0, nll_sum = 0;  // of the worst chunk, of all
  for (size_t i = 0; i < nll.size(); ++i) {
    nll_apart = std::max(nll_apart, std::abs(nll[i] - expected_nll[i]));
    nll_sum += nll[i] - expected_nll[i];
  }
  if (on_gpu) {
    EXPECT_LE(std::abs(nll_sum) / static_cast<double>(nll.size()), 0.03);
    std::printf(
        "overlap mean %.4f worst %.4f, NLL apart %.4f in the mean, %.4f in the worst chunk\n", mean,
        worst, std::abs(nll_sum) / static_cast<double>(nll.size()), nll_apart);
    return;
  }
  EXPECT_LE(nll_apart, 0.002);

  // Ids by logit: two that are closer than the tolerance may change places.
  std::map<int64_t, double> logits;
  for (const Json& pair : result["top_logits"]) logits[pair[0]] = pair[1];
  ASSERT_EQ(logits.size(), 10u);
  const double lowest = expected["top_logits"].back()[1];
  double logit_apart = 0;
  for (const Json& pair : expected["top_logits"]) {
    const auto found = logits.find(pair[0].get<int64_t>());
    if (found == logits.end()) {
      EXPECT_LE(pair[1].get<double>() - lowest, 0.01) << "token " << pair[0] << " is missing";
    } else {
      logit_apart = std::max(logit_apart, std::abs(found->second - pair[1].get<double>()));
    }
  }
  EXPECT_LE(logit_apart, 0.01);
  std::printf("overlap mean %.5f worst %.5f, nll apart %.6f, logits apart %.6f\n", mean, worst,
              nll_apart, logit_apart);
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden,
                         testing::Values("block1_stride", "cuts_and_decode", "paper_shape",
                                         "small_scope"));

}  // namespace
}  // namespace reattn::test
