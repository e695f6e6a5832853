// Parts of the command that stand alone.
#include <gtest/gtest.h>

#include "examples/cli/options.hpp"
#include "examples/cli/passages.hpp"

namespace reattn::cli {
namespace {

TEST(CliParts, GroupsDigits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-1234), "-1,234");
  EXPECT_EQ(grouped(-123), "-123");
}

TEST(CliParts, OneLineKeepsWholeCharacters) {
  EXPECT_EQ(one_line("\xa9 caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(one_line("caf\xc3"), "caf");
  EXPECT_EQ(one_line("\xe6\x97\xa5\xe6\x9c"), "\xe6\x97\xa5");
  EXPECT_EQ(one_line("  a\n\n\tb\x1b[0m"), "a b [0m");
  EXPECT_EQ(one_line(""), "");
}

TEST(CliParts, PassagesOfSeveralLayersAddUp) {
  // Votes fall on [100, 132) in both layers, on [500, 532) in one.
  const auto passages = best_passages({{{100, 132, 10}, {500, 532, 12}}, {{100, 132, 5}}}, 5);
  ASSERT_EQ(passages.size(), 2u);
  EXPECT_EQ(passages[0].begin, 100);
  EXPECT_EQ(passages[0].end, 132);
  EXPECT_EQ(passages[0].votes, 15);
  EXPECT_EQ(passages[1].begin, 500);
  EXPECT_EQ(passages[1].votes, 12);
}

TEST(CliParts, LongSpansAreCutIntoPassages) {
  const auto passages = best_passages({{{0, 480, 100}}}, 3);
  ASSERT_EQ(passages.size(), 3u);
  for (const Passage& passage : passages) {
    EXPECT_EQ(passage.end - passage.begin, 48);
    EXPECT_EQ(passage.votes, 10);
  }
}

TEST(CliParts, NoVotesNoPassages) {
  EXPECT_TRUE(best_passages({{}, {}}, 3).empty());
}

}  // namespace
}  // namespace reattn::cli
