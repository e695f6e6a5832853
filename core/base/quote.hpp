// Untrusted bytes made safe to show: for names and values from files inside messages and listings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace reattn::base {

// Length of the UTF-8 sequence `s` begins with, 0 where it begins with none (overlong forms,
// surrogates and code points above U+10FFFF are none).
constexpr size_t utf8_length(std::string_view s) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](size_t i) { return i < s.size() && (at(i) & 0xC0) == 0x80; };
  if (s.empty()) return 0;
  const unsigned c = at(0);
  if (c < 0x80) return 1;
  if (c < 0xC2 || c > 0xF4 || !tail(1)) return 0;
  if (c < 0xE0) return 2;
  const unsigned second = at(1);
  if (!tail(2)) return 0;
  if (c < 0xF0) {
    const bool bad = (c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F);
    return bad ? 0 : 3;
  }
  const bool bad = (c == 0xF0 && second < 0x90) || (c == 0xF4 && second > 0x8F);
  return bad || !tail(3) ? 0 : 4;
}

constexpr bool valid_utf8(std::string_view s) {
  while (!s.empty()) {
    const size_t n = utf8_length(s);
    if (n == 0) return false;
    s.remove_prefix(n);
  }
  return true;
}

// `s` as valid UTF-8 without control characters: those and broken bytes come out as
// \xNN; cut after about max_bytes of output with "..." to say so.
inline std::string printable(std::string_view s, size_t max_bytes = 96) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  while (!s.empty()) {
    if (out.size() >= max_bytes) return out + "...";
    const size_t n = utf8_length(s);
    const auto c = static_cast<unsigned char>(s[0]);
    if (n == 0 || c < 0x20 || c == 0x7F) {
      out.append("\\x").push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
      s.remove_prefix(1);
    } else {
      out.append(s.substr(0, n));
      s.remove_prefix(n);
    }
  }
  return out;
}

}  // namespace reattn::base
