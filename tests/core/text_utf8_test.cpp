// UTF-8 checks and the stream that gives whole characters only.
#include <gtest/gtest.h>

#include "core/text/utf8.hpp"
#include "text_fixture.hpp"

namespace reattn::text {
namespace {

TEST(Utf8, AcceptsEveryCharacterAndNoSurrogate) {
  for (uint32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string s;
    test::append_utf8(s, c);
    const bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    ASSERT_EQ(check_utf8(s).valid(), !surrogate) << c;
    if (surrogate) continue;
    for (size_t n = 1; n < s.size(); ++n) {
      const Utf8Check check = check_utf8(std::string_view(s).substr(0, n));
      ASSERT_EQ(check.offset, 0u) << c;
      ASSERT_TRUE(check.incomplete) << c;
    }
  }
}

TEST(Utf8, TellsBrokenFromIncomplete) {
  struct Case {
    std::string_view bytes;
    size_t offset;
    bool incomplete;
  };
  const Case cases[] = {
      {"ab\x80", 2, false},
      {"ab\xC0\x80", 2, false},
      {"ab\xC1\xBF", 2, false},
      {"\xE0\x9F\xBF", 0, false},
      {"\xF0\x8F\xBF\xBF", 0, false},
      {"\xF4\x90\x80\x80", 0, false},
      {"\xF5", 0, false},
      {"\xFF", 0, false},
      {"a\xE2\x82", 1, true},
      {"a\xE2", 1, true},
      {"a\xE2\x28", 1, false},
      {"\xED\xA0", 0, false},
      {"\xF0\x9F\x98", 0, true},
      {"\xC3\xA9\xC3", 2, true},
  };
  for (const Case& c : cases) {
    const Utf8Check check = check_utf8(c.bytes);
    EXPECT_EQ(check.offset, c.offset);
    EXPECT_EQ(check.incomplete, c.incomplete);
  }
  EXPECT_TRUE(check_utf8("").valid());
  EXPECT_TRUE(check_utf8(std::string_view("\0", 1)).valid());
}

TEST(Utf8Stream, GivesTheSameTextHoweverItIsCut) {
  const std::string text =
      "h\xC3\xA9llo \xE6\xBC\xA2 \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80!";
  for (size_t step = 1; step <= text.size(); ++step) {
    Utf8Stream stream;
    std::string out;
    for (size_t i = 0; i < text.size(); i += step) {
      const std::string piece = stream.push(std::string_view(text).substr(i, step));
      EXPECT_TRUE(check_utf8(piece).valid());
      out += piece;
      EXPECT_LE(stream.n_held(), 3u);
      EXPECT_EQ(out.size() + stream.n_held(), std::min(i + step, text.size()));
    }
    EXPECT_EQ(out, text);
    EXPECT_EQ(stream.finish(), "");
  }
}

TEST(Utf8Stream, ReplacesWhatIsBroken) {
  const std::string bad = "\xEF\xBF\xBD";
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xFF"
                        "b"),
            "a" + bad + "b");
  EXPECT_EQ(stream.push("\xE2\x82"), "");
  EXPECT_EQ(stream.push("x"), bad + "x");
  EXPECT_EQ(stream.push("\xF0\x9F\x98"), "");
  EXPECT_EQ(stream.finish(), bad);
  EXPECT_EQ(stream.finish(), "");
  // One mark for each maximal part, as the Unicode standard recommends and Python does.
  EXPECT_EQ(stream.push("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41\xC0\x80"),
            bad + bad + bad + bad + "A" + bad + bad);
}

}  // namespace
}  // namespace reattn::text
