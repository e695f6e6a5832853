#include "core/engine/text_out.hpp"

#include <algorithm>

namespace reattn::engine {

std::string TextOut::push(std::string_view bytes) {
  return cut(utf8_.push(bytes));
}

std::string TextOut::finish() {
  if (stopped_) return {};
  std::string out = cut(utf8_.finish());
  if (!stopped_) out += held_;
  held_.clear();
  return out;
}

std::string TextOut::cut(std::string text) {
  if (stopped_) return {};
  held_ += text;
  // However the text came in pieces: the stop string that is whole first, of several the longest.
  size_t begin = 0, end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos) continue;
    const size_t after = at + stop.size();
    if (after < end || (after == end && at < begin)) begin = at, end = after;
  }
  if (end != std::string::npos) {
    stopped_ = true;
    return held_.substr(0, begin);
  }
  size_t n_keep = 0;
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(held_.size(), stop.size() - 1); n > n_keep; --n) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, n))) {
        n_keep = n;
        break;
      }
    }
  }
  std::string out = held_.substr(0, held_.size() - n_keep);
  held_.erase(0, out.size());
  return out;
}

}  // namespace reattn::engine
