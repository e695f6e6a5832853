#include "core/engine/model.hpp"

#include <algorithm>

#include "core/engine/model_source.hpp"
#include "core/io/checksum.hpp"
#include "core/model/decoder.hpp"
#include "core/model/rope.hpp"
#include "core/model/weights.hpp"

namespace reattn::engine {
namespace {

ModelHeader header_of(const ModelSource& source, const kernels::Device& device,
                      model::WeightType weights) {
  ModelHeader h;
  h.config = source.config();
  h.metadata = source.metadata();
  h.default_settings = select::default_settings(h.config.n_window);
  h.weights = weights;
  h.weights_bytes = model::Weights::check(source.tensors(), h.config, weights, device);
  return h;
}

std::unique_ptr<text::Tokenizer> tokenizer_of(const ModelSource& source) {
  const text::TokenizerSpec spec = source.tokenizer_spec();
  try {
    return text::Tokenizer::create(spec);
  } catch (const Error& e) {  // which knows no file
    fail(e.code(), source.tensors().path(), ": ", e.what());
  }
}

// Of everything in the header that decides what the weights mean; the tensors have their own.
uint64_t config_checksum(const model::Config& c) {
  io::Checksum sum;
  const auto add = [&](const auto& v) { sum.update(&v, sizeof v); };
  sum.update(c.architecture.data(), c.architecture.size());
  add(c.n_layers);
  add(c.n_embd);
  add(c.n_heads);
  add(c.n_kv_heads);
  add(c.head_dim);
  add(c.n_ff);
  add(c.n_vocab);
  add(c.n_window);
  add(c.norm_eps);
  add(c.rope_freq_base);
  add(c.rope_layout);
  sum.update(c.rope_factors.data(), c.rope_factors.size() * sizeof(float));
  if (c.n_sliding > 0) add(c.n_sliding);
  if (c.hf) {  // config.json can choose these, GGUF files cannot
    add(c.softmax_scale);
    add(c.family.sliding_rope_freq_base);
  }
  return sum.value();
}

}  // namespace

ModelHeader read_header(const std::string& path, const kernels::Device& device,
                        model::WeightType weights) {
  return header_of(*ModelSource::open(path), device, weights);
}

MemoryPlan plan(const ModelHeader& header, const select::Settings& settings, int64_t n_tokens,
                const kernels::Device& device) {
  const model::Config& c = header.config;
  select::check(settings, c.n_window);
  if (n_tokens < 0 || n_tokens > INT32_MAX) {
    fail(ErrorCode::kArg, "n_tokens is ", n_tokens, ", allowed are 0 to ", INT32_MAX);
  }
  const cache::Layout layout = cache::layout_of(c.n_layers, c.n_kv_heads, c.head_dim, settings);
  cache::check_layout(device, layout);
  MemoryPlan p;
  p.weights_bytes = header.weights_bytes;
  p.kv_bytes = static_cast<uint64_t>(cache::Layout::n_pages(n_tokens)) * layout.page_bytes();
  const int64_t n_positions =
      settings.selection == select::Selection::kFull ? c.n_window : select::scope(settings);
  const uint64_t last_logits = static_cast<uint64_t>(c.n_vocab) * sizeof(float);
  p.working_bytes = model::Decoder::working_bytes(c, settings, device) +
                    model::Rope::bytes(c, n_positions) + last_logits + device.scratch_bytes() +
                    layout.transient_bytes(std::max<int64_t>(settings.chunk, device.super_chunk()));
  p.total_bytes = p.weights_bytes + p.kv_bytes + p.working_bytes;
  return p;
}

std::shared_ptr<const Model> Model::open(const std::string& path,
                                         std::shared_ptr<kernels::Device> device,
                                         LoadProgress* progress, model::WeightType weights) {
  const std::unique_ptr<ModelSource> source = ModelSource::open(path);
  std::shared_ptr<Model> m(new Model);
  m->path_ = path;
  m->header_ = header_of(*source, *device, weights);
  m->device_ = std::move(device);
  if (progress) {
    uint64_t total = 0;
    for (const io::TensorInfo& t : source->tensors().tensors()) total += t.n_bytes;
    progress->bytes_total.store(total);
  }
  m->tokenizer_ = tokenizer_of(*source);
  const model::Config& c = m->config();
  if (m->tokenizer_->n_vocab() != c.n_vocab) {
    fail(ErrorCode::kFormat, path, ": the tokenizer has ", m->tokenizer_->n_vocab(),
         " tokens, the model's vocabulary ", c.n_vocab);
  }
  const model::LoadObserver observer{progress ? &progress->bytes_done : nullptr,
                                     progress ? &progress->cancel : nullptr};
  m->weights_ =
      std::make_unique<model::Weights>(source->tensors(), c, weights, m->device_, observer);
  if (progress) progress->bytes_done.store(progress->bytes_total);  // with tensors not needed
  m->identify();
  return m;
}

// What snapshots of its sessions carry.
void Model::identify() {
  const model::Config& c = config();
  const uint64_t sums[] = {config_checksum(c), weights_->checksum()};
  identity_ = {.model = io::checksum(sums, sizeof sums),
               .tokenizer = tokenizer_->hash(),
               .n_layers = c.n_layers,
               .n_kv_heads = c.n_kv_heads,
               .head_dim = c.head_dim,
               .n_vocab = c.n_vocab};
}

std::shared_ptr<const Model> Model::synthesize(const model::Config& config, uint64_t seed,
                                               std::shared_ptr<kernels::Device> device,
                                               LoadProgress* progress, model::WeightType weights) {
  std::shared_ptr<Model> m(new Model);
  m->path_ = config.name;
  m->header_.config = config;
  m->header_.metadata = {{"general.architecture", config.architecture},
                         {"general.name", config.name}};
  m->header_.default_settings = select::default_settings(config.n_window);
  m->header_.weights = weights;
  m->header_.weights_bytes = model::Weights::bytes(config, weights, *device);
  m->device_ = std::move(device);
  text::TokenizerSpec spec{.model = "gpt2", .pre = "gpt-2"};
  for (int64_t id = 0; id < config.n_vocab; ++id) spec.tokens.push_back(concat("w", id));
  spec.token_types.assign(spec.tokens.size(), 1);
  m->tokenizer_ = text::Tokenizer::create(spec);
  if (progress) progress->bytes_total.store(m->header_.weights_bytes);
  const model::LoadObserver observer{progress ? &progress->bytes_done : nullptr,
                                     progress ? &progress->cancel : nullptr};
  m->weights_ = std::make_unique<model::Weights>(config, seed, weights, m->device_, observer);
  m->identify();
  return m;
}

const text::Vocabulary& Model::vocabulary() const {
  std::call_once(has_vocabulary_,
                 [this] { vocabulary_ = std::make_unique<text::Vocabulary>(*tokenizer_); });
  return *vocabulary_;
}

Model::~Model() = default;

}  // namespace reattn::engine
