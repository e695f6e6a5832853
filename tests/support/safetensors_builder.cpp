#include "tests/support/safetensors_builder.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <span>

#include "tests/support/tiny_llama.hpp"

namespace reattn::test {
namespace {

std::string list(const std::vector<int64_t>& numbers) {
  std::string out = "[";
  for (size_t i = 0; i < numbers.size(); ++i) {
    out += (i > 0 ? "," : "") + std::to_string(numbers[i]);
  }
  return out + "]";
}

}  // namespace

std::vector<std::byte> safetensors_file(std::string_view header, size_t n_data_bytes) {
  std::vector<std::byte> out(sizeof(uint64_t) + header.size() + n_data_bytes);
  const uint64_t n = header.size();
  std::memcpy(out.data(), &n, sizeof n);
  std::copy_n(std::as_bytes(std::span(header)).begin(), n, out.begin() + sizeof n);
  return out;
}

SafetensorsBuilder& SafetensorsBuilder::tensor(std::string_view name, std::string_view dtype,
                                               const std::vector<int64_t>& shape,
                                               std::vector<std::byte> data) {
  without(name);
  tensors_.push_back({std::string(name), std::string(dtype), shape, std::move(data)});
  return *this;
}

SafetensorsBuilder& SafetensorsBuilder::tensor_of(std::string_view name, std::string_view dtype,
                                                  const std::vector<int64_t>& shape, size_t n_bytes,
                                                  uint64_t bits) {
  size_t n = n_bytes;
  for (const int64_t d : shape) n *= static_cast<size_t>(d);
  std::vector<std::byte> data(n);
  for (size_t at = 0; at < n; at += n_bytes) std::memcpy(&data[at], &bits, n_bytes);
  return tensor(name, dtype, shape, std::move(data));
}

SafetensorsBuilder& SafetensorsBuilder::without(std::string_view name) {
  std::erase_if(tensors_, [&](const Tensor& t) { return t.name == name; });
  return *this;
}

std::vector<int64_t> SafetensorsBuilder::shape(std::string_view name) const {
  return std::find_if(tensors_.begin(), tensors_.end(),
                      [&](const Tensor& t) { return t.name == name; })
      ->shape;
}

std::vector<std::string> SafetensorsBuilder::names() const {
  std::vector<std::string> out;
  for (const Tensor& t : tensors_) out.push_back(t.name);
  return out;
}

std::string SafetensorsBuilder::header() const {
  std::string out = R"({"__metadata__":{"format":"pt"})";
  int64_t at = 0;
  for (const Tensor& t : tensors_) {
    const int64_t end = at + static_cast<int64_t>(t.data.size());
    out += ",\"" + t.name + "\":{\"dtype\":\"" + t.dtype + "\",\"shape\":" + list(t.shape) +
           ",\"data_offsets\":" + list({at, end}) + "}";
    at = end;
  }
  return out + "}";
}

std::vector<std::byte> SafetensorsBuilder::bytes() const {
  std::vector<std::byte> out = safetensors_file(header());
  for (const Tensor& t : tensors_) out.insert(out.end(), t.data.begin(), t.data.end());
  return out;
}

std::vector<std::pair<std::string, std::string>> TinyFolder::config() const {
  return {{"architectures", R"(["LlamaForCausalLM"])"},
          {"model_type", R"("llama")"},
          {"num_hidden_layers", std::to_string(n_layers)},
          {"hidden_size", std::to_string(n_embd)},
          {"intermediate_size", std::to_string(n_ff)},
          {"num_attention_heads", std::to_string(n_heads)},
          {"num_key_value_heads", std::to_string(n_kv_heads)},
          {"vocab_size", std::to_string(n_vocab)},
          {"max_position_embeddings", "512"},
          {"rms_norm_eps", "1e-05"},
          {"rope_theta", "10000.0"},
          {"rope_scaling", "null"},
          {"hidden_act", R"("silu")"},
          {"tie_word_embeddings", "false"}};
}

SafetensorsBuilder TinyFolder::tensors() const {
  constexpr uint32_t kSmall = 0x2400;  // 2^-6 in F16
  constexpr uint32_t kOne = 0x3C00;
  SafetensorsBuilder b;
  const auto matrix = [&](const std::string& name, int64_t n_rows, int64_t n_cols) {
    b.tensor_of(name + ".weight", "F16", {n_rows, n_cols}, 2, kSmall);
  };
  const auto norm = [&](const std::string& name) {
    b.tensor_of(name + ".weight", "F16", {n_embd}, 2, kOne);
  };
  const int64_t n_kv = n_embd / n_heads * n_kv_heads;
  matrix("lm_head", n_vocab, n_embd);
  matrix("model.embed_tokens", n_vocab, n_embd);
  for (int64_t i = 0; i < n_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    norm(layer + "input_layernorm");
    norm(layer + "post_attention_layernorm");
    matrix(layer + "self_attn.q_proj", n_embd, n_embd);
    matrix(layer + "self_attn.k_proj", n_kv, n_embd);
    matrix(layer + "self_attn.v_proj", n_kv, n_embd);
    matrix(layer + "self_attn.o_proj", n_embd, n_embd);
    matrix(layer + "mlp.gate_proj", n_ff, n_embd);
    matrix(layer + "mlp.up_proj", n_ff, n_embd);
    matrix(layer + "mlp.down_proj", n_embd, n_ff);
  }
  norm("model.norm");
  return b;
}

std::map<std::string, std::vector<std::byte>> TinyFolder::files() const {
  const auto bytes_of = [](std::string_view s) {
    const auto bytes = std::as_bytes(std::span(s));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  return {{"config.json", bytes_of(json_object(config()))},
          {"model.safetensors", tensors().bytes()},
          {"tokenizer.json", bytes_of(tiny_tokenizer_json(n_vocab))},
          {"tokenizer_config.json", bytes_of(tiny_tokenizer_config_json())}};
}

void write_files(const std::string& folder,
                 const std::map<std::string, std::vector<std::byte>>& files) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, content] : files) write_file(folder + "/" + name, content);
}

std::string json_object(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string out = "{";
  for (size_t i = 0; i < members.size(); ++i) {
    out += (i > 0 ? ",\n\"" : "\"") + members[i].first + "\": " + members[i].second;
  }
  return out + "}\n";
}

}  // namespace reattn::test
