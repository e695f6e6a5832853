// The folder's files read here, their JSON by the Rust library.
#include "core/text/hf_tokenizer.hpp"

#include <bit>
#include <exception>
#include <filesystem>

#include "core/io/file.hpp"
#include "core/text/shim/shim.h"
#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::text {
namespace {

constexpr uint64_t kMaxTokenizerBytes = 128u << 20;
constexpr uint64_t kMaxConfigBytes = 4u << 20;

std::string read_file(const std::filesystem::path& path, uint64_t max) {
  const io::File file = io::File::open(path.string());
  if (file.size() > max) {
    fail(ErrorCode::kUnsupported, path.string(), " has ", file.size(), " bytes; at most ", max);
  }
  std::string out(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(out)));
  return out;
}

std::string read_if_there(const std::filesystem::path& path) {
  return io::exists(path.string()) ? read_file(path, kMaxConfigBytes) : std::string();
}

reattn_text_bytes as_bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

void set_field(TokenizerSpec& spec, int32_t field, std::string_view text, int64_t number) {
  const auto id = static_cast<int32_t>(number);
  switch (field) {
    case REATTN_TEXT_MODEL:
      spec.model = text;
      break;
    case REATTN_TEXT_PRE:
      spec.pre = text;
      break;
    case REATTN_TEXT_TOKEN:
      spec.tokens.emplace_back(text);
      spec.token_types.push_back(id);
      if (!spec.strips.empty()) spec.strips.push_back(0);
      break;
    case REATTN_TEXT_TOKEN_STRIP:
      spec.strips.resize(spec.tokens.size());
      spec.strips.back() = static_cast<uint8_t>(number);
      break;
    case REATTN_TEXT_MERGE:
      spec.merges.emplace_back(text);
      break;
    case REATTN_TEXT_BOS:
      spec.bos = id;
      break;
    case REATTN_TEXT_EOS:
      spec.eos = id;
      break;
    case REATTN_TEXT_UNK:
      spec.unk = id;
      break;
    case REATTN_TEXT_PAD:
      spec.pad = id;
      break;
    case REATTN_TEXT_END:
      spec.end_ids.push_back(id);
      break;
    case REATTN_TEXT_ADD_BOS:
      spec.add_bos = number != 0;
      break;
    case REATTN_TEXT_ADD_EOS:
      spec.add_eos = number != 0;
      break;
    case REATTN_TEXT_COMPOSES:
      spec.composes = number != 0;
      break;
    case REATTN_TEXT_WHOLE_WORDS_FIRST:
      spec.whole_words_first = number != 0;
      break;
    case REATTN_TEXT_SPACE_PREFIX:
      spec.space_prefix = static_cast<SpacePrefix>(number);
      break;
    case REATTN_TEXT_SCORE:
      spec.scores.push_back(std::bit_cast<float>(static_cast<uint32_t>(number)));
      break;
    case REATTN_TEXT_CHAT_TEMPLATE:
      spec.chat_template = text;
      break;
  }
}

int32_t take_field(void* user, int32_t field, reattn_text_bytes text, int64_t number) {
  try {
    const std::string_view view(reinterpret_cast<const char*>(text.data), text.size);
    set_field(*static_cast<TokenizerSpec*>(user), field, view, number);
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

}  // namespace

HfFiles read_hf_files(const std::string& folder) {
  const std::filesystem::path at(folder);
  HfFiles files{.tokenizer_config = read_if_there(at / "tokenizer_config.json"),
                .generation_config = read_if_there(at / "generation_config.json"),
                .chat_template = read_if_there(at / "chat_template.jinja")};
  const auto has = [&](const char* name) { return io::exists((at / name).string()); };
  const bool has_model_only = !has("tokenizer.json") && has("tokenizer.model");
  if (has_model_only) {
    files.tokenizer_model = read_file(at / "tokenizer.model", kMaxTokenizerBytes);
  } else {
    files.tokenizer = read_file(at / "tokenizer.json", kMaxTokenizerBytes);
  }
  return files;
}

TokenizerSpec spec_from_hf(const HfFiles& files, uint32_t n_vocab) {
  const reattn_text_hf_files shim_files = {
      .tokenizer = as_bytes(files.tokenizer),
      .tokenizer_model = as_bytes(files.tokenizer_model),
      .tokenizer_config = as_bytes(files.tokenizer_config),
      .generation_config = as_bytes(files.generation_config),
  };
  const bool is_model = files.tokenizer.empty() && !files.tokenizer_model.empty();
  TokenizerSpec spec{.key_prefix = is_model ? "tokenizer.model: " : "tokenizer.json: "};
  reattn_text_error error;
  const int32_t status = reattn_text_hf_read(&shim_files, n_vocab, take_field, &spec, &error);
  if (status != 0) throw Error(static_cast<ErrorCode>(status), error.message);
  if (!files.chat_template.empty()) spec.chat_template = files.chat_template;
  if (const Utf8Check utf8 = check_utf8(spec.chat_template); !utf8.valid()) {
    fail(ErrorCode::kFormat, "chat_template.jinja is not UTF-8 at byte ", utf8.offset);
  }
  return spec;
}

}  // namespace reattn::text
