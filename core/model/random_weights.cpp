// Weights of a made-up model: any shape, random numbers, made where they are held.
#include "core/device/memory.hpp"
#include "core/model/weights.hpp"

namespace reattn::model {
namespace {

constexpr float kDeviation = 0.02F;  // as models are initialised

}  // namespace

uint64_t Weights::bytes(const Config& c, const kernels::Device& device) {
  const kernels::DType held = device.weight_type(kernels::DType::kBF16);
  const int64_t n_q = c.n_heads * c.head_dim, n_kv = c.n_kv_heads * c.head_dim;
  const int64_t embedding = c.n_vocab * c.n_embd;
  const int64_t layer = c.n_embd * (2 * n_q + 2 * n_kv + 3 * c.n_ff);
  const int64_t matrices = (c.tied_embeddings ? 1 : 2) * embedding + c.n_layers * layer;
  return static_cast<uint64_t>(kernels::row_bytes(held, matrices)) +
         static_cast<uint64_t>((2 * c.n_layers + 1) * c.n_embd) * sizeof(float);
}

Weights::Weights(const Config& c, uint64_t seed, std::shared_ptr<kernels::Device> device,
                 const LoadObserver& observer) {
  device::check_free(*device, bytes(c, *device), "the random weights take");
  const kernels::DType held = device->weight_type(kernels::DType::kBF16);
  kernels::Stream stream;
  const auto matrix = [&](int64_t n_rows, int64_t n_cols) {
    if (observer.cancel && observer.cancel->load()) {
      fail(ErrorCode::kCancelled, "making the model was cancelled");
    }
    const auto n_bytes = static_cast<size_t>(kernels::row_bytes(held, n_rows * n_cols));
    device::Buffer& buffer = buffers_.emplace_back(device, n_bytes);
    const kernels::Matrix m{buffer.as(), held, n_rows, n_cols};
    device->fill_random(stream, m, {.seed = seed + buffers_.size(), .deviation = kDeviation});
    if (observer.bytes_done) observer.bytes_done->fetch_add(n_bytes);
    return m;
  };
  const std::vector<float> ones(static_cast<size_t>(c.n_embd), 1.0F);
  const auto norm = [&]() -> const float* {
    device::Buffer& buffer = buffers_.emplace_back(device, ones.size() * sizeof(float));
    device->upload(stream, buffer.as(), ones.data(), buffer.bytes());
    return buffer.as<float>();
  };

  embedding_ = matrix(c.n_vocab, c.n_embd);
  output_ = c.tied_embeddings ? embedding_ : matrix(c.n_vocab, c.n_embd);
  output_norm_ = norm();
  const int64_t n_q = c.n_heads * c.head_dim, n_kv = c.n_kv_heads * c.head_dim;
  layers_.resize(static_cast<size_t>(c.n_layers));
  for (LayerWeights& w : layers_) {
    w.attn_norm = norm();
    w.q = matrix(n_q, c.n_embd);
    w.k = matrix(n_kv, c.n_embd);
    w.v = matrix(n_kv, c.n_embd);
    w.attn_output = matrix(c.n_embd, n_q);
    w.ffn_norm = norm();
    w.gate = matrix(c.n_ff, c.n_embd);
    w.up = matrix(c.n_ff, c.n_embd);
    w.down = matrix(c.n_embd, c.n_ff);
  }
  checksum_ = seed;
}

}  // namespace reattn::model
