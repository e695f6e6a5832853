// Writes what fuzzing of a model's folder starts from: safetensors_seeds DIRECTORY.
#include <cstdio>
#include <exception>
#include <span>

#include "tests/support/gguf_builder.hpp"
#include "tests/support/safetensors_builder.hpp"

namespace {

using Bytes = std::vector<std::byte>;
using reattn::test::SafetensorsBuilder;

Bytes of_kind(char kind, const Bytes& content) {
  Bytes out{static_cast<std::byte>(kind)};
  out.insert(out.end(), content.begin(), content.end());
  return out;
}
Bytes of_kind(char kind, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return of_kind(kind, Bytes(bytes.begin(), bytes.end()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: safetensors_seeds DIRECTORY\n");
    return 2;
  }
  const auto put = [&](const char* name, const Bytes& bytes) {
    reattn::test::write_file(std::string(argv[1]) + "/" + name, bytes);
  };
  try {
    put("types", of_kind('S', SafetensorsBuilder()
                                  .tensor_of("f32", "F32", {2, 3}, 4, 1)
                                  .tensor_of("f16", "F16", {5}, 2, 1)
                                  .tensor_of("bf16", "BF16", {}, 2, 1)
                                  .tensor_of("none", "F32", {0, 7}, 4, 1)
                                  .bytes()));
    put("nothing", of_kind('S', reattn::test::safetensors_file("{}")));
    put("integers", of_kind('S', SafetensorsBuilder().tensor_of("i", "I64", {2}, 8, 1).bytes()));
    put("index",
        of_kind(
            'I',
            R"({"metadata":{"total_size":8},"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})"));
    auto config = reattn::test::TinyFolder().config();
    put("llama", of_kind('C', reattn::test::json_object(config)));
    config[0].second = R"(["Gemma3ForCausalLM"])";
    config.insert(config.end(), {{"sliding_window", "20"},
                                 {"sliding_window_pattern", "6"},
                                 {"layer_types", R"(["sliding_attention"])"},
                                 {"rope_local_base_freq", "1e4"},
                                 {"query_pre_attn_scalar", "168"},
                                 {"head_dim", "16"},
                                 {"final_logit_softcapping", "null"}});
    put("gemma", of_kind('C', reattn::test::json_object(config)));
    config = reattn::test::TinyFolder().config();
    config.insert(config.end(),
                  {{"rope_parameters",
                    R"({"rope_type":"llama3","rope_theta":1e4,"factor":8,"low_freq_factor":1,
      "high_freq_factor":4,"original_max_position_embeddings":8192})"},
                   {"quantization_config", "null"},
                   {"use_sliding_window", "false"}});
    put("scaled", of_kind('C', reattn::test::json_object(config)));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "safetensors_seeds: %s\n", e.what());
    return 1;
  }
}
