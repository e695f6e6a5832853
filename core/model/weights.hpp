// The weights of a decoder in device memory: matrices in the type that the device wants, vectors in f32.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/device/buffer.hpp"
#include "core/io/tensors.hpp"
#include "core/model/config.hpp"
#include "core/model/held.hpp"

namespace reattn::model {

struct LayerWeights {
  const float* attn_norm = nullptr;  // [n_embd]
  kernels::Matrix q, k, v;           // [heads * head_dim, n_embd]
  const float* q_bias = nullptr;     // [n_heads * head_dim] or null; likewise below
  const float* k_bias = nullptr;
  const float* v_bias = nullptr;
  const float* q_norm = nullptr;  // [head_dim] or null; likewise below
  const float* k_norm = nullptr;
  kernels::Matrix attn_output;            // [n_embd, n_heads * head_dim]
  const float* attn_post_norm = nullptr;  // [n_embd] or null
  const float* ffn_norm = nullptr;        // [n_embd]
  kernels::Matrix gate, up;               // [n_ff, n_embd]
  kernels::Matrix down;                   // [n_embd, n_ff]
  const float* ffn_post_norm = nullptr;   // [n_embd] or null
};

// What the thread that loads reports, and how it is stopped.
struct LoadObserver {
  std::atomic<uint64_t>* bytes_done = nullptr;  // may be null
  const std::atomic<bool>* cancel = nullptr;    // may be null
};

class Weights {
 public:
  // Bytes that they will take on the device; checks names and shapes of all tensors against the hyper-parameters. Throws
  // Error(kFormat): a tensor is missing, unknown or of another shape; Error(kUnsupported): the device does not hold `type`.
  static uint64_t check(const io::Tensors& file, const Config& config, WeightType type,
                        const kernels::Device& device);

  // Reads every tensor and checks that all numbers in it are finite. Throws what check and File::read_at throw,
  // Error(kOomHost / kOomDevice), Error(kCancelled).
  Weights(const io::Tensors& file, const Config& config, WeightType type,
          std::shared_ptr<kernels::Device> device, const LoadObserver& observer);

  // Random weights of a made-up model (random_weights.cpp): bytes as held, and the weights. `seed` is their checksum.
  static uint64_t bytes(const Config& config, WeightType type, const kernels::Device& device);
  Weights(const Config& config, uint64_t seed, WeightType type,
          std::shared_ptr<kernels::Device> device, const LoadObserver& observer);

  const kernels::Matrix& embedding() const { return embedding_; }  // [n_vocab, n_embd]
  const kernels::Matrix& output() const { return output_; }        // [n_vocab, n_embd]
  const float* output_norm() const { return output_norm_; }        // [n_embd]
  const std::vector<LayerWeights>& layers() const { return layers_; }
  uint64_t checksum() const { return checksum_; }  // of every tensor's name, shape, type and bytes

 private:
  std::vector<device::Buffer> buffers_;
  kernels::Matrix embedding_, output_;
  const float* output_norm_ = nullptr;
  std::vector<LayerWeights> layers_;
  uint64_t checksum_ = 0;
};

}  // namespace reattn::model
