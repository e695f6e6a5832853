// The selection of one layer and step (method.md): split, score, vote, expand; then attention over the set.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/device/buffer.hpp"
#include "core/select/settings.hpp"
#include "reattn/kernels/device.hpp"

namespace reattn::select {

struct Anchor {
  int32_t position;
  int32_t votes;
};

// What is attended to besides the queries themselves. Pointers are device memory.
struct AttentionShape {
  int32_t n_heads;
  float scale;
  kernels::RopeTable rope;
};

// Holds the working memory of the selection; for one step at a time.
class Selector {
 public:
  Selector(std::shared_ptr<kernels::Device> device, const Settings& settings, int32_t n_heads);

  // Attention of the last n_queries cached tokens over global | recalled | local.
  // q, out: [n_queries, n_heads, head_dim], q without position.
  void recall_attend(kernels::Stream& stream, const AttentionShape& shape, const float* q,
                     int64_t n_queries, const kernels::KvPages& pages, int64_t n_tokens,
                     float* out);

  // The anchors of the last recall_attend, most voted first; empty when nothing was recalled.
  std::vector<Anchor> read_anchors(kernels::Stream& stream) const;

  // Bytes of working memory for steps of at most `chunk` queries.
  static size_t working_bytes(const Settings& settings, int64_t n_heads);

 private:
  std::shared_ptr<kernels::Device> device_;
  Settings settings_;
  device::Buffer picks_;      // int32 [voters, n_heads, top_k]
  device::Buffer anchors_;    // int32 [n_anchors]
  device::Buffer votes_;      // int32 [n_anchors]
  device::Buffer positions_;  // int32 [n_anchors * span]
  device::Buffer counts_;     // int32 [2]: anchors found, positions recalled
  bool recalled_ = false;     // the last step had a middle and looked into it
};

}  // namespace reattn::select
