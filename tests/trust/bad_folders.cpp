// Folders of which config.json, a safetensors file or its index is wrong.
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <tuple>

#include "tests/trust/bad_folder.hpp"

namespace reattn::test {
namespace {

using namespace bad_folder;

std::string with_key(const std::string& key, const std::string& value) {
  auto members = TinyFolder().config();
  std::erase_if(members, [&](const auto& m) { return m.first == key; });
  if (!value.empty()) members.emplace_back(key, value);
  return json_object(members);
}

void add_places(BadFiles& out) {
  out.add_made("empty", IO, [](const std::string& path) { write_files(path, {}); });
  for (const char* missing : {kConfig, kWeights}) {
    out.add_made(std::string("without-") + missing, IO, [=](const std::string& path) {
      Files files = TinyFolder().files();
      files.erase(missing);
      write_files(path, files);
    });
    const auto instead = [&](const char* what, std::function<void(const std::string&)> make) {
      out.add_made(std::string(missing) + "-is-" + what, IO, [=](const std::string& path) {
        Files files = TinyFolder().files();
        files.erase(missing);
        write_files(path, files);
        make(path + "/" + missing);
      });
    };
    instead("a-folder", [](const std::string& p) { std::filesystem::create_directory(p); });
    instead("a-fifo", [](const std::string& p) { ::mkfifo(p.c_str(), 0600); });
    instead("a-link-to-nothing",
            [](const std::string& p) { std::filesystem::create_symlink("nothing", p); });
    instead("a-link-to-itself",
            [missing](const std::string& p) { std::filesystem::create_symlink(missing, p); });
    instead("a-link-to-a-device",
            [](const std::string& p) { std::filesystem::create_symlink("/dev/zero", p); });
  }
}

void add_configs(BadFiles& out) {
  const std::string whole = json_object(TinyFolder().config());
  const std::tuple<const char*, reattn_status, std::string> texts[] = {
      {"empty", F, ""},
      {"of-spaces", F, "   "},
      {"an-array", F, "[" + whole + "]"},
      {"a-string", F, "\"config\""},
      {"null", F, "null"},
      {"nothing-in-it", F, "{}"},
      {"with-more-behind", F, whole + "x"},
      {"with-a-nul-behind", F, whole + std::string(1, '\0')},
      {"with-a-comment", F, "// a\n" + whole},
      {"bad-utf8", F, with_key("model_type", "\"\xFF\"")},
      {"lone-surrogate", F, with_key("model_type", R"("\udc00")")},
      {"number-of-a-thousand-digits", F, with_key("hidden_size", times("9", 1000))},
      {"key-twice", F, "{\"hidden_size\":32," + whole.substr(1)},
      {"deep-arrays", U, with_key("model_type", times("[", 100'000) + times("]", 100'000))},
      {"deep-objects", U,
       with_key("model_type", times("{\"a\":", 100'000) + "1" + times("}", 100'000))},
      {"million-values", U, with_key("model_type", "[" + times("0,", 1'000'000) + "0]")},
      {"9-MiB", U, with_key("model_type", "\"" + std::string(9 << 20, 'x') + "\"")},
  };
  for (const auto& [name, expected, text] : texts) {
    add(out, std::string("config-") + name, expected, [text = text] {
      return Files{{kConfig, text_bytes(text)}};
    });
  }
  for (size_t i = 1; i < 8; ++i) {
    add(out, "config-cut-at-" + std::to_string(i) + "-of-8", F, [=] {
      return Files{{kConfig, text_bytes(whole.substr(0, whole.size() * i / 8))}};
    });
  }
}

void add_keys(BadFiles& out) {
  const auto key = [&](const std::string& k, const std::string& name, reattn_status expected,
                       const std::string& value) {
    add(out, k + "-" + name, expected, [=] {
      return Files{{kConfig, text_bytes(with_key(k, value))}};
    });
  };
  for (const char* k :
       {"num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
        "vocab_size", "max_position_embeddings", "num_key_value_heads"}) {
    if (std::string_view(k) != "num_key_value_heads") key(k, "missing", F, "");
    key(k, "0", F, "0");
    key(k, "negative", F, "-1");
    key(k, "2^63-1", F, "9223372036854775807");
    key(k, "2^64", F, "18446744073709551616");
    key(k, "float", F, "4.5");
    key(k, "string", F, "\"4\"");
    key(k, "array", F, "[4]");
  }
  key("rms_norm_eps", "missing", F, "");
  key("rms_norm_eps", "negative", F, "-1e-5");
  key("rms_norm_eps", "2", F, "2");
  key("rope_theta", "0", F, "0");
  key("rope_theta", "negative", F, "-10000.0");
  key("rope_theta", "1e300", F, "1e300");
  key("rope_theta", "1e999", F, "1e999");
  key("head_dim", "odd", F, "7");
  key("head_dim", "other", F, "16");
  key("head_dim", "1026", F, "1026");
  key("num_hidden_layers", "one-more", F, "2");
  key("hidden_size", "other", F, "64");
  key("intermediate_size", "other", F, "47");
  key("vocab_size", "one-more", F, "261");
  key("vocab_size", "one-less", F, "259");
  key("num_key_value_heads", "3", F, "3");
  key("tie_word_embeddings", "1", F, "1");
  key("tie_word_embeddings", "string", F, "\"false\"");
  key("architectures", "missing", F, "");
  key("architectures", "string", F, "\"LlamaForCausalLM\"");
  key("architectures", "none", U, "[]");
  key("architectures", "two", U, R"(["LlamaForCausalLM","LlamaForCausalLM"])");
  key("architectures", "number", U, "[1]");
  key("architectures", "unheard-of", U, R"(["MambaForCausalLM"])");
  key("architectures", "of-images", U, R"(["Gemma3ForConditionalGeneration"])");
  key("quantization_config", "gptq", U, R"({"quant_method":"gptq"})");
  key("quantization_config", "awq", U, R"({"quant_method":"awq"})");
  key("quantization_config", "fp8", U, R"({"quant_method":"fp8"})");
  key("quantization_config", "string", F, "\"gptq\"");
  key("hidden_act", "gelu", U, "\"gelu\"");
  key("hidden_act", "number", F, "1");
  key("rope_scaling", "yarn", U, R"({"rope_type":"yarn","factor":4})");
  key("rope_scaling", "longrope", U, R"({"type":"longrope","short_factor":[1],"long_factor":[1]})");
  key("rope_scaling", "without-type", F, R"({"factor":4})");
  key("rope_scaling", "without-factor", F, R"({"type":"linear"})");
  key("rope_scaling", "factor-0", F, R"({"type":"linear","factor":0})");
  key("rope_scaling", "factor-1e300", F, R"({"type":"linear","factor":1e300})");
  key("rope_scaling", "number", F, "4");
  key("rope_scaling", "llama3-half", F, R"({"rope_type":"llama3","factor":8})");
  key("layer_types", "sliding", U, R"(["sliding_attention"])");
  key("layer_types", "too-many", F, R"(["full_attention","full_attention"])");
}

void add_tensors(BadFiles& out) {
  for (const std::string& name : TinyFolder().tensors().names()) {
    add(out, "missing-" + name, F, [=] {
      return Files{{kWeights, TinyFolder().tensors().without(name).bytes()}};
    });
    add(out, "shape-of-" + name, F, [=] {
      return Files{
          {kWeights, TinyFolder().tensors().tensor_of(name, "F16", {31, 33}, 2, 0).bytes()}};
    });
    add(out, "integers-in-" + name, U, [=] {
      return Files{
          {kWeights, TinyFolder().tensors().tensor_of(name, "I8", {32, 32}, 1, 0).bytes()}};
    });
  }
  const std::tuple<const char*, std::vector<int64_t>> shapes[] = {{"transposed", {32, 48}},
                                                                  {"flat", {48 * 32}},
                                                                  {"of-three", {2, 24, 32}},
                                                                  {"empty", {0, 32}},
                                                                  {"scalar", {}}};
  for (const auto& [name, shape] : shapes) {
    add(out, std::string("gate-") + name, F, [shape = shape] {
      return Files{
          {kWeights, TinyFolder()
                         .tensors()
                         .tensor_of("model.layers.0.mlp.gate_proj.weight", "F16", shape, 2, 0)
                         .bytes()}};
    });
  }
  for (const char* name :
       {"model.layers.1.self_attn.q_proj.weight", "model.layers.-1.self_attn.q_proj.weight",
        "unheard.of", "model.layers.0.self_attn.q_proj.qweight",
        "model.layers.0.self_attn.o_proj.bias", "../lm_head.weight", "model.vision.weight"}) {
    add(out, std::string("extra-") + name, F, [=] {
      return Files{{kWeights, TinyFolder().tensors().tensor_of(name, "F16", {32}, 2, 0).bytes()}};
    });
  }
}

void add_numbers(BadFiles& out) {
  const std::tuple<const char*, size_t, uint32_t> numbers[] = {
      {"F32-nan", 4, 0x7FC00000}, {"F32-inf", 4, 0x7F800000},   {"F16-nan", 2, 0x7E00},
      {"F16-inf", 2, 0x7C00},     {"F16-minus-inf", 2, 0xFC00}, {"BF16-nan", 2, 0x7FC0},
      {"BF16-inf", 2, 0x7F80},    {"BF16-minus-inf", 2, 0xFF80}};
  for (const auto& [kind, n_bytes, bits] : numbers) {
    const std::string dtype(kind, std::string_view(kind).find('-'));
    for (const bool last : {false, true}) {
      add(out, std::string(kind) + (last ? "-last" : "-first"), F,
          [dtype, n_bytes = n_bytes, bits = bits, last] {
            Bytes data(32 * n_bytes);
            std::memcpy(&data[last ? data.size() - n_bytes : 0], &bits, n_bytes);
            return Files{
                {kWeights,
                 TinyFolder().tensors().tensor("model.norm.weight", dtype, {32}, data).bytes()}};
          });
    }
  }
  for (const std::string& name : TinyFolder().tensors().names()) {
    add(out, "nan-in-" + name, F, [=] {
      SafetensorsBuilder b = TinyFolder().tensors();
      return Files{{kWeights, b.tensor_of(name, "F16", b.shape(name), 2, 0x7E00).bytes()}};
    });
  }
}

void add_tokenizers(BadFiles& out) {
  out.add_made("without-tokenizer.json", IO, [](const std::string& path) {
    Files files = TinyFolder().files();
    files.erase("tokenizer.json");
    write_files(path, files);
  });
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    for (const auto& [what, text] : {std::pair{"not-json", "{"}, std::pair{"an-array", "[]"},
                                     std::pair{"bad-utf8", "{\"\xFF\":1}"}}) {
      add(out, std::string(name) + "-" + what, F, [=, text = text] {
        return Files{{name, text_bytes(text)}};
      });
    }
  }
  add(out, "chat_template-bad-utf8", F, [] {
    return Files{{"chat_template.jinja", text_bytes("\xC3")}};
  });
}

}  // namespace

void add_bad_folders(BadFiles& out) {
  out.family("folder/", BadFile::Use::kModel);
  add_places(out);
  add_configs(out);
  add_keys(out);
  add_tensors(out);
  add_numbers(out);
  add_tokenizers(out);
}

}  // namespace reattn::test
