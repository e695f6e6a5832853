// config.json of a folder: the keys of Hugging Face's library for the families there are.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "core/base/quote.hpp"
#include "core/model/config.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::model {
namespace {

using io::Json;
using io::JsonObject;

[[noreturn]] void refuse(const JsonObject& in, std::string_view key, std::string_view what) {
  fail(ErrorCode::kUnsupported, in.name_of(key), " asks for ", what,
       ", which this build does not have");
}

const HfFamily& family_of(const JsonObject& config) {
  const Json::Array& classes = config.get_array("architectures");
  const auto* name = classes.size() == 1 ? classes[0].as<std::string>() : nullptr;
  const HfFamily* family = name ? find_hf_family(*name) : nullptr;
  if (!family) {
    fail(ErrorCode::kUnsupported, config.name_of("architectures"), " is ",
         config.find("architectures")->text(), ", this build reads ", hf_family_names());
  }
  return *family;
}

// Settings that change what the numbers mean and that this decoder does not have.
void refuse_unknown_features(const JsonObject& config, const HfFamily& family) {
  for (const std::string_view key : {"quantization_config", "compression_config"}) {
    const auto quantized = config.find_object(key);
    if (!quantized) continue;
    const std::string method(quantized->find_string("quant_method").value_or("unnamed"));
    refuse(config, key, concat("weights quantized by '", base::printable(method), "'"));
  }
  const std::string_view activation_key = family.gelu ? "hidden_activation" : "hidden_act";
  const std::string_view activation = family.gelu ? "gelu_pytorch_tanh" : "silu";
  const std::string_view found = config.find_string(activation_key).value_or(activation);
  if (found != activation) {
    refuse(config, activation_key, concat("the activation '", base::printable(found), "'"));
  }
  for (const std::string_view key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (config.find_float(key, 0, 1e9).value_or(0) != 0) refuse(config, key, "capped logits");
  }
  for (const std::string_view key : {"use_sliding_window", "use_bidirectional_attention"}) {
    if (config.find_bool(key).value_or(false)) refuse(config, key, "another kind of attention");
  }
  if (config.find_float("partial_rotary_factor", 0, 1).value_or(1) != 1) {
    refuse(config, "partial_rotary_factor", "RoPE on a part of each head");
  }
}

void read_sizes(const JsonObject& config, Config& c) {
  c.n_layers = config.get_int("num_hidden_layers", 1, kMaxLayers);
  c.n_embd = config.get_int("hidden_size", 1, kMaxWidth);
  c.n_ff = config.get_int("intermediate_size", 1, kMaxWidth);
  c.n_vocab = config.get_int("vocab_size", 1, kMaxVocab);
  c.n_window = config.get_int("max_position_embeddings", 1, INT32_MAX);
  c.n_heads = config.get_int("num_attention_heads", 1, kMaxHeads);
  c.n_kv_heads = config.find_int("num_key_value_heads", 1, kMaxHeads).value_or(c.n_heads);
  if (c.n_heads % c.n_kv_heads != 0) {
    fail(ErrorCode::kFormat, config.name_of("num_attention_heads"), " is ", c.n_heads,
         ", not a multiple of num_key_value_heads ", c.n_kv_heads);
  }
  const auto head_dim = config.find_int("head_dim", 2, kMaxHeadDim);
  if (!head_dim && c.n_embd % c.n_heads != 0) {
    fail(ErrorCode::kFormat, config.name_of("hidden_size"), " is ", c.n_embd,
         ", not a multiple of num_attention_heads ", c.n_heads);
  }
  c.head_dim = head_dim.value_or(c.n_embd / c.n_heads);
  if (c.head_dim < 2 || c.head_dim > kMaxHeadDim || c.head_dim % 2 != 0) {
    fail(ErrorCode::kFormat, config.name_of("head_dim"), " is ", c.head_dim,
         ", expected an even one from 2 to ", kMaxHeadDim);
  }
}

// Llama 3's scaling: low frequencies divided by `factor`, high ones left, those between blended. Positions the model was first
// trained with tell which are which.
std::vector<float> llama3_factors(const JsonObject& rope, const Config& c) {
  const double factor = rope.get_float("factor", 1, 1e6);
  const double low = rope.get_float("low_freq_factor", 1e-3, 1e6);
  const double high = rope.get_float("high_freq_factor", 1e-3, 1e6);
  const double n_positions = rope.get_float("original_max_position_embeddings", 1, INT32_MAX);
  if (high <= low) {
    fail(ErrorCode::kFormat, rope.name_of("high_freq_factor"), " is not above low_freq_factor");
  }
  std::vector<float> factors;
  for (int64_t i = 0; i < c.head_dim / 2; ++i) {
    const double frequency =
        std::pow(c.rope_freq_base, -2.0 * static_cast<double>(i) / static_cast<double>(c.head_dim));
    const double turns = n_positions * frequency / (2 * std::numbers::pi);
    const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    factors.push_back(static_cast<float>(1 / (kept + (1 - kept) / factor)));
  }
  return factors;
}

std::vector<float> scaling_factors(const JsonObject& rope, const Config& c) {
  // Once "type"; files may have both.
  const std::string_view key = rope.find("rope_type") ? "rope_type" : "type";
  const std::string_view type = rope.get_string(key);
  if (type == "default") return {};
  if (type == "dynamic") return {};  // scales past the window alone, and no position is past it
  if (type == "llama3") return llama3_factors(rope, c);
  if (type == "linear") {
    const double factor = rope.get_float("factor", 1, 1e6);
    return std::vector<float>(static_cast<size_t>(c.head_dim / 2), static_cast<float>(factor));
  }
  refuse(rope, key, concat("RoPE scaling of type '", base::printable(type), "'"));
}

double freq_base(const JsonObject& in, std::string_view key, double otherwise) {
  return in.find_float(key, 1, 1e12).value_or(otherwise);
}

// "rope_theta" and "rope_scaling"; since version 5 of the library "rope_parameters" has both, and in models with sliding layers
// once for each kind of layer.
void read_rope(const JsonObject& config, Config& c) {
  auto rope = config.find_object("rope_parameters");
  if (rope && c.family.global_every > 0) {
    if (const auto sliding = rope->find_object("sliding_attention")) {
      c.family.sliding_rope_freq_base =
          freq_base(*sliding, "rope_theta", c.family.sliding_rope_freq_base);
      if (!scaling_factors(*sliding, c).empty()) {
        refuse(*sliding, "rope_type", "RoPE scaling of sliding layers");
      }
    }
    rope = rope->find_object("full_attention");
  }
  if (rope) {
    c.rope_freq_base = rope->get_float("rope_theta", 1, 1e12);
  } else {
    c.rope_freq_base = freq_base(config, "rope_theta", 10000);
    rope = config.find_object("rope_scaling");
    if (c.family.global_every > 0) {
      c.family.sliding_rope_freq_base =
          freq_base(config, "rope_local_base_freq", c.family.sliding_rope_freq_base);
    }
  }
  if (rope) c.rope_factors = scaling_factors(*rope, c);
}

// Whether the layers named slide as the family's do.
void check_layer_types(const JsonObject& config, const Config& c) {
  if (const Json::Array* types = config.find_array("layer_types")) {
    if (types->size() != static_cast<size_t>(c.n_layers)) {
      fail(ErrorCode::kFormat, config.name_of("layer_types"), " has ", types->size(),
           " entries, num_hidden_layers is ", c.n_layers);
    }
    for (int64_t layer = 0; layer < c.n_layers; ++layer) {
      const Json& found = (*types)[static_cast<size_t>(layer)];
      const std::string_view expected = c.slides(layer) ? "sliding_attention" : "full_attention";
      if (found.text() != expected) {
        refuse(config, "layer_types",
               concat("'", found.text(), "' in layer ", layer, " instead of '", expected, "'"));
      }
    }
  }
  for (const std::string_view key : {"sliding_window_pattern", "_sliding_window_pattern"}) {
    const auto every = config.find_int(key, 1, kMaxLayers);
    if (every && c.family.global_every > 0 && *every != c.family.global_every) {
      refuse(config, key, concat("one layer in ", *every, " that sees everything"));
    }
  }
}

void read_sliding_window(const JsonObject& config, Config& c) {
  if (!c.hf->has_sliding_window) return;
  const auto window = config.find_int("sliding_window", 1, INT32_MAX);
  if (c.family.global_every == 0) {
    if (window) c.n_window = std::min(c.n_window, *window);  // of all layers
    return;
  }
  c.n_sliding = config.get_int("sliding_window", 1, INT32_MAX);
}

}  // namespace

Config config_from_folder(const std::string& folder, const JsonObject& config) {
  Config c;
  c.hf = &family_of(config);
  c.architecture = c.hf->architecture;
  c.family = *find_family(c.architecture);
  c.rope_layout = kernels::RopeLayout::kHalves;  // of every family; GGUF files have some permuted
  std::string_view name = folder;
  while (name.size() > 1 && name.ends_with('/')) name.remove_suffix(1);
  c.name = base::printable(name.substr(name.rfind('/') + 1));

  refuse_unknown_features(config, *c.hf);
  read_sizes(config, c);
  c.norm_eps = static_cast<float>(config.get_float("rms_norm_eps", 0, 1));
  c.tied_embeddings = config.find_bool("tie_word_embeddings").value_or(c.hf->ties_embeddings);
  const auto scalar = static_cast<double>(c.head_dim);
  c.softmax_scale = static_cast<float>(
      1 / std::sqrt(config.find_float("query_pre_attn_scalar", 1e-3, 1e6).value_or(scalar)));
  if (c.family.scales_embeddings) c.embedding_scale = std::sqrt(static_cast<float>(c.n_embd));
  read_sliding_window(config, c);
  read_rope(config, c);
  check_layer_types(config, c);
  return c;
}

}  // namespace reattn::model
