#include "core/model/decoder.hpp"

#include <algorithm>
#include <cstring>

namespace reattn::model {
namespace {

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
  select::StepShape shape{c.n_layers, c.n_heads, max_rows / s.chunk};
  if (c.n_sliding > 0) {
    for (int64_t layer = 0; layer < c.n_layers; ++layer) shape.sliding.push_back(c.slides(layer));
  }
  return shape;
}

size_t activation_bytes(const Config& c, int64_t max_rows) {
  return static_cast<size_t>(Widths(c).sum() * max_rows) * sizeof(float);
}

size_t logit_bytes(const Config& c, int64_t max_rows) {
  return static_cast<size_t>(std::min(Decoder::kLogitRows, max_rows) * c.n_vocab) * sizeof(float);
}

size_t id_bytes(int64_t max_rows) {
  return static_cast<size_t>(max_rows) * sizeof(int32_t);
}

size_t scalar_bytes(int64_t max_rows) {
  return static_cast<size_t>(max_rows) * sizeof(Decoder::Sampled);
}

}  // namespace

Decoder::Decoder(std::shared_ptr<kernels::Device> device, const Config& config,
                 const Weights& weights, std::shared_ptr<const Rope> rope,
                 const select::Settings& settings)
    : Decoder(device, config, weights, std::move(rope), settings, rows_at_once(settings, *device)) {
}

Decoder::Decoder(std::shared_ptr<kernels::Device> device, const Config& config,
                 const Weights& weights, std::shared_ptr<const Rope> rope,
                 const select::Settings& settings, int64_t max_rows)
    : device_(std::move(device)),
      config_(config),
      weights_(weights),
      rope_(std::move(rope)),
      max_rows_(max_rows),
      selector_(device_, settings, step_shape(config, settings, max_rows_)),
      activations_(device_, activation_bytes(config, max_rows_)),
      logits_(device_, logit_bytes(config, max_rows_)),
      ids_(device_, id_bytes(max_rows_)),
      scalars_(device_, scalar_bytes(max_rows_)) {
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
         activation_bytes(c, max_rows) + logit_bytes(c, max_rows) + id_bytes(max_rows) +
         scalar_bytes(max_rows);
}

void Decoder::begin(kernels::Stream& stream, std::span<const Part> parts) {
  layer_ = 0;
  all_ids_.clear();
  parts_.clear();
  caches_.clear();
  for (const Part& part : parts) {
    all_ids_.insert(all_ids_.end(), part.ids.begin(), part.ids.end());
    parts_.push_back({part.begin, static_cast<int64_t>(part.ids.size())});
    caches_.push_back(part.cache);
  }
  n_rows_ = static_cast<int64_t>(all_ids_.size());
  selector_.begin(parts_);
  device_->upload(stream, ids_.as(), all_ids_.data(), all_ids_.size() * sizeof(int32_t));
  embed(stream, ids_.as<int32_t>());
}

void Decoder::begin_sampled(kernels::Stream& stream, int64_t begin, const cache::KvCache& cache) {
  layer_ = 0;
  parts_.assign(1, {begin, 1});
  caches_.assign(1, &cache);
  n_rows_ = 1;
  selector_.begin(parts_);
  embed(stream, &scalars_.as<Sampled>()->token);
}

void Decoder::embed(kernels::Stream& stream, const int32_t* ids) {
  device_->embed(stream, {weights_.embedding(), ids, n_rows_, x_, config_.embedding_scale});
}

void Decoder::append(kernels::Stream& stream) {
  pages_.clear();
  appends_.clear();
  completed_.clear();
  const int64_t width = config_.n_kv_heads * config_.head_dim;
  int64_t row = 0;
  for (size_t p = 0; p < parts_.size(); ++p) {
    pages_.push_back(caches_[p]->pages(layer_));
    appends_.push_back(
        {k_ + row * width, v_ + row * width, parts_[p].n_rows, parts_[p].begin, pages_[p]});
    // A block that the step began in the middle of is complete only now, or again after a truncation.
    const int64_t begin = kernels::complete_blocks(parts_[p].begin);
    const int64_t end = kernels::complete_blocks(parts_[p].begin + parts_[p].n_rows);
    if (pages_[p].k8 && begin < end) completed_.push_back({pages_[p], begin, end});
    row += parts_[p].n_rows;
  }
  device_->kv_append(stream, appends_);
  if (!completed_.empty()) device_->quantize_keys(stream, completed_);
}

void Decoder::norm_heads(kernels::Stream& stream, float* x, const float* weight, int64_t n_heads) {
  device_->rms_norm(stream, {x, weight, n_rows_ * n_heads, config_.head_dim, config_.norm_eps, x});
}

void Decoder::attend(kernels::Stream& stream) {
  select::AttentionShape shape{static_cast<int32_t>(config_.n_heads), config_.softmax_scale,
                               rope_->table()};
  if (config_.slides(layer_)) {
    shape.rope = rope_->sliding_table();
    selector_.slide_attend(stream, shape, config_.n_sliding, q_, pages_, attended_);
  } else {
    selector_.recall_attend(stream, shape, layer_, q_, pages_, attended_);
  }
}

bool Decoder::run_layer(kernels::Stream& stream) {
  kernels::Device& d = *device_;
  const LayerWeights& w = weights_.layers()[static_cast<size_t>(layer_)];
  const int64_t n =
      n_rows_;  // of all parts: only the cache, the selection and its attention tell them apart

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

  if (w.q_norm) norm_heads(stream, q_, w.q_norm, config_.n_heads);
  if (w.k_norm) norm_heads(stream, k_, w.k_norm, config_.n_kv_heads);
  append(stream);
  attend(stream);
  if (w.attn_post_norm) {
    d.matmul(stream, {attended_, n, w.attn_output, nullptr, normed_, false});
    d.rms_norm(stream, {normed_, w.attn_post_norm, n, config_.n_embd, config_.norm_eps, x_, true});
  } else {
    d.matmul(stream, {attended_, n, w.attn_output, nullptr, x_, true});
  }

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
                 .up_out = up_,
                 .activation = config_.family.activation,
                 .post_norm = w.ffn_post_norm});
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

const float* Decoder::logits(kernels::Stream& stream) {
  project(stream, 0, n_rows_);
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

const Decoder::Sampled* Decoder::draw(kernels::Stream& stream, std::span<const Draw> draws) {
  auto* sampled = scalars_.as<Sampled>();
  for (size_t i = 0; i < draws.size(); ++i) {
    kernels::SampleArgs args = draws[i].args;
    args.n_vocab = config_.n_vocab;
    args.token = &sampled[i].token;
    args.logprob = &sampled[i].logprob;
    device_->sample(stream, args);
    if (draws[i].scored) {
      device_->logprob(stream, {draws[i].scored, 1, args.n_vocab, args.token, args.logprob});
    }
  }
  return sampled;
}

void Decoder::sample(kernels::Stream& stream, std::span<const Draw> draws, std::span<Sampled> out) {
  device_->download(stream, out.data(), draw(stream, draws), out.size_bytes());
}

void Decoder::start_sample(kernels::Stream& stream, const Draw& one, kernels::Transfer& to) {
  to.start(stream, draw(stream, {&one, 1}), sizeof(Sampled));
}

Decoder::Sampled Decoder::wait_sampled(kernels::Transfer& from) {
  Sampled sampled;
  std::memcpy(&sampled, from.wait(), sizeof sampled);
  return sampled;
}

}  // namespace reattn::model
