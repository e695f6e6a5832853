// Provenance: which passages the selection recalled, and with how many votes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
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
};

// Anchors of one layer, summed over steps.
class LayerRecall {
 public:
  // The span of an anchor is clamped to the middle [middle_begin, middle_end) of its step.
  void add(int64_t anchor, int64_t votes, int32_t span, int64_t middle_begin, int64_t middle_end);
  void add(const LayerRecall& other);
  void clear() { anchors_.clear(); }
  // Touching and overlapping spans merged; most voted first, ties: the earlier.
  std::vector<Span> spans() const;

 private:
  struct Entry {
    int64_t begin, end, votes;
  };
  std::map<int64_t, Entry> anchors_;  // by anchor position
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
