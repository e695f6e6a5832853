// Models: opening on a thread of their own, and what their header says.
#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "capi/backend.hpp"
#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/log.hpp"
#include "capi/objects.hpp"
#include "core/device/memory.hpp"
#include "reattn/reattn.h"

namespace reattn::capi {
namespace {

constexpr reattn_model_options kDefaults{.device = REATTN_DEVICE_AUTO};

model::Config to_config(const reattn_geometry& g, const std::string& name) {
  model::Config c;
  c.architecture = "llama";
  c.name = name;
  c.n_layers = g.n_layers;
  c.n_embd = g.n_embd;
  c.n_heads = g.n_heads;
  c.n_kv_heads = g.n_kv_heads;
  c.head_dim = g.head_dim;
  c.n_ff = g.n_ff;
  c.n_vocab = g.n_vocab;
  c.n_window = g.n_window;
  c.norm_eps = 1e-5F;
  c.rope_freq_base = g.rope_freq_base;
  c.tied_embeddings = to_bool(g.tied_embeddings, "tied_embeddings");
  model::check_shape(c);
  c.softmax_scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
  return c;
}

static_assert(static_cast<int32_t>(model::WeightType::kAuto) == REATTN_WEIGHTS_AUTO &&
              static_cast<int32_t>(model::WeightType::kF8) == REATTN_WEIGHTS_FP8);

model::WeightType to_weight_type(const reattn_model_options& options) {
  if (options.weights < REATTN_WEIGHTS_AUTO || options.weights > REATTN_WEIGHTS_FP8) {
    fail(ErrorCode::kArg, "weights is ", options.weights, ", not one of REATTN_WEIGHTS_*");
  }
  return static_cast<model::WeightType>(options.weights);
}

}  // namespace

ModelObject::ModelObject(std::string path, const reattn_model_options& options)
    : path_(std::move(path)) {
  const bool header_only = to_bool(options.header_only, "header_only");
  const model::WeightType weights = to_weight_type(options);
  device_ = open_device(options.device, options.device_index, header_only ? 1 : options.n_threads);
  if (header_only) {
    header_ = engine::read_header(path_, *device_, weights);
    return;
  }
  model::check_weight_type(*device_, weights);
  thread_ = std::thread([this, weights] {
    load([&] { return engine::Model::open(path_, device_, &progress_, weights); });
  });
}

ModelObject::ModelObject(const reattn_geometry& geometry, const reattn_model_options& options)
    : path_("a made-up model") {
  if (to_bool(options.header_only, "header_only")) {
    fail(ErrorCode::kArg, "header_only is 1, a made-up model has no file");
  }
  const model::WeightType weights = to_weight_type(options);
  const model::Config config = to_config(geometry, path_);
  device_ = open_device(options.device, options.device_index, options.n_threads);
  model::check_weight_type(*device_, weights);
  thread_ = std::thread([this, config, seed = geometry.seed, weights] {
    load([&] { return engine::Model::synthesize(config, seed, device_, &progress_, weights); });
  });
}

ModelObject::~ModelObject() {
  cancel_load();
  if (thread_.joinable()) thread_.join();
}

void ModelObject::load(const Make& make) noexcept {
  std::shared_ptr<const engine::Model> model;
  std::exception_ptr
      error;  // kept as it is: a copy would need memory, which may be what is missing
  try {
    model = make();
    log_message("model '", path_, "' is loaded: ", model->header().weights_bytes,
                " bytes of weights");
  } catch (...) {
    error = std::current_exception();
  }
  const std::scoped_lock lock(mutex_);
  model_ = std::move(model);
  error_ = std::move(error);
  has_ended_ = true;
  ended_.notify_all();
}

bool ModelObject::wait(int64_t timeout_ms) const {
  if (header_) return true;
  std::unique_lock lock(mutex_);
  const auto has_ended = [&] { return has_ended_; };
  if (timeout_ms < 0) {
    ended_.wait(lock, has_ended);
  } else {
    // Bounded: a deadline centuries away would overflow the clock.
    const auto timeout = std::chrono::milliseconds(std::min<int64_t>(timeout_ms, int64_t{1} << 40));
    ended_.wait_for(lock, timeout, has_ended);
  }
  if (error_) std::rethrow_exception(error_);
  return has_ended_;
}

void ModelObject::check_loaded() const {
  if (!wait(0)) fail(ErrorCode::kBusy, "model '", path_, "' is still loading");
}

const engine::ModelHeader& ModelObject::header() const {
  if (header_) return *header_;
  check_loaded();
  return model_->header();  // never changes once loading has ended
}

std::shared_ptr<const engine::Model> ModelObject::model() const {
  if (header_) {
    fail(ErrorCode::kUnsupported, "model '", path_, "' was opened header_only: it has no weights");
  }
  check_loaded();
  return model_;
}

}  // namespace reattn::capi

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_model_options_init(reattn_model_options* out_options, size_t size,
                                        reattn_error** err) {
  return guard(err, [&] {
    init_struct(out_options, size, kDefaults, "out_options");
    return REATTN_OK;
  });
}

reattn_status reattn_model_open(const uint8_t* path, uint64_t path_bytes,
                                const reattn_model_options* options, reattn_model** out_model,
                                reattn_error** err) {
  return guard(err, [&] {
    require(out_model, "out_model");
    const auto chosen = options ? read_struct(options, kDefaults, "options") : kDefaults;
    *out_model = publish(std::make_shared<ModelObject>(input_path(path, path_bytes), chosen));
    return REATTN_OK;
  });
}

reattn_status reattn_model_synthesize(const reattn_geometry* geometry,
                                      const reattn_model_options* options, reattn_model** out_model,
                                      reattn_error** err) {
  return guard(err, [&] {
    require(geometry, "geometry");
    require(out_model, "out_model");
    const auto shape = read_struct(geometry, reattn_geometry{}, "geometry");
    const auto chosen = options ? read_struct(options, kDefaults, "options") : kDefaults;
    *out_model = publish(std::make_shared<ModelObject>(shape, chosen));
    return REATTN_OK;
  });
}

reattn_status reattn_model_wait(const reattn_model* model, int64_t timeout_ms,
                                reattn_load_progress* out_progress, reattn_error** err) {
  return guard(err, [&]() -> reattn_status {
    const auto object = pin<ModelObject>(model);
    std::optional<StructOut<reattn_load_progress>> out;
    if (out_progress) out.emplace(out_progress, "out_progress");
    const bool finished = object->wait(timeout_ms);
    if (out) {
      out->write({.finished = finished,
                  .bytes_done = object->bytes_done(),
                  .bytes_total = object->bytes_total()});
    }
    return finished ? REATTN_OK : REATTN_TIMEOUT;
  });
}

reattn_status reattn_model_cancel_load(const reattn_model* model, reattn_error** err) {
  return guard(err, [&] {
    pin<ModelObject>(model)->cancel_load();
    return REATTN_OK;
  });
}

reattn_status reattn_model_get_info(const reattn_model* model, reattn_model_info* out_info,
                                    reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<ModelObject>(model);
    const StructOut out(out_info, "out_info");
    const engine::ModelHeader& header = object->header();
    const model::Config& config = header.config;
    reattn_model_info info{};
    info.device = object->device().info().kind == "cuda" ? REATTN_DEVICE_CUDA : REATTN_DEVICE_CPU;
    info.n_layers = config.n_layers;
    info.n_embd = config.n_embd;
    info.n_heads = config.n_heads;
    info.n_kv_heads = config.n_kv_heads;
    info.head_dim = config.head_dim;
    info.n_ff = config.n_ff;
    info.n_vocab = config.n_vocab;
    info.n_window = config.n_window;
    info.n_metadata = static_cast<int64_t>(header.metadata.size());
    info.weights_bytes = header.weights_bytes;
    info.rope_freq_base = config.rope_freq_base;
    info.norm_eps = static_cast<double>(config.norm_eps);
    info.tied_embeddings = config.tied_embeddings;
    info.header_only = object->header_only();
    info.weights = static_cast<int32_t>(header.weights);
    info.bos_token = info.eos_token = info.eot_token = info.unk_token = info.pad_token = -1;
    if (!object->header_only()) {
      const auto loaded = object->model();
      const text::Tokenizer& tokenizer = loaded->tokenizer();
      info.model_fingerprint = loaded->identity().model;
      info.tokenizer_fingerprint = loaded->identity().tokenizer;
      info.bos_token = tokenizer.bos();
      info.eos_token = tokenizer.eos();
      info.eot_token = tokenizer.eot();
      info.unk_token = tokenizer.unk();
      info.pad_token = tokenizer.pad();
      info.add_bos = tokenizer.add_bos();
      info.add_eos = tokenizer.add_eos();
      info.has_chat_template = !tokenizer.chat_template().empty();
    }
    out.write(info);
    return REATTN_OK;
  });
}

reattn_status reattn_model_metadata(const reattn_model* model, int64_t index, uint8_t* key,
                                    uint64_t key_cap, uint64_t* key_needed, uint8_t* value,
                                    uint64_t value_cap, uint64_t* value_needed,
                                    reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<ModelObject>(model);
    const Output key_out(key, key_cap, key_needed, "key");
    const Output value_out(value, value_cap, value_needed, "value");
    const auto& entries = object->header().metadata;
    if (index < 0 || static_cast<uint64_t>(index) >= entries.size()) {
      fail(ErrorCode::kArg, "metadata index ", index, " is not below ", entries.size());
    }
    const auto& entry = entries[static_cast<size_t>(index)];
    if (key_needed) *key_needed = entry.first.size();
    if (value_needed) *value_needed = entry.second.size();
    key_out.check(entry.first.size());
    value_out.write(entry.second);
    key_out.write(entry.first);
    return REATTN_OK;
  });
}

reattn_status reattn_model_estimate(const reattn_model* model,
                                    const reattn_session_options* options, int64_t n_tokens,
                                    reattn_memory_plan* out_plan, reattn_error** err) {
  return guard(err, [&] {
    const auto object = pin<ModelObject>(model);
    const StructOut out(out_plan, "out_plan");
    const engine::ModelHeader& header = object->header();
    const reattn_session_options defaults = from_settings(header.default_settings);
    const select::Settings settings =
        to_settings(options ? read_struct(options, defaults, "options") : defaults);
    const engine::MemoryPlan plan = engine::plan(header, settings, n_tokens, object->device());
    const uint64_t held = object->header_only() ? 0 : plan.weights_bytes;
    const uint64_t memory_free = device::free_bytes(object->device().info());
    out.write({.fits = plan.total_bytes - held <= memory_free,
               .weights_bytes = plan.weights_bytes,
               .kv_bytes = plan.kv_bytes,
               .working_bytes = plan.working_bytes,
               .total_bytes = plan.total_bytes,
               .memory_free = memory_free});
    return REATTN_OK;
  });
}

void reattn_model_free(reattn_model* model) {
  if (const auto object = retire<ModelObject>(model)) object->cancel_load();
}
