// The selection of one layer and step (method.md): split, score, vote, expand; then attention over the set. A step may take
// several chunks through the layers together, of one sequence or of several; each selects for itself, as if it
// had come alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/device/buffer.hpp"
#include "core/select/settings.hpp"
#include "reattn/kernels/device.hpp"

namespace reattn::select {

struct Anchor {
  int32_t position;
  int32_t votes;
};

// The tokens of one sequence in a step: n_rows of them, at [begin, begin + n_rows) of its cache.
struct Part {
  int64_t begin;
  int64_t n_rows;
};

// Tokens of one part that select together: rows [row, row + n_rows) of the step.
struct Chunk {
  size_t part;
  int64_t row;
  int64_t n_rows;
  Split at;  // of the part's cache up to its last token
};

// What is attended to besides the queries themselves. Pointers are device memory.
struct AttentionShape {
  int32_t n_heads;
  float scale;
  kernels::RopeTable rope;
};

// Sizes of a model and of the largest step.
struct StepShape {
  int64_t n_layers;
  int64_t n_heads;
  int64_t n_chunks;                // of settings.chunk tokens
  std::vector<bool> sliding = {};  // [n_layers] those that recall nothing; empty: all recall

  bool recalls(size_t layer) const { return sliding.empty() || !sliding[layer]; }
};

// Holds the working memory of the selection; for one step at a time.
class Selector {
 public:
  Selector(std::shared_ptr<kernels::Device> device, const Settings& settings,
           const StepShape& shape);

  // Starts a step: each part is cut into chunks from its own beginning.
  void begin(std::span<const Part> parts);
  const std::vector<Chunk>& chunks() const { return chunks_; }

  // Attention of the step's tokens, which are in the cache, over global | recalled | local.
  // q, out: [n_rows, n_heads, head_dim], q without position; pages: of each part.
  void recall_attend(kernels::Stream& stream, const AttentionShape& shape, int64_t layer,
                     const float* q, std::span<const kernels::KvPages> pages, float* out);

  // The same of a layer whose tokens see the last n_window ones, themselves included, and nothing else. A row at a time once the
  // window is full: the rows of a chunk then see different beginnings.
  void slide_attend(kernels::Stream& stream, const AttentionShape& shape, int64_t n_window,
                    const float* q, std::span<const kernels::KvPages> pages, float* out);

  // The anchors of all layers, after the last one: [n_layers][n_chunks], most voted first; none where nothing was recalled.
  using Anchors = std::vector<std::vector<std::vector<Anchor>>>;
  Anchors read_anchors(kernels::Stream& stream) const;

  // The same for a step whose anchors are on their way, while the selector goes on to the next.
  class AnchorRead {
   public:
    const std::vector<Chunk>& chunks() const { return chunks_; }
    Anchors wait() const;

   private:
    friend class Selector;
    std::unique_ptr<kernels::Transfer> transfer_;
    std::vector<Chunk> chunks_;
    Settings settings_;
    StepShape shape_{};
  };
  void start_read(kernels::Stream& stream, AnchorRead& to) const;

  // Bytes of working memory.
  static size_t working_bytes(const Settings& settings, const StepShape& shape);

 private:
  // One layer's attention on its way to the device.
  struct Layer {
    const AttentionShape& shape;
    int64_t index;
    const float* q;
    std::span<const kernels::KvPages> pages;
    float* out;
  };
  bool recalls(const Chunk& chunk) const { return recalls(chunk, settings_); }
  static bool recalls(const Chunk& chunk, const Settings& settings) {
    return chunk.at.has_middle() && settings.n_anchors > 0;
  }
  static bool any_recalls(std::span<const Chunk> chunks, const Settings& settings);
  static Anchors unpack(const int32_t* found, const StepShape& shape, std::span<const Chunk> chunks,
                        const Settings& settings);
  size_t found_bytes() const;  // of the step
  void add_selection(const Layer& layer, size_t chunk);
  void add_attention(const Layer& layer, size_t chunk);

  std::shared_ptr<kernels::Device> device_;
  Settings settings_;
  StepShape shape_;
  device::Buffer picks_;      // int32 [n_chunks][voters, n_heads, top_k]
  device::Buffer positions_;  // int32 [n_chunks][n_anchors * span]
  device::Buffer counts_;     // int32 [n_chunks]: positions recalled
  // Of all layers, read by the host once a step. With the step's own number of chunks, int32: anchors found
  // [n_layers][chunks], anchors [n_layers][chunks][n_anchors], their votes likewise.
  device::Buffer found_;
  std::vector<Chunk> chunks_;
  std::vector<kernels::ScoreArgs> scores_;  // of one layer, as are the next three
  std::vector<kernels::VoteArgs> votes_;
  std::vector<kernels::ExpandArgs> expands_;
  std::vector<kernels::AttendArgs> attends_;
};

}  // namespace reattn::select
