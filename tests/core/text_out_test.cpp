// Stop strings over every way to split a text into tokens.
#include "core/engine/text_out.hpp"

#include <gtest/gtest.h>

#include <random>

namespace reattn::engine {
namespace {

struct Cut {
  std::string text;
  bool stopped;
  bool operator==(const Cut&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Cut& cut) {
  return out << '"' << cut.text << "\" " << (cut.stopped ? "stopped" : "not stopped");
}

// Byte by byte: the first stop string that is whole ends the text, of several that end together the longest.
Cut expected(std::string_view text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    }
    if (longest > 0) return {std::string(text.substr(0, end - longest)), true};
  }
  return {std::string(text), false};
}

// Bit i of `borders`: a token ends after byte i.
Cut streamed(std::string_view text, const std::vector<std::string>& stops, uint64_t borders) {
  TextOut out;
  for (const std::string& stop : stops) out.add_stop(stop);
  std::string shown;
  size_t begin = 0;
  for (size_t i = 0; i < text.size() && !out.stopped(); ++i) {
    if (i + 1 < text.size() && (borders >> i & 1) == 0) continue;
    shown += out.push(text.substr(begin, i + 1 - begin));
    begin = i + 1;
  }
  const bool stopped = out.stopped();
  return {shown + out.finish(), stopped};
}

void expect_any_split(const std::string& text, const std::vector<std::string>& stops) {
  ASSERT_LE(text.size(), 14u);
  const Cut want = expected(text, stops);
  for (uint64_t borders = 0; borders < uint64_t{1} << (text.size() - 1); ++borders) {
    ASSERT_EQ(streamed(text, stops, borders), want) << text << " split by " << borders;
  }
}

TEST(TextOut, AStopStringMayBeSplitAnywhere) {
  expect_any_split("one STOP two", {"STOP"});
  expect_any_split("STOP", {"STOP"});
  expect_any_split("ends in STOP", {"STOP"});
  expect_any_split("a\n\nb", {"\n\n"});
}

TEST(TextOut, ItsCharactersMayBeSplitToo) {
  expect_any_split("a\u00e9\u4e2d\U0001F41Fb", {"\u4e2d\U0001F41F"});
  expect_any_split("\U0001F41F\U0001F41F", {"\U0001F41F\U0001F41F"});
  // Characters that begin alike: U+4E2D and U+4E2E.
  expect_any_split("\u4e2e\u4e2d\u4e2e", {"\u4e2d"});
}

TEST(TextOut, OfOverlappingOnesTheFirstThatIsWholeCounts) {
  expect_any_split("xabcdx", {"abcd", "bc"});
  expect_any_split("xabcdx", {"bc", "abcd"});
  expect_any_split("xabcx", {"abc", "bc", "c"});
  expect_any_split("aab", {"ab"});
  expect_any_split("ababac", {"abac"});
  expect_any_split("aaaaab", {"aaab"});
  expect_any_split("abxabyabz", {"abz", "aby"});
}

TEST(TextOut, PartOfOneAtTheEndIsDeliveredInFull) {
  expect_any_split("one STO", {"STOP"});
  expect_any_split("aaa", {"aaaa", "aab"});
  expect_any_split("\U0001F41F", {"\U0001F41F\U0001F41F"});
}

TEST(TextOut, WhatIsNoStopStringIsNotHeldBack) {
  TextOut out;
  out.add_stop("STOP");
  EXPECT_EQ(out.push("one S"), "one ");
  EXPECT_EQ(out.push("T"), "");
  EXPECT_EQ(out.push("ART"), "START");
}

TEST(TextOut, BytesThatAreNoTextAreMarked) {
  for (const std::string& stop : {std::string("b"), std::string("\uFFFD")}) {
    TextOut whole, split;
    whole.add_stop(stop);
    split.add_stop(stop);
    std::string once = whole.push(
                    "a\xF0\x9F"
                    "b"),
                twice = split.push("a\xF0");
    twice += split.push("\x9F");
    twice += split.push("b");
    EXPECT_EQ(twice, once);
    EXPECT_TRUE(whole.stopped() && split.stopped());
  }
}

TEST(TextOut, AnyTextAnyStopsAnySplit) {
  std::mt19937 random(7);
  const auto some = [&](size_t most) {
    std::string text;
    for (size_t n = 1 + random() % most; n > 0; --n)
      text += random() % 5 ? "ab"[random() % 2] : 'c';
    return text;
  };
  for (int i = 0; i < 20'000; ++i) {
    std::vector<std::string> stops;
    for (size_t n = 1 + random() % 3; n > 0; --n) stops.push_back(some(5));
    const std::string text = some(14);
    const uint64_t borders = random();
    ASSERT_EQ(streamed(text, stops, borders), expected(text, stops)) << text;
  }
}

}  // namespace
}  // namespace reattn::engine
