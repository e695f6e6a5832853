// Makes up the small model: vocabulary, hyper-parameters, weights.
#include "tests/support/tiny_llama.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "tests/support/encode.hpp"

namespace reattn::test {
namespace {

using kernels::DType;

// Its own generator, as the standard's distributions differ between libraries.
class Normal {
 public:
  explicit Normal(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 1) {}

  float next() {
    const double u = (static_cast<double>(bits() >> 11) + 0.5) * 0x1p-53;
    const double v = static_cast<double>(bits() >> 11) * 0x1p-53;
    return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v));
  }

 private:
  uint64_t bits() {  // splitmix64
    uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }

  uint64_t state_;
};

std::string utf8(uint32_t code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0 | code_point >> 6), static_cast<char>(0x80 | (code_point & 0x3F))};
}

// GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the other 68 for U+0100 on.
std::vector<std::string> byte_alphabet() {
  std::vector<std::string> out, shifted;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    if (printable) {
      out.push_back(utf8(byte));
    } else {
      shifted.push_back(utf8(0x100 + static_cast<uint32_t>(shifted.size())));
    }
  }
  out.insert(out.end(), shifted.begin(), shifted.end());
  return out;
}

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;  // 1 normal, 3 control
  std::vector<std::string> merges;
};

Vocabulary make_vocabulary(int64_t n_vocab) {
  Vocabulary v;
  v.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"};
  v.types.assign(v.tokens.size(), 3);
  for (auto& token : byte_alphabet()) v.tokens.push_back(std::move(token));

  const auto size = static_cast<size_t>(n_vocab);
  if (size < v.tokens.size()) throw std::invalid_argument("n_vocab must be at least 260");
  const auto merge = [&](const std::string& left, const std::string& right) {
    if (v.tokens.size() == size) return;
    if (std::find(v.tokens.begin(), v.tokens.end(), left + right) != v.tokens.end()) return;
    v.tokens.push_back(left + right);
    v.merges.push_back(left + " " + right);
  };
  const std::string space = "\u0120";
  merge(space, "t");
  merge(space, "a");
  merge("h", "e");
  merge("i", "n");
  merge("r", "e");
  merge(space + "t", "he");
  merge(space, "s");
  merge("n", "d");
  merge(space + "a", "nd");
  merge("in", "g");
  merge(space, space);
  for (const char left : std::string_view("etaoinsrhldcumfpgwybvkxjqz")) {
    for (const char right : std::string_view("etaoinsrhldcumfpgwybvkxjqz")) {
      merge({left}, {right});
    }
  }
  if (v.tokens.size() < size) throw std::invalid_argument("n_vocab is too large for a tiny model");
  v.types.resize(v.tokens.size(), 1);
  return v;
}

constexpr std::string_view kChatTemplate =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

void add_metadata(GgufBuilder& b, const TinyLlamaOptions& o) {
  const auto u32 = [](int64_t v) { return static_cast<uint32_t>(v); };
  const Vocabulary v = make_vocabulary(o.n_vocab);
  b.kv_str("general.architecture", "llama")
      .kv_str("general.name", "tiny random llama")
      .kv_u32("llama.block_count", u32(o.n_layers))
      .kv_u32("llama.context_length", u32(o.context_length))
      .kv_u32("llama.embedding_length", u32(o.n_embd))
      .kv_u32("llama.feed_forward_length", u32(o.n_ff))
      .kv_u32("llama.attention.head_count", u32(o.n_heads))
      .kv_u32("llama.attention.head_count_kv", u32(o.n_kv_heads))
      .kv_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f)
      .kv_f32("llama.rope.freq_base", o.rope_base)
      .kv_u32("llama.rope.dimension_count", u32(o.head_dim))
      .kv_u32("llama.vocab_size", u32(o.n_vocab));
  if (o.n_heads * o.head_dim != o.n_embd) {
    b.kv_u32("llama.attention.key_length", u32(o.head_dim))
        .kv_u32("llama.attention.value_length", u32(o.head_dim));
  }
  b.kv_str("tokenizer.ggml.model", "gpt2")
      .kv_str("tokenizer.ggml.pre", "smollm")
      .kv_arr_str("tokenizer.ggml.tokens", v.tokens)
      .kv_arr_i32("tokenizer.ggml.token_type", v.types)
      .kv_arr_str("tokenizer.ggml.merges", v.merges)
      .kv_u32("tokenizer.ggml.bos_token_id", u32(kTinyImStart))
      .kv_u32("tokenizer.ggml.eos_token_id", u32(kTinyImEnd))
      .kv_u32("tokenizer.ggml.unknown_token_id", u32(kTinyEndOfText))
      .kv_u32("tokenizer.ggml.padding_token_id", u32(kTinyPad))
      .kv_bool("tokenizer.ggml.add_bos_token", false)
      .kv_bool("tokenizer.ggml.add_space_prefix", false)
      .kv_str("tokenizer.chat_template", kChatTemplate);
}

std::string json_string(std::string_view s) {
  std::string out = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    c == '\n' ? out += "\\n" : out += c;
  }
  return out + "\"";
}

}  // namespace

std::string tiny_tokenizer_json(int64_t n_vocab) {
  const Vocabulary v = make_vocabulary(n_vocab);
  std::string added, vocab, merges;
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const std::string token = json_string(v.tokens[i]), id = std::to_string(i);
    vocab += (i > 0 ? ", " : "") + token + ": " + id;
    if (v.types[i] != 3) continue;
    added += (added.empty() ? "" : ", ") + ("{\"id\": " + id) + ", \"content\": " + token +
             R"(, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,)"
             R"( "special": true})";
  }
  for (const std::string& merge : v.merges) {
    merges += (merges.empty() ? "" : ", ") + json_string(merge);
  }
  return R"({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
  {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
"post_processor": null,
"decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
"added_tokens": [)" +
         added + R"(],
"model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
  "vocab": {)" +
         vocab + "}, \"merges\": [" + merges + "]}}\n";
}

std::string tiny_tokenizer_config_json() {
  return R"({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>",
"pad_token": "<|pad|>", "add_bos_token": false, "chat_template": )" +
         json_string(kChatTemplate) + "}\n";
}

GgufBuilder tiny_llama_builder(const TinyLlamaOptions& o) {
  GgufBuilder b;
  add_metadata(b, o);

  Normal random(o.seed);
  const auto matrix = [&](const std::string& name, int64_t n_in, int64_t n_out, DType dtype,
                          float gain = 1.0f) {
    std::vector<float> values(static_cast<size_t>(n_in * n_out));
    const float deviation = gain / std::sqrt(static_cast<float>(n_in));
    for (auto& x : values) x = deviation * random.next();
    b.tensor(name, {n_in, n_out}, dtype, encode(dtype, values));
  };
  const auto norm = [&](const std::string& name) {
    std::vector<float> values(static_cast<size_t>(o.n_embd));
    for (auto& x : values) x = 1.0f + 0.1f * random.next();
    b.tensor(name, {o.n_embd}, DType::kF32, encode(DType::kF32, values));
  };

  const bool four_bits = o.dtype == DType::kQ4_0 || o.dtype == DType::kQ4_1;
  const DType embd_dtype = o.embd_dtype.value_or(four_bits ? DType::kQ8_0 : o.dtype);
  const int64_t n_q = o.n_heads * o.head_dim;
  const int64_t n_kv = o.n_kv_heads * o.head_dim;
  constexpr float kLogitGain = 2.0f;
  constexpr float kScoreGain = 1.5f;
  matrix("token_embd.weight", o.n_embd, o.n_vocab, embd_dtype, kLogitGain);
  for (int64_t layer = 0; layer < o.n_layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    norm(prefix + "attn_norm.weight");
    matrix(prefix + "attn_q.weight", o.n_embd, n_q, o.dtype, kScoreGain);
    matrix(prefix + "attn_k.weight", o.n_embd, n_kv, o.dtype, kScoreGain);
    matrix(prefix + "attn_v.weight", o.n_embd, n_kv, o.dtype);
    matrix(prefix + "attn_output.weight", n_q, o.n_embd, o.dtype);
    norm(prefix + "ffn_norm.weight");
    matrix(prefix + "ffn_gate.weight", o.n_embd, o.n_ff, o.dtype);
    matrix(prefix + "ffn_up.weight", o.n_embd, o.n_ff, o.dtype);
    matrix(prefix + "ffn_down.weight", o.n_ff, o.n_embd, o.dtype);
  }
  norm("output_norm.weight");
  if (!o.tied) matrix("output.weight", o.n_embd, o.n_vocab, embd_dtype, kLogitGain);
  return b;
}

std::vector<std::byte> tiny_llama(const TinyLlamaOptions& options) {
  return tiny_llama_builder(options).bytes();
}

}  // namespace reattn::test
