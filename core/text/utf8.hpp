// UTF-8: finding the first fault, and cutting a byte stream into whole characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace reattn::text {

struct Utf8Check {
  static constexpr size_t kValid = static_cast<size_t>(-1);

  size_t offset = kValid;   // first byte that does not belong to a whole character, or kValid
  bool incomplete = false;  // the fault is that the text ends inside a character begun well

  bool valid() const { return offset == kValid; }
};

// Strict: no overlong forms, no surrogates, nothing above U+10FFFF.
Utf8Check check_utf8(std::string_view bytes);

// Turns bytes that arrive in pieces (tokens) into pieces of whole, valid UTF-8.
class Utf8Stream {
 public:
  // The longest whole-character text that held bytes and `bytes` make; up to 3 bytes of a character
  // begun are held for the next call. Each maximal invalid part becomes one U+FFFD.
  std::string push(std::string_view bytes);

  // What is left at the end: U+FFFD when the stream ends inside a character, else nothing.
  std::string finish();

  // Bytes held back for the next push().
  size_t n_held() const { return held_.size(); }

 private:
  std::string held_;
};

}  // namespace reattn::text
