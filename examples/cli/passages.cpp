#include "examples/cli/passages.hpp"

#include <algorithm>
#include <cmath>

#include "examples/cli/options.hpp"
#include "examples/cli/requests.hpp"

namespace reattn::cli {

std::vector<Passage> best_passages(const std::vector<std::vector<reattn_span>>& layers,
                                   size_t n_passages) {
  constexpr int64_t kLength = 48;
  int64_t n_tokens = 0;
  for (const auto& spans : layers) {
    for (const reattn_span& span : spans) n_tokens = std::max(n_tokens, span.end);
  }
  std::vector<double> density(n_tokens);  // votes per position
  for (const auto& spans : layers) {
    for (const reattn_span& span : spans) {
      const double share =
          static_cast<double>(span.votes) / static_cast<double>(span.end - span.begin);
      for (int64_t at = span.begin; at < span.end; ++at) density[at] += share;
    }
  }
  std::vector<Passage> passages;
  while (passages.size() < n_passages) {
    double sum = 0, best = 0;
    int64_t best_end = 0;
    for (int64_t at = 0; at < n_tokens; ++at) {
      sum += density[at];
      if (at >= kLength) sum -= density[at - kLength];
      if (sum > best * (1 + 1e-9)) {
        best = sum;
        best_end = at + 1;
      }
    }
    int64_t begin = std::max<int64_t>(0, best_end - kLength);
    while (begin < best_end && density[begin] == 0) ++begin;
    while (best_end > begin && density[best_end - 1] == 0) --best_end;
    const auto votes = static_cast<int64_t>(std::llround(best));
    if (votes == 0) break;
    passages.push_back({begin, best_end, votes});
    std::fill(density.begin() + begin, density.begin() + best_end, 0.0);
  }
  return passages;
}

void write_passages(const reattn_request* request, const reattn_session* session, int64_t n_layers,
                    size_t n_passages) {
  std::vector<std::vector<reattn_span>> layers;
  for (int64_t layer = 0; layer < n_layers; ++layer) {
    layers.push_back(recalled(request, layer, REATTN_RECALLED_PROMPT));
  }
  const std::vector<Passage> passages = best_passages(layers, n_passages);
  if (passages.empty()) {
    write_out("nothing was recalled\n");
    return;
  }
  write_out("recalled for the question:\n");
  for (const Passage& passage : passages) {
    const std::string text = one_line(session_text(session, passage.begin, passage.end));
    write_out("  tokens " + grouped(passage.begin) + "-" + grouped(passage.end - 1) + ", " +
              grouped(passage.votes) + " votes: " + text + "\n");
  }
}

std::string one_line(const std::string& text) {
  const auto continues = [&](size_t i) { return (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80; };
  size_t begin = 0, end = text.size();
  while (begin < end && continues(begin)) ++begin;
  size_t last = end;  // first byte of the last character
  while (last > begin && continues(last - 1)) --last;
  if (last > begin) {
    const auto lead = static_cast<uint8_t>(text[last - 1]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (last - 1 + length > end) end = last - 1;
  }
  std::string line;
  for (size_t i = begin; i < end; ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c > 0x20 && c != 0x7F) {
      line += text[i];
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

}  // namespace reattn::cli
