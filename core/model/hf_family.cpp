#include "core/model/hf_family.hpp"

#include <array>

#include "reattn/kernels/error.hpp"

namespace reattn::model {
namespace {

constexpr std::array kLlamaNames = {
    HfName{"token_embd", "model.embed_tokens"},
    HfName{"output_norm", "model.norm"},
    HfName{"output", "lm_head"},
    HfName{"attn_norm", "input_layernorm"},
    HfName{"attn_q", "self_attn.q_proj"},
    HfName{"attn_k", "self_attn.k_proj"},
    HfName{"attn_v", "self_attn.v_proj"},
    HfName{"attn_qkv", "self_attn.qkv_proj"},
    HfName{"attn_q_norm", "self_attn.q_norm"},
    HfName{"attn_k_norm", "self_attn.k_norm"},
    HfName{"attn_output", "self_attn.o_proj"},
    HfName{"ffn_norm", "post_attention_layernorm"},
    HfName{"ffn_gate", "mlp.gate_proj"},
    HfName{"ffn_up", "mlp.up_proj"},
    HfName{"ffn_down", "mlp.down_proj"},
};
constexpr std::array kInternLm2Names = {
    HfName{"token_embd", "model.tok_embeddings"}, HfName{"output", "output"},
    HfName{"attn_norm", "attention_norm"},        HfName{"attn_qkv", "attention.wqkv"},
    HfName{"attn_output", "attention.wo"},        HfName{"ffn_norm", "ffn_norm"},
    HfName{"ffn_gate", "feed_forward.w1"},        HfName{"ffn_up", "feed_forward.w3"},
    HfName{"ffn_down", "feed_forward.w2"},
};
constexpr std::array kPhi3Names = {HfName{"ffn_up", "mlp.gate_up_proj"}};
constexpr std::array kGemma3Names = {
    HfName{"post_attention_norm", "post_attention_layernorm"},
    HfName{"ffn_norm", "pre_feedforward_layernorm"},
    HfName{"post_ffw_norm", "post_feedforward_layernorm"},
};

constexpr std::array kFamilies = {
    HfFamily{.model_class = "LlamaForCausalLM", .architecture = "llama"},
    HfFamily{
        .model_class = "MistralForCausalLM", .architecture = "llama", .has_sliding_window = true},
    HfFamily{.model_class = "InternLM2ForCausalLM",
             .architecture = "internlm2",
             .names = kInternLm2Names,
             .grouped_qkv = true},
    HfFamily{.model_class = "Qwen2ForCausalLM", .architecture = "qwen2"},
    HfFamily{.model_class = "Qwen3ForCausalLM", .architecture = "qwen3"},
    HfFamily{.model_class = "Phi3ForCausalLM",
             .architecture = "phi3",
             .names = kPhi3Names,
             .has_sliding_window = true},
    HfFamily{.model_class = "Gemma3ForCausalLM",
             .architecture = "gemma3",
             .names = kGemma3Names,
             .norms_less_one = true,
             .ties_embeddings = true,
             .gelu = true,
             .has_sliding_window = true},
};

std::string_view name_of(const HfFamily& family, std::string_view part) {
  for (const std::span<const HfName> names : {family.names, std::span<const HfName>(kLlamaNames)}) {
    for (const HfName& n : names) {
      if (n.part == part) return n.name;
    }
  }
  fail(ErrorCode::kInternal, "no name for the part '", part, "' of ", family.model_class);
}

}  // namespace

const HfFamily* find_hf_family(std::string_view model_class) {
  for (const HfFamily& f : kFamilies) {
    if (f.model_class == model_class) return &f;
  }
  return nullptr;
}

std::string hf_family_names() {
  std::string out;
  for (size_t i = 0; i < kFamilies.size(); ++i) {
    if (i > 0) out += i + 1 < kFamilies.size() ? ", " : " and ";
    out += "'" + std::string(kFamilies[i].model_class) + "'";
  }
  return out;
}

std::string hf_name(const HfFamily& family, std::string_view part) {
  return std::string(name_of(family, part));
}

std::string hf_name(const HfFamily& family, size_t layer, std::string_view part) {
  return concat("model.layers.", layer, ".", name_of(family, part));
}

}  // namespace reattn::model
