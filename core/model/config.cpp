#include "core/model/config.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>

#include "core/base/quote.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::model {
namespace {

// Settings that change what the numbers mean and that this decoder does not have.
void refuse_unknown_features(const io::Gguf& file, const std::string& arch) {
  const auto refuse = [&](std::string_view key, std::string_view what) {
    fail(ErrorCode::kUnsupported, file.path(), ": '", key, "' asks for ", what,
         ", which this build does not have");
  };
  for (const io::Entry& e : file.entries()) {
    const std::string_view key = e.key;
    if (!key.starts_with(arch + ".")) continue;
    const std::string_view rest = key.substr(arch.size() + 1);
    if (rest == "rope.scaling.type") {
      const std::string_view type = file.get_string(key);
      if (type != "none" && type != "linear") {
        refuse(key, concat("RoPE scaling of type '", base::printable(type), "'"));
      }
    } else if (rest == "rope.scaling.attn_factor" && file.get_float(key) != 1) {
      refuse(key, "scaled attention");
    } else if (rest == "expert_count" && file.get_uint(key) > 0) {
      refuse(key, "experts");
    } else if (rest.ends_with("logit_softcapping") && file.get_float(key) != 0) {
      refuse(key, "capped logits");
    }
  }
}

// What the RoPE frequencies are divided by: a tensor (Llama 3's scaling), or one number for all.
std::vector<float> rope_factors(const io::Gguf& file, const Config& c) {
  const auto n = static_cast<size_t>(c.head_dim / 2);
  const std::string scaling = c.architecture + ".rope.scaling.";
  const std::string_view type = file.find_string(scaling + "type").value_or("none");
  const io::TensorInfo* t = file.find_tensor("rope_freqs.weight");
  if (!t) {
    if (type != "linear") return {};
    return std::vector<float>(n, static_cast<float>(file.get_float(scaling + "factor", 1, 1e6)));
  }
  if (t->dtype != kernels::DType::kF32 || t->shape != std::vector{c.head_dim / 2}) {
    fail(ErrorCode::kFormat, file.path(), ": tensor '", t->name, "' is ", t->shape_text(), " of ",
         kernels::dtype_info(t->dtype).name, ", expected [", c.head_dim / 2, "] of F32");
  }
  if (type == "linear") {
    fail(ErrorCode::kFormat, file.path(), ": both '", scaling, "type' and tensor '", t->name,
         "' scale RoPE");
  }
  std::vector<float> factors(n);
  file.read_tensor(*t, std::as_writable_bytes(std::span(factors)));
  for (size_t i = 0; i < n; ++i) {
    if (!(factors[i] >= 1e-6F && factors[i] <= 1e6F)) {
      fail(ErrorCode::kFormat, file.path(), ": tensor '", t->name, "' holds ", factors[i],
           " (element ", i, "), allowed are 1e-6 to 1e6");
    }
  }
  return factors;
}

// Of layers that see a sliding window. Where all do, the window is what the model can be used with at all.
void read_sliding_window(const io::Gguf& file, Config& c) {
  const std::string key = c.architecture + ".attention.sliding_window";
  const auto window = static_cast<int64_t>(file.find_uint(key, 0, INT32_MAX).value_or(0));
  if (c.family.global_every == 0) {
    if (window > 0) c.n_window = std::min(c.n_window, window);
    return;
  }
  if (window == 0) {
    fail(ErrorCode::kFormat, file.path(), ": key '", key, "' is missing or 0, the family '",
         c.architecture, "' has layers with sliding windows");
  }
  c.n_sliding = window;
}

}  // namespace

void check_shape(const Config& c) {
  const auto within = [](std::string_view name, int64_t value, int64_t max) {
    if (value < 1 || value > max) {
      fail(ErrorCode::kArg, name, " is ", value, ", allowed are 1 to ", max);
    }
  };
  within("n_layers", c.n_layers, kMaxLayers);
  within("n_embd", c.n_embd, kMaxWidth);
  within("n_ff", c.n_ff, kMaxWidth);
  within("n_vocab", c.n_vocab, kMaxVocab);
  within("n_window", c.n_window, INT32_MAX);
  within("n_heads", c.n_heads, kMaxHeads);
  within("n_kv_heads", c.n_kv_heads, kMaxHeads);
  within("head_dim", c.head_dim, kMaxHeadDim);
  if (c.n_heads % c.n_kv_heads != 0) {
    fail(ErrorCode::kArg, "n_heads is ", c.n_heads, ", not a multiple of n_kv_heads ",
         c.n_kv_heads);
  }
  if (c.head_dim % 2 != 0)
    fail(ErrorCode::kArg, "head_dim is ", c.head_dim, ", RoPE needs an even one");
  if (!(c.rope_freq_base >= 1 && c.rope_freq_base <= 1e12)) {
    fail(ErrorCode::kArg, "rope_freq_base is ", c.rope_freq_base, ", allowed are 1 to 1e12");
  }
}

Config config_from_gguf(const io::Gguf& file) {
  Config c;
  c.architecture = file.get_string("general.architecture");
  const Family* family = find_family(c.architecture);
  if (!family) {
    fail(ErrorCode::kUnsupported, file.path(), ": general.architecture is '",
         base::printable(c.architecture), "', this build reads ", family_names());
  }
  c.family = *family;
  if (const auto name = file.find_string("general.name")) c.name = base::printable(*name);
  const std::string prefix = c.architecture + ".";
  const auto key = [&](const char* name) { return prefix + name; };
  const auto size = [&](const char* name, uint64_t max) {
    return static_cast<int64_t>(file.get_uint(key(name), 1, max));
  };

  c.n_layers = size("block_count", kMaxLayers);
  c.n_embd = size("embedding_length", kMaxWidth);
  c.n_ff = size("feed_forward_length", kMaxWidth);
  c.n_window = size("context_length", INT32_MAX);
  c.n_heads = size("attention.head_count", kMaxHeads);
  c.n_kv_heads = static_cast<int64_t>(file.find_uint(key("attention.head_count_kv"), 1, kMaxHeads)
                                          .value_or(static_cast<uint64_t>(c.n_heads)));
  if (c.n_heads % c.n_kv_heads != 0) {
    fail(ErrorCode::kFormat, file.path(), ": ", key("attention.head_count"), " is ", c.n_heads,
         ", not a multiple of ", key("attention.head_count_kv"), " ", c.n_kv_heads);
  }

  const auto head_dim = file.find_uint(key("attention.key_length"), 2, kMaxHeadDim);
  if (!head_dim && c.n_embd % c.n_heads != 0) {
    fail(ErrorCode::kFormat, file.path(), ": ", key("embedding_length"), " is ", c.n_embd,
         ", not a multiple of ", key("attention.head_count"), " ", c.n_heads);
  }
  c.head_dim = head_dim ? static_cast<int64_t>(*head_dim) : c.n_embd / c.n_heads;
  if (c.head_dim % 2 != 0 || c.head_dim < 2) {
    fail(ErrorCode::kFormat, file.path(), ": head_dim is ", c.head_dim, ", RoPE needs an even one");
  }
  const auto same_dim = [&](const char* name) {
    const auto v = file.find_uint(key(name));
    if (v && *v != static_cast<uint64_t>(c.head_dim)) {
      fail(ErrorCode::kUnsupported, file.path(), ": ", key(name), " is ", *v, ", head_dim is ",
           c.head_dim, "; this build needs them equal");
    }
  };
  same_dim("attention.value_length");
  same_dim("rope.dimension_count");

  const io::Value* tokens = file.find("tokenizer.ggml.tokens");
  const uint64_t n_tokens = tokens && tokens->type == io::ValueType::kArray ? tokens->count : 0;
  const auto n_vocab = file.find_uint(key("vocab_size"), 1, kMaxVocab);
  if (!n_vocab && (n_tokens == 0 || n_tokens > kMaxVocab)) {
    fail(ErrorCode::kFormat, file.path(), ": neither ", key("vocab_size"),
         " nor tokenizer.ggml.tokens tells the vocabulary's size");
  }
  c.n_vocab = static_cast<int64_t>(n_vocab.value_or(n_tokens));
  if (n_tokens != 0 && n_tokens != static_cast<uint64_t>(c.n_vocab)) {
    fail(ErrorCode::kFormat, file.path(), ": ", key("vocab_size"), " is ", c.n_vocab,
         ", tokenizer.ggml.tokens has ", n_tokens);
  }

  c.norm_eps =
      static_cast<float>(file.get_float(key("attention.layer_norm_rms_epsilon"), 0.0, 1.0));
  c.rope_freq_base = file.find_float(key("rope.freq_base"), 1.0, 1e12).value_or(10000.0);
  c.rope_layout = family->rope_layout;
  c.tied_embeddings = file.find_tensor("output.weight") == nullptr;
  const bool by_width = c.n_layers == family->n_layers_scaled_by_width;
  c.softmax_scale =
      1.0f / std::sqrt(static_cast<float>(by_width ? c.n_embd / c.n_heads : c.head_dim));
  if (family->scales_embeddings) c.embedding_scale = std::sqrt(static_cast<float>(c.n_embd));
  refuse_unknown_features(file, c.architecture);
  c.rope_factors = rope_factors(file, c);
  read_sliding_window(file, c);
  return c;
}

}  // namespace reattn::model
