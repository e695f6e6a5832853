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

// What one sequence takes through the layers: ids for positions [begin, begin + n) of its cache.
struct Part {
  std::span<const int32_t> ids;  // of one append, from the beginning of a chunk on
  int64_t begin;
  const cache::KvCache* cache;  // which has reserved them
};

// Holds the activations of one step at a time; caches belong to the caller, and stay where they are until the last layer.
class Decoder {
 public:
  // max_rows: most tokens of one step, a multiple of settings.chunk. Without it: as many whole chunks as the device takes
  // through a layer together, at least one.
  Decoder(std::shared_ptr<kernels::Device> device, const Config& config, const Weights& weights,
          std::shared_ptr<const Rope> rope, const select::Settings& settings, int64_t max_rows);
  Decoder(std::shared_ptr<kernels::Device> device, const Config& config, const Weights& weights,
          std::shared_ptr<const Rope> rope, const select::Settings& settings);

  int64_t max_rows() const { return max_rows_; }

  // Starts a step: embeds. At most max_rows ids. An unfinished step is forgotten.
  void begin(kernels::Stream& stream, std::span<const Part> parts);
  // The same with the one token that sample() or start_sample() has drawn last, whatever the host knows of it: its position
  // `begin` of the cache.
  void begin_sampled(kernels::Stream& stream, int64_t begin, const cache::KvCache& cache);
  // Runs the next layer; true when that was the last one.
  bool run_layer(kernels::Stream& stream);

  // After the last layer.
  const std::vector<select::Chunk>& chunks() const { return selector_.chunks(); }
  // Of the chunk's last row: [n_vocab], in device memory until the next call.
  const float* logits(kernels::Stream& stream, const select::Chunk& chunk);
  // Of every row of a step of at most kLogitRows: [n_rows, n_vocab], likewise.
  const float* logits(kernels::Stream& stream);
  // Takes a copy in place of those.
  const float* keep(kernels::Stream& stream, const float* logits);
  // log p(id of row i + 1 | … id of row i) of the chunk's rows but the last: [n − 1].
  void read_logprobs(kernels::Stream& stream, const select::Chunk& chunk, std::span<float> out);
  select::Selector::Anchors read_anchors(kernels::Stream& stream) const {
    return selector_.read_anchors(stream);
  }

  using AnchorRead = select::Selector::AnchorRead;
  void start_read_anchors(kernels::Stream& stream, AnchorRead& to) const {
    selector_.start_read(stream, to);
  }

  // A token to sample: how, and from which logits; the rest of `args` is filled in.
  struct Draw {
    kernels::SampleArgs args;
    const float* scored = nullptr;  // [n_vocab] what its log-probability is of; null: args.logits
  };
  struct Sampled {
    int32_t token;
    float logprob;
  };
  // One token for each of at most max_rows draws.
  void sample(kernels::Stream& stream, std::span<const Draw> draws, std::span<Sampled> out);
  // One token, on its way to the host.
  void start_sample(kernels::Stream& stream, const Draw& draw, kernels::Transfer& to);
  static Sampled wait_sampled(kernels::Transfer& from);

  static constexpr int64_t kLogitRows = 32;  // rows of logits held at once

  // Device memory that a decoder takes.
  static size_t working_bytes(const Config& config, const select::Settings& settings,
                              const kernels::Device& device);

 private:
  // The layer's keys and values into the caches.
  void append(kernels::Stream& stream);
  void embed(kernels::Stream& stream, const int32_t* ids);
  // Each head of the step's queries or keys, [n_rows, n_heads, head_dim], in place.
  void norm_heads(kernels::Stream& stream, float* x, const float* weight, int64_t n_heads);
  // attended_ of the layer.
  void attend(kernels::Stream& stream);
  // A token for each, in device memory.
  const Sampled* draw(kernels::Stream& stream, std::span<const Draw> draws);
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
  device::Buffer scalars_;      // Sampled [max_rows], or log-probabilities: f32 [chunk]

  // Of the step.
  std::vector<int32_t> all_ids_;  // [n_rows]
  std::vector<select::Part> parts_;
  std::vector<const cache::KvCache*> caches_;         // of each part
  std::vector<kernels::KvPages> pages_;               // of each part, in one layer
  std::vector<kernels::KvAppendArgs> appends_;        // likewise
  std::vector<kernels::QuantizeKeysArgs> completed_;  // blocks of int8 keys, likewise
  int64_t n_rows_ = 0;
  int64_t layer_ = 0;
};

}  // namespace reattn::model
