// From token bytes to text that may be shown: whole UTF-8, cut at stop strings that run across tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/text/utf8.hpp"

namespace reattn::engine {

class TextOut {
 public:
  void add_stop(std::string stop) { stops_.push_back(std::move(stop)); }

  // Text that is certain now that a token's bytes have come; what could begin a stop string is held back.
  std::string push(std::string_view bytes);
  // A stop string has appeared; the text before it has been handed out.
  bool stopped() const { return stopped_; }
  // What was held back, when generation ends for another reason.
  std::string finish();

 private:
  std::string cut(std::string text);

  std::vector<std::string> stops_;
  text::Utf8Stream utf8_;
  std::string held_;  // a proper prefix of some stop string
  bool stopped_ = false;
};

}  // namespace reattn::engine
