// The tokenizer.* keys, each of the type and length it must have.
#include "core/text/gguf_tokenizer.hpp"

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

}  // namespace

TokenizerSpec spec_from_gguf(const io::Gguf& gguf) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
  constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
  constexpr std::string_view kMerges = "tokenizer.ggml.merges";

  TokenizerSpec spec;
  spec.model = text_or(gguf, "tokenizer.ggml.model", "");
  if (spec.model != "gpt2") {
    fail(ErrorCode::kUnsupported, gguf.path(), ": tokenizer.ggml.model is '", spec.model,
         "'; this build knows gpt2 (byte-level BPE)");
  }
  spec.pre = text_or(gguf, "tokenizer.ggml.pre", "default");

  const uint64_t n_tokens = count_of(gguf, kTokens, kMaxTokens);
  const uint64_t n_types = count_of(gguf, kTypes, kMaxTokens);
  if (n_types != n_tokens) {
    fail(ErrorCode::kFormat, gguf.path(), ": ", kTypes, " has ", n_types, " entries and ", kTokens,
         " has ", n_tokens);
  }
  count_of(gguf, kMerges, kMaxMerges);
  spec.tokens = strings(gguf, kTokens);
  spec.merges = strings(gguf, kMerges);
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
  spec.add_bos = gguf.find_bool("tokenizer.ggml.add_bos_token").value_or(false);
  spec.add_eos = gguf.find_bool("tokenizer.ggml.add_eos_token").value_or(false);
  spec.add_space_prefix = gguf.find_bool("tokenizer.ggml.add_space_prefix").value_or(false);
  spec.chat_template = text_or(gguf, "tokenizer.chat_template", "");
  return spec;
}

}  // namespace reattn::text
