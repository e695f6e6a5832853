// Weights of a made-up model: any shape, random numbers, made where they are held.
#include "core/device/memory.hpp"
#include "core/model/weights.hpp"

namespace reattn::model {
namespace {

constexpr float kDeviation = 0.02F;  // as models are initialised

}  // namespace

uint64_t Weights::bytes(const Config& c, WeightType type, const kernels::Device& device) {
  check_weight_type(device, type);
  const kernels::DType held = device.weight_type(kernels::DType::kBF16);
  const auto matrix = [&](int64_t n_rows, int64_t n_cols) {
    return Held{type == WeightType::kF8 ? kernels::DType::kF8 : held, n_rows, n_cols}.bytes();
  };
  const int64_t n_q = c.n_heads * c.head_dim, n_kv = c.n_kv_heads * c.head_dim;
  const uint64_t table = Held{held, c.n_vocab, c.n_embd}.bytes();
  const uint64_t layer = matrix(n_q, c.n_embd) + 2 * matrix(n_kv, c.n_embd) +
                         matrix(c.n_embd, n_q) + 2 * matrix(c.n_ff, c.n_embd) +
                         matrix(c.n_embd, c.n_ff);
  return (c.tied_embeddings ? 1 : 2) * table + static_cast<uint64_t>(c.n_layers) * layer +
         static_cast<uint64_t>((2 * c.n_layers + 1) * c.n_embd) * sizeof(float);
}

Weights::Weights(const Config& c, uint64_t seed, WeightType type,
                 std::shared_ptr<kernels::Device> device, const LoadObserver& observer) {
  device::check_free(*device, bytes(c, type, *device), "the random weights take");
  const kernels::DType plain = device->weight_type(kernels::DType::kBF16);
  kernels::Stream stream;
  const auto make = [&](kernels::DType as, int64_t n_rows, int64_t n_cols) {
    if (observer.cancel && observer.cancel->load()) {
      fail(ErrorCode::kCancelled, "making the model was cancelled");
    }
    const Held held{as, n_rows, n_cols};
    device::Buffer& buffer = buffers_.emplace_back(device, held.bytes());
    const kernels::Matrix m = held.at(buffer.as<std::byte>());
    device->fill_random(stream, m, {.seed = seed + buffers_.size(), .deviation = kDeviation});
    if (observer.bytes_done) observer.bytes_done->fetch_add(held.bytes());
    return m;
  };
  const auto matrix = [&](int64_t n_rows, int64_t n_cols) {
    return make(type == WeightType::kF8 ? kernels::DType::kF8 : plain, n_rows, n_cols);
  };
  const std::vector<float> ones(static_cast<size_t>(c.n_embd), 1.0F);
  const auto norm = [&]() -> const float* {
    device::Buffer& buffer = buffers_.emplace_back(device, ones.size() * sizeof(float));
    device->upload(stream, buffer.as(), ones.data(), buffer.bytes());
    if (observer.bytes_done) observer.bytes_done->fetch_add(buffer.bytes());
    return buffer.as<float>();
  };

  embedding_ = make(plain, c.n_vocab, c.n_embd);
  output_ = c.tied_embeddings ? embedding_ : make(plain, c.n_vocab, c.n_embd);
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
