// Provenance: which passages the selection recalled, and with how many votes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reattn::engine {

enum class RecalledScope : int32_t {
  kLastStep = 1,  // the last committed chunk or generated token
  kPrompt = 2,    // all chunks of the last append that was read
  kAnswer = 3,    // all steps of generated tokens of this request
};

struct Span {
  int64_t begin = 0;  // first token position
  int64_t end = 0;    // one past the last
  int64_t votes = 0;  // of the anchors whose spans merged into this one
  bool operator==(const Span&) const = default;
};

// What one layer recalled, summed over steps. Adding is a push; spans that touch are merged when enough have come, so that
// no more are held than twice those that lie apart, and a few.
class LayerRecall {
 public:
  // The span of an anchor is clamped to the middle [middle_begin, middle_end) of its step.
  void add(int64_t anchor, int64_t votes, int32_t span, int64_t middle_begin, int64_t middle_end) {
    add({std::max(middle_begin, anchor - span / 2), std::min(middle_end, anchor + span - span / 2),
         votes});
  }
  void add(const LayerRecall& other);
  void clear() { *this = {}; }
  // Touching and overlapping spans merged; most voted first, ties: the earlier.
  std::vector<Span> spans() const;

 private:
  static constexpr size_t kFewSpans = 1024;

  void add(const Span& span) {
    if (spans_.size() >= limit_) merge();
    spans_.push_back(span);
  }
  void merge();

  std::vector<Span> spans_;  // in the order they came
  size_t n_merged_ = 0;      // but for the first ones, which ascend and lie apart
  size_t limit_ = kFewSpans;
};

// What a request has recalled so far.
class RecallLog {
 public:
  explicit RecallLog(size_t n_layers)
      : last_step_(n_layers), prompt_(n_layers), answer_(n_layers) {}

  // An append begins: its chunks are the prompt from now on.
  void begin_append();
  // What one chunk or token has recalled, [n_layers]: the last step, and part of the scope `to`.
  void add(std::vector<LayerRecall> step, RecalledScope to);
  // Layer −1: all together. Throws Error(kArg) for a layer or scope that there is not.
  std::vector<Span> spans(int64_t layer, RecalledScope scope) const;

 private:
  std::vector<LayerRecall> last_step_, prompt_, answer_;  // [n_layers]
};

}  // namespace reattn::engine
