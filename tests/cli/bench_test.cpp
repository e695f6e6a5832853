// reattn bench.
#include "tests/cli/fixture.hpp"

namespace reattn::test {
namespace {

class Bench : public Command {};

TEST_F(Bench, ALineForEachLength) {
  const auto lines =
      json_lines({"bench", model(), "--lengths", "100,700", "--decode", "5", "--threads", "1"});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["length"], 100);
  EXPECT_EQ(lines[1]["length"], 700);
  for (const auto& line : lines) {
    EXPECT_GT(line["prefill_tokens_per_second"], 0);
    EXPECT_GT(line["decode_tokens_per_second"], 0);
    EXPECT_EQ(line["n_decode"], 5);
    EXPECT_EQ(line["n_threads"], 1);
    EXPECT_GT(line["peak_bytes"], 1 << 20);
  }
}

TEST_F(Bench, SessionsGenerateTogether) {
  const auto lines = json_lines(
      {"bench", model(), "--lengths", "400", "--decode", "4", "--sessions", "5", "--threads", "1"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["sessions"], 5);
  EXPECT_EQ(lines[0]["n_decode"], 4);
  const double each = lines[0]["decode_tokens_per_second_each"];
  EXPECT_GT(each, 0);
  EXPECT_NEAR(lines[0]["decode_tokens_per_second"].get<double>(), 5 * each, 1e-6 * each);
}

TEST_F(Bench, TextIsRepeated) {
  const auto lines =
      json_lines({"bench", model(), "--lengths", "3000", "--decode", "0", "--file", document()});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["length"], 3000);
  EXPECT_EQ(lines[0]["n_decode"], 0);
}

TEST_F(Bench, AShapeInsteadOfAModel) {
  const auto lines = json_lines({"bench", "--geometry", "smollm2-135m", "--device", "cpu",
                                 "--lengths", "64", "--decode", "1", "--threads", "1"});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["model"]["geometry"], "smollm2-135m");
  EXPECT_EQ(lines[0]["model"]["weights"], "random");
  EXPECT_EQ(lines[0]["n_decode"], 1);
}

TEST_F(Bench, AsksForAModelOrAShape) {
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"bench"},
                                                {"bench", "--geometry", "gpt-5"},
                                                {"bench", model(), "--geometry", "smollm2-135m"}}) {
    const Outcome outcome = reattn_command(wrong);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_NE(outcome.err.find("geometry"), std::string::npos) << outcome.err;
  }
}

}  // namespace
}  // namespace reattn::test
