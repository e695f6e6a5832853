// What the families' models are like in the folders of Hugging Face's library, beside family.hpp, as data.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace reattn::model {

// A part of the model, in GGUF's words ("attn_q") and in the folder's ("self_attn.q_proj").
struct HfName {
  std::string_view part, name;
};

struct HfFamily {
  std::string_view model_class;   // one of "architectures" in config.json
  std::string_view architecture;  // of its Family
  std::span<const HfName> names;  // where they differ from Llama's
  bool grouped_qkv =
      false;  // one matrix: per key head the rows of its queries, of itself, of its value
  bool norms_less_one = false;      // norms hold what is to be added to 1
  bool ties_embeddings = false;     // where config.json does not say
  bool gelu = false;                // of "hidden_activation"; else SiLU of "hidden_act"
  bool has_sliding_window = false;  // "sliding_window" counts without "use_sliding_window"
};

// Null for a class that is not among them.
const HfFamily* find_hf_family(std::string_view model_class);
// "'LlamaForCausalLM', 'MistralForCausalLM' and ..."
std::string hf_family_names();

// Without ".weight" or ".bias": of a part of the whole model, of a part of a layer.
std::string hf_name(const HfFamily& family, std::string_view part);
std::string hf_name(const HfFamily& family, size_t layer, std::string_view part);

}  // namespace reattn::model
