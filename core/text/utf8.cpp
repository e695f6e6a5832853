// UTF-8 by the table of well-formed byte sequences (Unicode 3.9, table 3-7).
#include "core/text/utf8.hpp"

#include <cstdint>

namespace reattn::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Sequence {
  size_t n_bytes;  // that belong together, at least 1 where any are left
  enum { kWhole, kBroken, kIncomplete } state;
};

// The character at the front of `bytes`, which is not empty, or the longest part of one.
Sequence next_sequence(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return {1, Sequence::kWhole};
  if (lead < 0xC2 || lead > 0xF4) return {1, Sequence::kBroken};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {i, Sequence::kIncomplete};
    // The second byte rules out overlong forms, surrogates and what is above U+10FFFF.
    const uint8_t low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at(i) < low || at(i) > high) return {i, Sequence::kBroken};
  }
  return {length, Sequence::kWhole};
}

}  // namespace

Utf8Check check_utf8(std::string_view bytes) {
  size_t offset = 0;
  while (offset < bytes.size()) {
    if (static_cast<uint8_t>(bytes[offset]) < 0x80) {
      ++offset;
      continue;
    }
    const Sequence sequence = next_sequence(bytes.substr(offset));
    if (sequence.state != Sequence::kWhole) {
      return {offset, sequence.state == Sequence::kIncomplete};
    }
    offset += sequence.n_bytes;
  }
  return {};
}

std::string Utf8Stream::push(std::string_view bytes) {
  held_.append(bytes);
  std::string out;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Check check = check_utf8(rest);
    if (check.valid()) {
      out.append(rest);
      rest = {};
      break;
    }
    out.append(rest.substr(0, check.offset));
    rest.remove_prefix(check.offset);
    if (check.incomplete) break;
    out.append(kReplacement);
    rest.remove_prefix(next_sequence(rest).n_bytes);
  }
  held_ = std::string(rest);
  return out;
}

std::string Utf8Stream::finish() {
  const bool any = !held_.empty();
  held_.clear();
  return any ? std::string(kReplacement) : std::string();
}

}  // namespace reattn::text
