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
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    return held_.substr(0, first);
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
