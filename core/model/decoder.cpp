#include "core/model/decoder.hpp"

#include <algorithm>

namespace reattn::model {
namespace {

constexpr int64_t kLogitRows = 32;  // rows of logits held at once while given tokens are scored

struct Widths {
  int64_t embd, q, kv, ff;
  explicit Widths(const Config& c)
      : embd(c.n_embd), q(c.n_heads * c.head_dim), kv(c.n_kv_heads * c.head_dim), ff(c.n_ff) {}
  int64_t sum() const { return 2 * embd + 2 * q + 2 * kv + 2 * ff; }
};

int64_t rows_at_once(const select::Settings& s, const kernels::Device& device) {
  return std::max<int64_t>(1, device.super_chunk() / s.chunk) * s.chunk;
}

select::StepShape step_shape(const Config& c, const select::Settings& s, int64_t max_rows) {
  return {c.n_layers, c.n_heads, max_rows / s.chunk};
}

size_t activation_bytes(const Config& c, int64_t max_rows) {
  return static_cast<size_t>(Widths(c).sum() * max_rows) * sizeof(float);
}

size_t logit_bytes(const Config& c, const select::Settings& s) {
  return static_cast<size_t>(std::min<int64_t>(kLogitRows, s.chunk) * c.n_vocab) * sizeof(float);
}

size_t id_bytes(int64_t max_rows) {
  return static_cast<size_t>(max_rows) * sizeof(int32_t);
}

size_t scalar_bytes(const select::Settings& s) {
  return static_cast<size_t>(std::max(2, s.chunk)) * sizeof(float);
}

}  // namespace

Decoder::Decoder(std::shared_ptr<kernels::Device> device, const Config& config,
                 const Weights& weights, std::shared_ptr<const Rope> rope,
                 const select::Settings& settings)
    : device_(std::move(device)),
      config_(config),
      weights_(weights),
      rope_(std::move(rope)),
      max_rows_(rows_at_once(settings, *device_)),
      selector_(device_, settings, step_shape(config, settings, max_rows_)),
      activations_(device_, activation_bytes(config, max_rows_)),
      logits_(device_, logit_bytes(config, settings)),
      ids_(device_, id_bytes(max_rows_)),
      scalars_(device_, scalar_bytes(settings)) {
  const Widths w(config);
  float* at = activations_.as<float>();
  const auto next = [&](int64_t width) {
    float* rows = at;
    at += width * max_rows_;
    return rows;
  };
  x_ = next(w.embd);
  normed_ = next(w.embd);
  q_ = next(w.q);
  attended_ = next(w.q);
  k_ = next(w.kv);
  v_ = next(w.kv);
  gate_ = next(w.ff);
  up_ = next(w.ff);
}

size_t Decoder::working_bytes(const Config& c, const select::Settings& s,
                              const kernels::Device& device) {
  const int64_t max_rows = rows_at_once(s, device);
  return select::Selector::working_bytes(s, step_shape(c, s, max_rows)) +
         activation_bytes(c, max_rows) + logit_bytes(c, s) + id_bytes(max_rows) + scalar_bytes(s);
}

void Decoder::begin(kernels::Stream& stream, std::span<const int32_t> ids, int64_t begin,
                    cache::KvCache& cache) {
  n_rows_ = static_cast<int64_t>(ids.size());
  begin_ = begin;
  layer_ = 0;
  selector_.begin(begin, n_rows_);
  cache.reserve(stream, begin, begin + n_rows_);
  device_->upload(stream, ids_.as(), ids.data(), ids.size_bytes());
  device_->embed(stream, {weights_.embedding(), ids_.as<int32_t>(), n_rows_, x_});
}

bool Decoder::run_layer(kernels::Stream& stream, cache::KvCache& cache) {
  kernels::Device& d = *device_;
  const LayerWeights& w = weights_.layers()[static_cast<size_t>(layer_)];
  const int64_t n = n_rows_;  // of all chunks: only the selection and its attention tell them apart

  d.qkv(stream, {.x = x_,
                 .n_rows = n,
                 .n_embd = config_.n_embd,
                 .norm = w.attn_norm,
                 .eps = config_.norm_eps,
                 .q = w.q,
                 .k = w.k,
                 .v = w.v,
                 .q_bias = w.q_bias,
                 .k_bias = w.k_bias,
                 .v_bias = w.v_bias,
                 .normed = normed_,
                 .q_out = q_,
                 .k_out = k_,
                 .v_out = v_});

  const kernels::KvPages pages = cache.pages(layer_);
  const kernels::KvAppendArgs append{k_, v_, n, begin_, pages};
  d.kv_append(stream, {&append, 1});
  // A block that the step began in the middle of is complete only now, or again after a truncation.
  const kernels::QuantizeKeysArgs completed{pages, kernels::complete_blocks(begin_),
                                            kernels::complete_blocks(begin_ + n)};
  if (pages.k8 && completed.begin < completed.end) d.quantize_keys(stream, {&completed, 1});

  const select::AttentionShape shape{static_cast<int32_t>(config_.n_heads), config_.softmax_scale,
                                     rope_->table()};
  selector_.recall_attend(stream, shape, layer_, q_, pages, attended_);
  d.matmul(stream, {attended_, n, w.attn_output, nullptr, x_, true});

  d.mlp(stream, {.x = x_,
                 .n_rows = n,
                 .n_embd = config_.n_embd,
                 .n_ff = config_.n_ff,
                 .norm = w.ffn_norm,
                 .eps = config_.norm_eps,
                 .gate = w.gate,
                 .up = w.up,
                 .down = w.down,
                 .normed = normed_,
                 .gate_out = gate_,
                 .up_out = up_});
  return ++layer_ == config_.n_layers;
}

void Decoder::project(kernels::Stream& stream, int64_t row, int64_t n_rows) {
  device_->rms_norm(stream, {x_ + row * config_.n_embd, weights_.output_norm(), n_rows,
                             config_.n_embd, config_.norm_eps, normed_});
  device_->matmul(stream,
                  {normed_, n_rows, weights_.output(), nullptr, logits_.as<float>(), false});
}

const float* Decoder::logits(kernels::Stream& stream, const select::Chunk& chunk) {
  project(stream, chunk.row + chunk.n_rows - 1, 1);
  return logits_.as<float>();
}

const float* Decoder::keep(kernels::Stream& stream, const float* logits) {
  device_->copy(stream, logits_.as(), logits, static_cast<size_t>(config_.n_vocab) * sizeof(float));
  return logits_.as<float>();
}

void Decoder::read_logprobs(kernels::Stream& stream, const select::Chunk& chunk,
                            std::span<float> out) {
  const int64_t n_scored = chunk.n_rows - 1;
  for (int64_t at = 0; at < n_scored; at += kLogitRows) {
    const int64_t n = std::min(kLogitRows, n_scored - at);
    project(stream, chunk.row + at, n);
    device_->logprob(stream, {logits_.as<float>(), n, config_.n_vocab,
                              ids_.as<int32_t>() + chunk.row + at + 1, scalars_.as<float>() + at});
  }
  device_->download(stream, out.data(), scalars_.as(), out.size_bytes());
}

Decoder::Sampled Decoder::sample(kernels::Stream& stream, const float* logits,
                                 kernels::SampleArgs args) {
  auto* sampled = scalars_.as<Sampled>();
  args.logits = logits;
  args.n_vocab = config_.n_vocab;
  args.token = &sampled->token;
  args.logprob = &sampled->logprob;
  device_->sample(stream, args);
  Sampled out{};
  device_->download(stream, &out, sampled, sizeof out);
  return out;
}

}  // namespace reattn::model
