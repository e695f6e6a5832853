// Byte-level BPE: metadata checked, tables kept here, merging left to the Rust library.
#include "core/text/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <iterator>
#include <new>

#include "core/text/shim/shim.h"
#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::text {
namespace {

constexpr int32_t kControl = 3;
constexpr int32_t kUserDefined = 4;

constexpr uint8_t kSpecialFlag = 1;
constexpr uint8_t kEndOfGenerationFlag = 2;

constexpr std::string_view kEndNames[] = {
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|eot|>",
    "<|eom|>",
    "<|end_of_text|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_turn>",
    "</s>",
    "<EOT>",
    "<|return|>",
};

reattn_text_bytes as_bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

// Strings one after the other, and where each begins.
struct Table {
  std::string joined;
  std::vector<uint64_t> offsets;  // [n + 1]

  explicit Table(const std::vector<std::string>& strings) {
    size_t n_bytes = 0;
    for (const std::string& s : strings) n_bytes += s.size();
    joined.reserve(n_bytes);
    offsets.reserve(strings.size() + 1);
    offsets.push_back(0);
    for (const std::string& s : strings) {
      joined += s;
      offsets.push_back(joined.size());
    }
  }
};

// The byte that each character of GPT-2's alphabet, all below U+0144, stands for; -1: none.
std::array<int16_t, 0x144> byte_of_character() {
  std::array<int16_t, 0x144> table;
  table.fill(-1);
  size_t next = 0x100;
  for (int16_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    table[printable ? static_cast<size_t>(b) : next++] = b;
  }
  return table;
}

// The bytes that a token's text stands for. As in Hugging Face's decoder, a text with a character
// outside the alphabet stands for itself. `token` is valid UTF-8.
void append_token_bytes(std::string& out, std::string_view token, bool is_special) {
  static const std::array<int16_t, 0x144> kByteOf = byte_of_character();
  if (is_special) {
    out += token;
    return;
  }
  const size_t begin = out.size();
  for (size_t i = 0; i < token.size(); ++i) {
    uint32_t c = static_cast<uint8_t>(token[i]);
    if (c >= 0xE0) c = 0xFFFF;  // three bytes or more: above the alphabet
    if (c >= 0xC0 && c < 0xE0) {
      c = (c & 0x1F) << 6 | (static_cast<uint8_t>(token[++i]) & 0x3F);
    }
    if (c >= kByteOf.size() || kByteOf[c] < 0) {
      out.resize(begin);
      out += token;
      return;
    }
    out.push_back(static_cast<char>(kByteOf[c]));
  }
}

// FNV-1a over fields with their lengths, so that no two layouts give the same bytes.
class Hash {
 public:
  void number(uint64_t v) {
    for (int i = 0; i < 8; ++i) byte(static_cast<uint8_t>(v >> (8 * i)));
  }
  void text(std::string_view s) {
    number(s.size());
    for (const char c : s) byte(static_cast<uint8_t>(c));
  }
  void texts(const std::vector<std::string>& strings) {
    number(strings.size());
    for (const std::string& s : strings) text(s);
  }
  uint64_t value() const { return value_; }

 private:
  void byte(uint8_t b) { value_ = (value_ ^ b) * 0x100000001B3ull; }

  uint64_t value_ = 0xCBF29CE484222325ull;
};

uint64_t hash_of(const TokenizerSpec& spec) {
  Hash hash;
  hash.text(spec.model);
  hash.text(spec.pre);
  hash.texts(spec.tokens);
  hash.number(spec.token_types.size());
  for (const int32_t type : spec.token_types) hash.number(static_cast<uint64_t>(type));
  hash.texts(spec.merges);
  for (const int32_t id : {spec.bos, spec.eos, spec.unk, spec.pad, spec.eot}) {
    hash.number(static_cast<uint64_t>(id));
  }
  for (const bool flag : {spec.add_bos, spec.add_eos, spec.add_space_prefix}) hash.number(flag);
  hash.text(spec.chat_template);
  return hash.value();
}

void check(const TokenizerSpec& spec) {
  if (spec.model != "gpt2") {
    fail(ErrorCode::kUnsupported, "tokenizer.ggml.model is '", spec.model,
         "'; this build knows gpt2 (byte-level BPE)");
  }
  const size_t n = spec.tokens.size();
  if (n == 0) fail(ErrorCode::kFormat, "tokenizer.ggml.tokens is empty");
  if (spec.token_types.size() != n) {
    fail(ErrorCode::kFormat, "tokenizer.ggml.token_type has ", spec.token_types.size(),
         " entries and tokenizer.ggml.tokens has ", n);
  }
  for (size_t i = 0; i < n; ++i) {
    if (spec.token_types[i] < 1 || spec.token_types[i] > 6) {
      fail(ErrorCode::kFormat, "tokenizer.ggml.token_type[", i, "] is ", spec.token_types[i],
           "; want 1 to 6");
    }
  }
  const std::pair<const char*, int32_t> ids[] = {
      {"bos", spec.bos},     {"eos", spec.eos}, {"unknown", spec.unk},
      {"padding", spec.pad}, {"eot", spec.eot},
  };
  for (const auto& [name, id] : ids) {
    if (id < -1 || (id >= 0 && static_cast<size_t>(id) >= n)) {
      fail(ErrorCode::kFormat, "tokenizer.ggml.", name, "_token_id is ", id,
           "; the vocabulary has ", n, " tokens");
    }
  }
  if (spec.add_space_prefix) {
    fail(ErrorCode::kUnsupported,
         "tokenizer.ggml.add_space_prefix is true, which this build does not know for gpt2");
  }
  if (const Utf8Check utf8 = check_utf8(spec.chat_template); !utf8.valid()) {
    fail(ErrorCode::kFormat, "tokenizer.chat_template is not UTF-8 at byte ", utf8.offset);
  }
}

int32_t append_ids(void* user, const uint32_t* ids, uint64_t n) {
  try {
    auto& out = *static_cast<std::vector<int32_t>*>(user);
    std::transform(ids, ids + n, std::back_inserter(out),
                   [](uint32_t id) { return static_cast<int32_t>(id); });
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

std::vector<int32_t> encode_with(const reattn_text_tokenizer* shim, std::string_view utf8,
                                 bool parse_special, std::span<const uint64_t> ranges) {
  std::vector<int32_t> ids;
  reattn_text_error error;
  const int32_t status = reattn_text_encode(shim, as_bytes(utf8), parse_special, ranges.data(),
                                            ranges.size() / 2, append_ids, &ids, &error);
  if (status != 0) throw Error(static_cast<ErrorCode>(status), error.message);
  return ids;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::create(const TokenizerSpec& spec) {
  check(spec);
  return std::unique_ptr<Tokenizer>(new Tokenizer(spec));
}

Tokenizer::Tokenizer(const TokenizerSpec& spec)
    : bos_(spec.bos),
      eos_(spec.eos),
      unk_(spec.unk),
      pad_(spec.pad),
      eot_(spec.eot),
      add_bos_(spec.add_bos),
      add_eos_(spec.add_eos),
      chat_template_(spec.chat_template),
      hash_(hash_of(spec)) {
  const size_t n = spec.tokens.size();
  std::vector<uint8_t> is_special(n);
  for (size_t i = 0; i < n; ++i) {
    is_special[i] = spec.token_types[i] == kControl || spec.token_types[i] == kUserDefined;
  }
  {
    const Table tokens(spec.tokens);
    const Table merges(spec.merges);
    const reattn_text_spec shim_spec = {
        .pre = as_bytes(spec.pre),
        .tokens = as_bytes(tokens.joined),
        .token_offsets = tokens.offsets.data(),
        .is_special = is_special.data(),
        .n_tokens = n,
        .merges = as_bytes(merges.joined),
        .merge_offsets = merges.offsets.data(),
        .n_merges = spec.merges.size(),
    };
    reattn_text_tokenizer* made = nullptr;
    reattn_text_error error;
    const int32_t status = reattn_text_tokenizer_create(&shim_spec, &made, &error);
    if (status != 0) throw Error(static_cast<ErrorCode>(status), error.message);
    shim_.reset(made);
  }
  offsets_.reserve(n + 1);
  offsets_.push_back(0);
  flags_.resize(n);
  for (size_t i = 0; i < n; ++i) {
    append_token_bytes(token_bytes_, spec.tokens[i], is_special[i] != 0);
    offsets_.push_back(token_bytes_.size());
    if (is_special[i]) flags_[i] |= kSpecialFlag;
    const bool ends = spec.token_types[i] == kControl &&
                      std::ranges::find(kEndNames, spec.tokens[i]) != std::end(kEndNames);
    if (ends) flags_[i] |= kEndOfGenerationFlag;
  }
  for (const int32_t id : {eos_, eot_}) {
    if (id >= 0) flags_[static_cast<size_t>(id)] |= kEndOfGenerationFlag;
  }
}

Tokenizer::~Tokenizer() = default;

void Tokenizer::ShimFree::operator()(reattn_text_tokenizer* p) const {
  reattn_text_tokenizer_free(p);
}

std::vector<int32_t> Tokenizer::encode(std::string_view utf8, bool parse_special) const {
  return encode_with(shim_.get(), utf8, parse_special, {});
}

std::vector<int32_t> Tokenizer::encode(std::string_view utf8,
                                       std::span<const Range> protected_ranges) const {
  std::vector<uint64_t> bounds;
  bounds.reserve(2 * protected_ranges.size());
  for (const Range& range : protected_ranges) {
    bounds.push_back(range.begin);
    bounds.push_back(range.end);
  }
  return encode_with(shim_.get(), utf8, true, bounds);
}

std::string_view Tokenizer::bytes(int32_t id) const {
  if (id < 0 || id >= n_vocab()) {
    fail(ErrorCode::kArg, "token id ", id, " is not in [0, ", n_vocab(), ")");
  }
  const size_t i = static_cast<size_t>(id);
  return std::string_view(token_bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (const int32_t id : ids) out += bytes(id);
  return out;
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < n_vocab() && (flags_[static_cast<size_t>(id)] & kSpecialFlag) != 0;
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return id >= 0 && id < n_vocab() && (flags_[static_cast<size_t>(id)] & kEndOfGenerationFlag) != 0;
}

}  // namespace reattn::text
