// reattn score.

#include "tests/cli/fixture.hpp"

namespace reattn::test {
namespace {

using Json = nlohmann::json;

class Score : public Command {};

TEST_F(Score, MeanAndSumOfTheTokens) {
  const auto lines = json_lines({"score", model(), "--file", document(), "--prompt",
                                 "Which colour?", "--answer", "It is red."});
  ASSERT_EQ(lines.size(), 1u);
  const Json& score = lines[0];
  const auto logprobs = score["logprobs"].get<std::vector<double>>();
  ASSERT_EQ(logprobs.size(), score["n_tokens"].get<size_t>());
  double sum = 0;
  for (const double logprob : logprobs) {
    EXPECT_LT(logprob, 0);
    sum -= logprob;
  }
  EXPECT_NEAR(score["sum"].get<double>(), sum, 1e-4);
  EXPECT_NEAR(score["nll"].get<double>(), sum / static_cast<double>(logprobs.size()), 1e-5);
}

TEST_F(Score, QuestionsOfAFileFromASnapshot) {
  const std::string snapshot = file("score.snapshot");
  const auto first = json_lines({"score", model(), "--file", document(), "--save", snapshot,
                                 "--prompt", "Which colour?", "--answer", "Red."});
  const std::string questions = write("questions.jsonl",
                                      "{\"prompt\": \"How many?\", \"answer\": \"Ten.\"}\n\n"
                                      "{\"prompt\": \"Which colour?\", \"answer\": \"Red.\"}\n");
  const auto lines =
      json_lines({"score", model(), "--snapshot", snapshot, "--question-file", questions});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1], first[0]);
  EXPECT_NE(lines[0], first[0]);
}

// The most likely token has the highest score of all answers of one token.
TEST_F(Score, AgreesWithTheAnswer) {
  std::string answer = succeed(
      {"run", model(), "--file", document(), "--raw", "--prompt", "A", "--max-tokens", "1"});
  answer.pop_back();
  if (answer.empty()) GTEST_SKIP() << "the model's first token is not text";
  const auto nll = [&](const std::string& given) {
    return json_lines({"score", model(), "--file", document(), "--raw", "--prompt", "A", "--answer",
                       given})[0]["logprobs"][0]
        .get<double>();
  };
  EXPECT_GT(nll(answer), nll(answer == "x" ? "y" : "x"));
}

TEST_F(Score, RecallMatters) {
  const std::vector<std::string> ask = {"score",    model(),         "--file",   document(),
                                        "--prompt", "Which colour?", "--answer", "Red."};
  std::vector<std::string> without = ask;
  without.insert(without.end(), {"--n-anchors", "0"});
  EXPECT_NE(json_lines(ask)[0]["nll"], json_lines(without)[0]["nll"]);
}

}  // namespace
}  // namespace reattn::test
