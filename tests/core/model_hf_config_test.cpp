// config.json: what each key becomes, and what is refused by its name.
#include <gtest/gtest.h>

#include <cmath>

#include "core/model/config.hpp"
#include "tests/core/expect_error.hpp"
#include "tests/support/safetensors_builder.hpp"

namespace reattn::model {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

// A small Llama's with keys changed or added; a value that is empty takes the key away.
std::string with(const Members& changes) {
  Members members = test::TinyFolder().config();
  for (const auto& change : changes) {
    std::erase_if(members, [&](const auto& m) { return m.first == change.first; });
    if (!change.second.empty()) members.push_back(change);
  }
  return test::json_object(members);
}

Config config_of(const Members& changes) {
  const io::Json json = io::parse_json(with(changes), "config.json");
  return config_from_folder("models/tiny/", io::JsonObject(json, "config.json"));
}

Members of_class(const std::string& name, Members changes = {}) {
  changes.emplace_back("architectures", "[\"" + name + "\"]");
  return changes;
}
Members gemma(Members changes = {}) {
  changes.emplace_back("sliding_window", "20");
  changes.emplace_back("hidden_activation", R"("gelu_pytorch_tanh")");
  return of_class("Gemma3ForCausalLM", changes);
}

TEST(HfConfig, ReadsALlama) {
  const Config c = config_of({});
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.name, "tiny");
  EXPECT_EQ(c.n_layers, 1);
  EXPECT_EQ(c.n_embd, 32);
  EXPECT_EQ(c.n_ff, 48);
  EXPECT_EQ(c.n_heads, 4);
  EXPECT_EQ(c.n_kv_heads, 2);
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.n_vocab, 260);
  EXPECT_EQ(c.n_window, 512);
  EXPECT_FLOAT_EQ(c.norm_eps, 1e-5F);
  EXPECT_EQ(c.rope_freq_base, 10000);
  EXPECT_EQ(c.rope_layout, kernels::RopeLayout::kHalves);
  EXPECT_FLOAT_EQ(c.softmax_scale, 1 / std::sqrt(8.0F));
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_TRUE(c.rope_factors.empty());
  EXPECT_EQ(c.n_sliding, 0);
}

TEST(HfConfig, MissingKeysHaveTheirDefaults) {
  const Config c = config_of({{"num_key_value_heads", ""},
                              {"rope_theta", ""},
                              {"rope_scaling", ""},
                              {"tie_word_embeddings", ""},
                              {"hidden_act", ""}});
  EXPECT_EQ(c.n_kv_heads, 4);
  EXPECT_EQ(c.rope_freq_base, 10000);
  EXPECT_FALSE(c.tied_embeddings);
  EXPECT_TRUE(config_of(gemma({{"tie_word_embeddings", ""}})).tied_embeddings);
  EXPECT_EQ(config_of({{"head_dim", "16"}}).head_dim, 16);
}

TEST(HfConfig, ScalesRope) {
  const Config linear = config_of({{"rope_scaling", R"({"type":"linear","factor":4.0})"}});
  EXPECT_EQ(linear.rope_factors, std::vector<float>(4, 4));
  for (const char* none : {R"({"rope_type":"default"})", R"({"type":"dynamic","factor":2.0})"}) {
    EXPECT_TRUE(config_of({{"rope_scaling", none}}).rope_factors.empty()) << none;
  }
  // Frequencies 1, 1/10, 1/100 and 1/1000: of 628.3 positions they turn 100, 10, 1 and 1/10 times.
  const Config llama3 = config_of({{"rope_scaling", R"({"rope_type":"llama3","factor":8,
    "low_freq_factor":1,"high_freq_factor":19,"original_max_position_embeddings":628.3185307179586})"}});
  ASSERT_EQ(llama3.rope_factors.size(), 4u);
  EXPECT_FLOAT_EQ(llama3.rope_factors[0], 1);
  EXPECT_FLOAT_EQ(llama3.rope_factors[1], 16.0F / 9);  // half way: 1 / (1/2 + 1/2 · 1/8)
  EXPECT_FLOAT_EQ(llama3.rope_factors[2], 8);
  EXPECT_FLOAT_EQ(llama3.rope_factors[3], 8);
}

// As version 5 of the library writes them.
TEST(HfConfig, ReadsRopeParameters) {
  const Config c =
      config_of({{"rope_theta", ""},
                 {"rope_parameters", R"({"rope_type":"linear","rope_theta":5e5,"factor":2})"}});
  EXPECT_EQ(c.rope_freq_base, 5e5);
  EXPECT_EQ(c.rope_factors, std::vector<float>(4, 2));
  const Config sliding =
      config_of(gemma({{"rope_theta", ""},
                       {"rope_parameters",
                        R"({"full_attention":{"rope_type":"linear","rope_theta":1e6,"factor":8},
          "sliding_attention":{"rope_type":"default","rope_theta":2e4}})"}}));
  EXPECT_EQ(sliding.rope_freq_base, 1e6);
  EXPECT_EQ(sliding.rope_factors, std::vector<float>(4, 8));
  EXPECT_EQ(sliding.family.sliding_rope_freq_base, 2e4);
}

TEST(HfConfig, Windows) {
  EXPECT_EQ(config_of(of_class("Phi3ForCausalLM", {{"sliding_window", "100"}})).n_window, 100);
  EXPECT_EQ(config_of(of_class("MistralForCausalLM", {{"sliding_window", "100"}})).n_window, 100);
  EXPECT_EQ(config_of(of_class("MistralForCausalLM", {{"sliding_window", "null"}})).n_window, 512);
  // Qwen's counts only where it is used.
  EXPECT_EQ(config_of(of_class("Qwen2ForCausalLM",
                               {{"sliding_window", "100"}, {"use_sliding_window", "false"}}))
                .n_window,
            512);
  const Config c =
      config_of(gemma({{"rope_local_base_freq", "30000"}, {"query_pre_attn_scalar", "168"}}));
  EXPECT_EQ(c.n_sliding, 20);
  EXPECT_EQ(c.n_window, 512);
  EXPECT_EQ(c.family.sliding_rope_freq_base, 30000);
  EXPECT_FLOAT_EQ(c.softmax_scale, 1 / std::sqrt(168.0F));
  EXPECT_FLOAT_EQ(c.embedding_scale, std::sqrt(32.0F));
}

TEST(HfConfig, RefusesWhatTheDecoderDoesNotHave) {
  const auto unsupported = [](std::initializer_list<std::string_view> words,
                              const Members& changes) {
    test::expect_error(ErrorCode::kUnsupported, words, [&] { config_of(changes); });
  };
  unsupported({"config.json: 'architectures' is [\"MambaForCausalLM\"]", "'LlamaForCausalLM'",
               "'Gemma3ForCausalLM'"},
              of_class("MambaForCausalLM"));
  unsupported({"'architectures'", "Gemma3ForConditionalGeneration"},
              of_class("Gemma3ForConditionalGeneration"));
  unsupported({"'architectures' is []"}, {{"architectures", "[]"}});
  unsupported({"'quantization_config'", "'gptq'"},
              {{"quantization_config", R"({"quant_method":"gptq","bits":4})"}});
  unsupported({"'quantization_config'", "'awq'"},
              {{"quantization_config", R"({"quant_method":"awq"})"}});
  unsupported({"'quantization_config'", "'fp8'"},
              {{"quantization_config", R"({"quant_method":"fp8"})"}});
  unsupported({"'quantization_config'", "'unnamed'"}, {{"quantization_config", "{}"}});
  unsupported({"'compression_config'"}, {{"compression_config", "{}"}});
  unsupported({"'hidden_act'", "'gelu'"}, {{"hidden_act", R"("gelu")"}});
  unsupported({"'hidden_activation'", "'relu'"},
              of_class("Gemma3ForCausalLM", {{"hidden_activation", R"("relu")"}}));
  unsupported({"'final_logit_softcapping'"}, gemma({{"final_logit_softcapping", "30.0"}}));
  unsupported({"'attn_logit_softcapping'"}, gemma({{"attn_logit_softcapping", "50.0"}}));
  unsupported({"'use_sliding_window'"},
              of_class("Qwen2ForCausalLM", {{"use_sliding_window", "true"}}));
  unsupported({"'use_bidirectional_attention'"}, gemma({{"use_bidirectional_attention", "true"}}));
  unsupported({"'partial_rotary_factor'"},
              of_class("Phi3ForCausalLM", {{"partial_rotary_factor", "0.75"}}));
  for (const char* type : {"yarn", "longrope", "su", "mrope"}) {
    unsupported({"'rope_scaling.type'", type},
                {{"rope_scaling", std::string(R"({"factor":4,"type":")") + type + "\"}"}});
  }
  unsupported({"'layer_types'", "'sliding_attention' in layer 0"},
              {{"layer_types", R"(["sliding_attention"])"}});
  unsupported({"'layer_types'", "'full_attention' in layer 0"},
              gemma({{"layer_types", R"(["full_attention"])"}}));
  unsupported({"'sliding_window_pattern'", "one layer in 2"},
              gemma({{"sliding_window_pattern", "2"}}));
  unsupported(
      {"'rope_parameters.sliding_attention.rope_type'"},
      gemma({{"rope_parameters", R"({"sliding_attention":{"rope_type":"linear","factor":2}})"}}));
}

TEST(HfConfig, NamesTheKeyThatIsWrong) {
  const auto wrong = [](std::string_view words, const Members& changes) {
    test::expect_error(ErrorCode::kFormat, {"config.json: ", words}, [&] { config_of(changes); });
  };
  for (const char* key :
       {"architectures", "num_hidden_layers", "hidden_size", "intermediate_size",
        "num_attention_heads", "vocab_size", "max_position_embeddings", "rms_norm_eps"}) {
    wrong(std::string("'") + key + "' is missing", {{key, ""}});
    wrong(std::string("'") + key + "'", {{key, "{}"}});
  }
  for (const char* key :
       {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
        "num_key_value_heads", "vocab_size", "max_position_embeddings", "head_dim"}) {
    for (const char* value :
         {"0", "-1", "1.5", "1e30", "9223372036854775807", "\"4\"", "true", "[4]"}) {
      wrong(std::string("'") + key + "' is ", {{key, value}});
    }
  }
  wrong("'head_dim' is 7", {{"head_dim", "7"}});
  wrong("'hidden_size' is 33", {{"hidden_size", "33"}});
  wrong("not a multiple of num_key_value_heads 3", {{"num_key_value_heads", "3"}});
  wrong("'rope_theta'", {{"rope_theta", "0"}});
  wrong("'rope_scaling.factor' is missing", {{"rope_scaling", R"({"type":"linear"})"}});
  wrong("'rope_scaling.type' is missing", {{"rope_scaling", "{}"}});
  wrong("'rope_scaling' is a string", {{"rope_scaling", "\"linear\""}});
  wrong(
      "'rope_scaling.high_freq_factor' is not above",
      {{"rope_scaling",
        R"({"type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":8192})"}});
  wrong("'layer_types' has 2 entries", {{"layer_types", R"(["full_attention","full_attention"])"}});
  wrong("'sliding_window' is missing", of_class("Gemma3ForCausalLM"));
  wrong("'tie_word_embeddings'", {{"tie_word_embeddings", "1"}});
}

}  // namespace
}  // namespace reattn::model
