// One step through the layers: ids in, logits out, layer by layer so that a caller can stop at any border.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/cache/kv_cache.hpp"
#include "core/device/buffer.hpp"
#include "core/model/config.hpp"
#include "core/model/rope.hpp"
#include "core/model/weights.hpp"
#include "core/select/selector.hpp"
#include "reattn/kernels/device.hpp"

namespace reattn::model {

// Holds the activations of one step at a time; the cache belongs to the caller.
class Decoder {
 public:
  Decoder(std::shared_ptr<kernels::Device> device, const Config& config, const Weights& weights,
          std::shared_ptr<const Rope> rope, const select::Settings& settings);

  // Most tokens of one step: as many whole chunks as the device takes through a layer together, at least one.
  int64_t max_rows() const { return max_rows_; }

  // Starts a step for ids at positions [begin, begin + n): reserves cache pages and embeds. At most max_rows ids, of
  // one append, from the beginning of a chunk on. An unfinished step is forgotten.
  void begin(kernels::Stream& stream, std::span<const int32_t> ids, int64_t begin,
             cache::KvCache& cache);
  // Runs the next layer; true when that was the last one.
  bool run_layer(kernels::Stream& stream, cache::KvCache& cache);

  // After the last layer.
  const std::vector<select::Chunk>& chunks() const { return selector_.chunks(); }
  // Of the chunk's last row: [n_vocab], in device memory until the next call.
  const float* logits(kernels::Stream& stream, const select::Chunk& chunk);
  // Takes a copy in place of those.
  const float* keep(kernels::Stream& stream, const float* logits);
  // log p(id of row i + 1 | … id of row i) of the chunk's rows but the last: [n − 1].
  void read_logprobs(kernels::Stream& stream, const select::Chunk& chunk, std::span<float> out);
  select::Selector::Anchors read_anchors(kernels::Stream& stream) const {
    return selector_.read_anchors(stream);
  }

  // Samples from `logits` [n_vocab], device memory.
  struct Sampled {
    int32_t token;
    float logprob;
  };
  Sampled sample(kernels::Stream& stream, const float* logits, kernels::SampleArgs args);

  // Device memory that a decoder takes.
  static size_t working_bytes(const Config& config, const select::Settings& settings,
                              const kernels::Device& device);

 private:
  // Logits of rows [row, row + n_rows).
  void project(kernels::Stream& stream, int64_t row, int64_t n_rows);

  std::shared_ptr<kernels::Device> device_;
  const Config& config_;
  const Weights& weights_;
  std::shared_ptr<const Rope> rope_;
  int64_t max_rows_;
  select::Selector selector_;

  device::Buffer activations_;  // f32: the rows below, one after the other
  float* x_;                    // [max_rows, n_embd]: the residual stream
  float* normed_;               // [max_rows, n_embd]
  float* q_;                    // [max_rows, n_heads, head_dim]
  float* k_;                    // [max_rows, n_kv_heads, head_dim]
  float* v_;                    // [max_rows, n_kv_heads, head_dim]
  float* attended_;             // [max_rows, n_heads, head_dim]
  float* gate_;                 // [max_rows, n_ff]
  float* up_;                   // [max_rows, n_ff]
  device::Buffer logits_;       // f32 [kLogitRows, n_vocab]
  device::Buffer ids_;          // int32 [max_rows]
  device::Buffer scalars_;      // what was Sampled, or log-probabilities: f32 [chunk]

  int64_t n_rows_ = 0;
  int64_t begin_ = 0;
  int64_t layer_ = 0;
};

}  // namespace reattn::model
