// XXH64 against its published values, and its independence of how input is cut.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/io/checksum.hpp"

namespace reattn::io {
namespace {

uint64_t of(std::string_view text, uint64_t seed = 0) {
  return checksum(text.data(), text.size(), seed);
}

TEST(Checksum, PublishedStrings) {
  EXPECT_EQ(of(""), 0xEF46DB3751D8E999);
  EXPECT_EQ(of("a"), 0xD24EC4F1A98C6E5B);
  EXPECT_EQ(of("abc"), 0x44BC2CF5AD770999);
  EXPECT_EQ(of("message digest"), 0x066ED728FCEEB3BE);
  EXPECT_EQ(of("abcdefghijklmnopqrstuvwxyz"), 0xCFE1F278FA89835C);
  EXPECT_EQ(of("Nobody inspects the spammish repetition"), 0xFBCEA83C8A378BF1);
  EXPECT_EQ(of("a", 1), 16051599287423682246u);
  EXPECT_EQ(of("a", ~uint64_t{0}), 6972758980737027682u);
}

// The buffer of xxHash's own sanity check.
std::vector<unsigned char> sanity_buffer(size_t n) {
  std::vector<unsigned char> out(n);
  uint64_t w = 2654435761;
  for (auto& byte : out) {
    byte = static_cast<unsigned char>(w >> 56);
    w *= 11400714785074694797u;
  }
  return out;
}

TEST(Checksum, PublishedSanityBuffer) {
  constexpr uint64_t kSeed = 2654435761;
  const auto buffer = sanity_buffer(222);
  EXPECT_EQ(checksum(buffer.data(), 0, kSeed), 0xAC75FDA2929B17EF);
  EXPECT_EQ(checksum(buffer.data(), 1), 0xE934A84ADB052768);
  EXPECT_EQ(checksum(buffer.data(), 1, kSeed), 0x5014607643A9B4C3);
  EXPECT_EQ(checksum(buffer.data(), 4), 0x9136A0DCA57457EE);
  EXPECT_EQ(checksum(buffer.data(), 14), 0x8282DCC4994E35C8);
  EXPECT_EQ(checksum(buffer.data(), 14, kSeed), 0xC3BD6BF63DEB6DF0);
  EXPECT_EQ(checksum(buffer.data(), 222), 0xB641AE8CB691C174);
  EXPECT_EQ(checksum(buffer.data(), 222, kSeed), 0x20CB8AB7AE10C14A);
}

TEST(Checksum, SameHoweverItIsCut) {
  const auto buffer = sanity_buffer(203);
  const uint64_t whole = checksum(buffer.data(), buffer.size());
  for (size_t step = 1; step <= 70; ++step) {
    Checksum sum;
    for (size_t i = 0; i < buffer.size(); i += step) {
      sum.update(buffer.data() + i, std::min(step, buffer.size() - i));
      sum.update(nullptr, 0);
    }
    EXPECT_EQ(sum.value(), whole) << "in steps of " << step;
  }
}

TEST(Checksum, ValueMayBeAskedOnTheWay) {
  const auto buffer = sanity_buffer(222);
  Checksum sum;
  for (size_t n = 0; n < buffer.size(); ++n) {
    ASSERT_EQ(sum.value(), checksum(buffer.data(), n));
    sum.update(&buffer[n], 1);
  }
}

TEST(Checksum, EveryBitMatters) {
  auto buffer = sanity_buffer(100);
  const uint64_t whole = checksum(buffer.data(), buffer.size());
  for (size_t bit = 0; bit < buffer.size() * 8; ++bit) {
    buffer[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
    EXPECT_NE(checksum(buffer.data(), buffer.size()), whole);
    buffer[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace reattn::io
