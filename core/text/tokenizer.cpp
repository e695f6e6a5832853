// Metadata checked, tables kept here, matching and merging left to the Rust library.
#include "core/text/tokenizer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <exception>
#include <iterator>
#include <new>

#include "core/text/shim/shim.h"
#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::text {
namespace {

enum TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// Beside the flags of shim.h.
constexpr uint8_t kControlFlag = 64;
constexpr uint8_t kEndOfGenerationFlag = 128;
static_assert(int{TokenizerSpec::kStripLeft} == int{REATTN_TEXT_STRIP_LEFT});
static_assert(int{TokenizerSpec::kStripRight} == int{REATTN_TEXT_STRIP_RIGHT});

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581: SentencePiece's space

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

// The bytes that a byte-level token's text stands for. As in Hugging Face's decoder, a text with a
// character outside the alphabet stands for itself. `token` is valid UTF-8.
void append_byte_level(std::string& out, std::string_view token) {
  static const std::array<int16_t, 0x144> kByteOf = byte_of_character();
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

// The bytes that SentencePiece's token stands for; the shim has found <0x00> to <0xFF> all there.
void append_sentence_piece(std::string& out, std::string_view token, uint8_t flags) {
  if (flags & REATTN_TEXT_BYTE && token.size() == 6) {
    uint8_t value = 0;
    std::from_chars(token.data() + 3, token.data() + 5, value, 16);
    out.push_back(static_cast<char>(value));
    return;
  }
  for (size_t at; (at = token.find(kSpace)) != token.npos;
       token.remove_prefix(at + kSpace.size())) {
    out.append(token.substr(0, at)).push_back(' ');
  }
  out += token;
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
  for (const bool flag : {spec.add_bos, spec.add_eos}) hash.number(flag);
  hash.number(static_cast<uint64_t>(spec.space_prefix));
  hash.text(spec.chat_template);
  // Left out where there is none of it: snapshots from before keep their hash.
  const std::string_view scores(reinterpret_cast<const char*>(spec.scores.data()),
                                spec.scores.size() * sizeof(float));
  const std::string_view strips(reinterpret_cast<const char*>(spec.strips.data()),
                                spec.strips.size());
  if (!scores.empty()) hash.text(scores);
  if (!strips.empty()) hash.text(strips);
  if (!spec.end_ids.empty()) hash.number(spec.end_ids.size());
  for (const int32_t id : spec.end_ids) hash.number(static_cast<uint64_t>(id));
  if (spec.composes || spec.whole_words_first) {
    hash.number(2u * spec.composes + spec.whole_words_first);
  }
  return hash.value();
}

void check(const TokenizerSpec& spec) {
  const auto key = [&](std::string_view name) { return concat(spec.key_prefix, name); };
  const bool sentence_piece = spec.model == "llama";
  if (spec.model != "gpt2" && !sentence_piece) {
    fail(ErrorCode::kUnsupported, key("model"), " is '", spec.model,
         "'; this build knows gpt2 (byte-level BPE) and llama (SentencePiece's BPE)");
  }
  const size_t n = spec.tokens.size();
  if (n == 0) fail(ErrorCode::kFormat, key("tokens"), " is empty");
  const auto same_length = [&](std::string_view name, size_t length) {
    if (length == n) return;
    fail(ErrorCode::kFormat, key(name), " has ", length, " entries and ", key("tokens"), " has ",
         n);
  };
  same_length("token_type", spec.token_types.size());
  if (!spec.strips.empty()) same_length("strips", spec.strips.size());
  if (!spec.scores.empty()) same_length("scores", spec.scores.size());
  for (size_t i = 0; i < n; ++i) {
    if (spec.token_types[i] < 1 || spec.token_types[i] > 6) {
      fail(ErrorCode::kFormat, key("token_type"), "[", i, "] is ", spec.token_types[i],
           "; want 1 to 6");
    }
  }
  for (size_t i = 0; i < spec.scores.size(); ++i) {
    if (!std::isfinite(spec.scores[i])) {
      fail(ErrorCode::kFormat, key("scores"), "[", i, "] is not a finite number");
    }
  }
  const auto id_in_range = [&](std::string_view name, int32_t id) {
    if (id >= -1 && (id < 0 || static_cast<size_t>(id) < n)) return;
    fail(ErrorCode::kFormat, key(name), " is ", id, "; the vocabulary has ", n, " tokens");
  };
  id_in_range("bos_token_id", spec.bos);
  id_in_range("eos_token_id", spec.eos);
  id_in_range("unknown_token_id", spec.unk);
  id_in_range("padding_token_id", spec.pad);
  id_in_range("eot_token_id", spec.eot);
  for (const int32_t id : spec.end_ids) id_in_range("eos_token_id", id);
  if (!sentence_piece && spec.space_prefix != SpacePrefix::kNone) {
    fail(ErrorCode::kUnsupported, key("add_space_prefix"),
         " is true, which this build does not know for gpt2");
  }
  if (const Utf8Check utf8 = check_utf8(spec.chat_template); !utf8.valid()) {
    fail(ErrorCode::kFormat, "tokenizer.chat_template is not UTF-8 at byte ", utf8.offset);
  }
}

bool has_end_name(const std::string& token) {
  return std::ranges::find(kEndNames, token) != std::end(kEndNames);
}

// Flags of shim.h, and of ours.
uint8_t flags_of(const TokenizerSpec& spec, size_t i) {
  const int32_t type = spec.token_types[i];
  uint8_t flags = spec.strips.empty() ? 0 : spec.strips[i];
  if (type == kControl) flags |= kControlFlag;
  if (spec.model == "gpt2") {
    if (type == kControl || type == kUserDefined) flags |= REATTN_TEXT_SPECIAL;
    if (type == kControl && has_end_name(spec.tokens[i])) flags |= kEndOfGenerationFlag;
    return flags;
  }
  const bool ends = (type == kControl || type == kUserDefined) && has_end_name(spec.tokens[i]);
  if (ends) flags |= kEndOfGenerationFlag | kControlFlag;
  // What ends a turn is nothing that users may write, whatever the file calls it.
  if (ends || type == kControl || type == kUnknown) return flags | REATTN_TEXT_SPECIAL;
  if (type == kUserDefined) flags |= REATTN_TEXT_ALWAYS;
  if (type == kByte) flags |= REATTN_TEXT_BYTE;
  if (type == kUnused) flags |= REATTN_TEXT_UNUSED;
  return flags;
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
      space_prefix_(spec.space_prefix),
      chat_template_(spec.chat_template),
      hash_(hash_of(spec)) {
  const size_t n = spec.tokens.size();
  const bool sentence_piece = spec.model == "llama";
  flags_.resize(n);
  for (size_t i = 0; i < n; ++i) flags_[i] = flags_of(spec, i);
  {
    const Table tokens(spec.tokens);
    const Table merges(spec.merges);
    const reattn_text_spec shim_spec = {
        .key_prefix = as_bytes(spec.key_prefix),
        .pre = as_bytes(spec.pre),
        .tokens = as_bytes(tokens.joined),
        .token_offsets = tokens.offsets.data(),
        .token_flags = flags_.data(),
        .n_tokens = n,
        .merges = as_bytes(merges.joined),
        .merge_offsets = merges.offsets.data(),
        .n_merges = spec.merges.size(),
        .scores = spec.scores.empty() ? nullptr : spec.scores.data(),
        .is_sentence_piece = sentence_piece,
        .composes = spec.composes,
        .whole_words_first = spec.whole_words_first,
        .space_prefix = static_cast<int32_t>(spec.space_prefix),
    };
    reattn_text_tokenizer* made = nullptr;
    reattn_text_error error;
    const int32_t status = reattn_text_tokenizer_create(&shim_spec, &made, &error);
    if (status != 0) throw Error(static_cast<ErrorCode>(status), error.message);
    shim_.reset(made);
  }
  offsets_.reserve(n + 1);
  offsets_.push_back(0);
  for (size_t i = 0; i < n; ++i) {
    if (sentence_piece) {
      append_sentence_piece(token_bytes_, spec.tokens[i], flags_[i]);
    } else if (flags_[i] & REATTN_TEXT_SPECIAL) {
      token_bytes_ += spec.tokens[i];
    } else {
      append_byte_level(token_bytes_, spec.tokens[i]);
    }
    offsets_.push_back(token_bytes_.size());
  }
  const auto ends = [&](int32_t id) {
    if (id >= 0) flags_[static_cast<size_t>(id)] |= kEndOfGenerationFlag;
  };
  ends(eos_);
  ends(eot_);
  std::ranges::for_each(spec.end_ids, ends);
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

std::string_view Tokenizer::bytes_after(int32_t previous, int32_t id) const {
  std::string_view out = bytes(id);
  const auto flags = [&](int32_t i) {
    return i >= 0 && i < n_vocab() ? flags_[static_cast<size_t>(i)] : 0;
  };
  constexpr int kMatches = REATTN_TEXT_SPECIAL | REATTN_TEXT_ALWAYS;
  if (flags(id) & (kMatches | REATTN_TEXT_BYTE) || !out.starts_with(' ')) return out;
  bool prefixed = false;
  switch (space_prefix_) {
    case SpacePrefix::kNone:
      break;
    case SpacePrefix::kFirst:
      prefixed = previous < 0;
      break;
    case SpacePrefix::kEach:
    case SpacePrefix::kEachUnlessSpace:
      prefixed = previous < 0 || flags(previous) & kMatches;
      break;
  }
  if (prefixed) out.remove_prefix(1);
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string out;
  for (const int32_t id : ids) out += bytes(id);
  return out;
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < n_vocab() && (flags_[static_cast<size_t>(id)] & kControlFlag) != 0;
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return id >= 0 && id < n_vocab() && (flags_[static_cast<size_t>(id)] & kEndOfGenerationFlag) != 0;
}

}  // namespace reattn::text
