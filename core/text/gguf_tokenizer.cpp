// The tokenizer.* keys, each of the type and length it must have.
#include "core/text/gguf_tokenizer.hpp"

#include <algorithm>

#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::text {
namespace {

constexpr uint64_t kMaxTokens = 2'000'000;
constexpr uint64_t kMaxMerges = 4'000'000;

// Number of elements, found before any of them is copied.
uint64_t count_of(const io::Gguf& gguf, std::string_view key, uint64_t max) {
  const io::Value* value = gguf.find(key);
  if (value == nullptr) fail(ErrorCode::kFormat, gguf.path(), ": no ", key);
  if (value->type != io::ValueType::kArray) {
    fail(ErrorCode::kFormat, gguf.path(), ": ", key, " is a ", value->type_name(),
         "; want an array");
  }
  if (value->count > max) {
    fail(ErrorCode::kUnsupported, gguf.path(), ": ", key, " has ", value->count,
         " entries; at most ", max);
  }
  return value->count;
}

// UTF-8, so that messages may quote it; `otherwise` where the key is missing.
std::string text_or(const io::Gguf& gguf, std::string_view key, std::string_view otherwise) {
  const std::string_view value = gguf.find_string(key).value_or(otherwise);
  if (const Utf8Check utf8 = check_utf8(value); !utf8.valid()) {
    fail(ErrorCode::kFormat, gguf.path(), ": ", key, " is not UTF-8 at byte ", utf8.offset);
  }
  return std::string(value);
}

std::vector<std::string> strings(const io::Gguf& gguf, std::string_view key) {
  const std::vector<std::string_view> views = gguf.get_strings(key);
  return {views.begin(), views.end()};
}

// -1 where the file names none.
int32_t token_id(const io::Gguf& gguf, std::string_view key, uint64_t n_tokens) {
  const auto id = gguf.find_int(key, -1, static_cast<int64_t>(n_tokens) - 1);
  return static_cast<int32_t>(id.value_or(-1));
}

void read_byte_level(TokenizerSpec& spec, const io::Gguf& gguf) {
  spec.pre = text_or(gguf, "tokenizer.ggml.pre", "default");
  spec.merges = strings(gguf, "tokenizer.ggml.merges");
  // What these words mean beyond how text is split.
  const bool is_llama3 = spec.pre == "llama-bpe" || spec.pre == "llama3" || spec.pre == "llama-v3";
  spec.whole_words_first = is_llama3;
  spec.add_bos = is_llama3;
  spec.composes = spec.pre == "qwen2";
  if (gguf.find_bool("tokenizer.ggml.add_space_prefix").value_or(false)) {
    spec.space_prefix = SpacePrefix::kEach;
  }
}

// Phi-3's tokens take the white space behind them along; the file does not say so.
void set_phi3_strips(TokenizerSpec& spec) {
  spec.strips.resize(spec.tokens.size());
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string& token = spec.tokens[i];
    if (token == "<unk>" || token == "<s>" || token == "<|endoftext|>") continue;
    if (spec.token_types[i] == 3 || token == "</s>") spec.strips[i] = TokenizerSpec::kStripRight;
  }
}

// The converter writes a dragon for InternLM2's NUL, which C strings of old could not hold.
void restore_internlm2_nul(TokenizerSpec& spec) {
  const std::string nul(1, '\0'), dragon = "\xF0\x9F\x90\x89";
  if (std::ranges::find(spec.tokens, nul) != spec.tokens.end()) return;
  const auto found = std::ranges::find(spec.tokens, dragon);
  if (found != spec.tokens.end()) *found = nul;
}

void read_sentence_piece(TokenizerSpec& spec, const io::Gguf& gguf) {
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  constexpr std::string_view kCharsmap = "tokenizer.ggml.precompiled_charsmap";
  const uint64_t n_scores = count_of(gguf, kScores, kMaxTokens);
  if (n_scores != spec.tokens.size()) {
    fail(ErrorCode::kFormat, gguf.path(), ": ", kScores, " has ", n_scores,
         " entries and tokenizer.ggml.tokens has ", spec.tokens.size());
  }
  spec.scores = gguf.get_floats(kScores);
  if (const io::Value* charsmap = gguf.find(kCharsmap); charsmap && charsmap->count > 0) {
    fail(ErrorCode::kUnsupported, gguf.path(), ": ", kCharsmap, ", which this build does not know");
  }
  if (gguf.find_bool("tokenizer.ggml.remove_extra_whitespaces").value_or(false)) {
    fail(ErrorCode::kUnsupported, gguf.path(),
         ": tokenizer.ggml.remove_extra_whitespaces is true, which this build does not know");
  }

  // Llama 2's, where the file does not say.
  const int32_t last = static_cast<int32_t>(spec.tokens.size()) - 1;
  const auto set_if_missing = [&](int32_t& id, std::string_view key, int32_t otherwise) {
    if (!gguf.find(key)) id = std::min(otherwise, last);
  };
  set_if_missing(spec.bos, "tokenizer.ggml.bos_token_id", 1);
  set_if_missing(spec.eos, "tokenizer.ggml.eos_token_id", 2);
  set_if_missing(spec.unk, "tokenizer.ggml.unknown_token_id", 0);
  spec.add_bos = true;

  if (gguf.find_bool("tokenizer.ggml.add_space_prefix").value_or(true)) {
    // Mistral's, told by its control token, have one space in all; the others one after each special
    // token too.
    const auto inst = std::ranges::find(spec.tokens, "[INST]");
    const bool is_mistral = inst != spec.tokens.end() &&
                            spec.token_types[static_cast<size_t>(inst - spec.tokens.begin())] == 3;
    spec.space_prefix = is_mistral ? SpacePrefix::kFirst : SpacePrefix::kEach;
  }
  const std::string_view architecture = gguf.find_string("general.architecture").value_or("");
  if (architecture == "phi3") set_phi3_strips(spec);
  if (architecture == "internlm2") restore_internlm2_nul(spec);
}

}  // namespace

TokenizerSpec spec_from_gguf(const io::Gguf& gguf) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
  constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
  constexpr std::string_view kMerges = "tokenizer.ggml.merges";

  TokenizerSpec spec;
  spec.model = text_or(gguf, "tokenizer.ggml.model", "");
  const bool sentence_piece = spec.model == "llama";
  if (spec.model != "gpt2" && !sentence_piece) {
    fail(ErrorCode::kUnsupported, gguf.path(), ": tokenizer.ggml.model is '", spec.model,
         "'; this build knows gpt2 (byte-level BPE) and llama (SentencePiece's BPE)");
  }

  const uint64_t n_tokens = count_of(gguf, kTokens, kMaxTokens);
  const uint64_t n_types = count_of(gguf, kTypes, kMaxTokens);
  if (n_types != n_tokens) {
    fail(ErrorCode::kFormat, gguf.path(), ": ", kTypes, " has ", n_types, " entries and ", kTokens,
         " has ", n_tokens);
  }
  if (!sentence_piece) count_of(gguf, kMerges, kMaxMerges);
  spec.tokens = strings(gguf, kTokens);
  spec.token_types.reserve(n_types);
  for (const int64_t type : gguf.get_ints(kTypes)) {
    if (type < 1 || type > 6) {
      fail(ErrorCode::kFormat, gguf.path(), ": ", kTypes, "[", spec.token_types.size(), "] is ",
           type, "; want 1 to 6");
    }
    spec.token_types.push_back(static_cast<int32_t>(type));
  }

  spec.bos = token_id(gguf, "tokenizer.ggml.bos_token_id", n_tokens);
  spec.eos = token_id(gguf, "tokenizer.ggml.eos_token_id", n_tokens);
  spec.unk = token_id(gguf, "tokenizer.ggml.unknown_token_id", n_tokens);
  spec.pad = token_id(gguf, "tokenizer.ggml.padding_token_id", n_tokens);
  spec.eot = token_id(gguf, "tokenizer.ggml.eot_token_id", n_tokens);
  if (sentence_piece) {
    read_sentence_piece(spec, gguf);
  } else {
    read_byte_level(spec, gguf);
  }
  spec.add_bos = gguf.find_bool("tokenizer.ggml.add_bos_token").value_or(spec.add_bos);
  spec.add_eos = gguf.find_bool("tokenizer.ggml.add_eos_token").value_or(false);
  spec.chat_template = text_or(gguf, "tokenizer.chat_template", "");
  return spec;
}

}  // namespace reattn::text
