// Fuzzes tokenizer metadata and encoding. An input is lines: "sN" first for SentencePiece's kind with
// space prefix N, "m..." a merge, "tN..." a token of type N, "r" strips white space on its right, "l"
// on its left, "p..." the pre-tokenizer, "i..." an id to use as EOS; the rest is text.
#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"
#include "tests/fuzz/byte_spec.hpp"

using namespace reattn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// What decoding gives back: SentencePiece has one character for itself and for the space.
std::string with_spaces(std::string text) {
  constexpr std::string_view kSpace = "\xE2\x96\x81";
  for (size_t at = 0; (at = text.find(kSpace, at)) != text.npos; ++at) {
    text.replace(at, kSpace.size(), " ");
  }
  return text;
}

void use(const text::TokenizerSpec& spec, const std::string& text) {
  const auto tokenizer = text::Tokenizer::create(spec);
  const bool sentence_piece = spec.model == "llama";
  const bool exact = !spec.composes && spec.strips.empty() &&
                     (spec.space_prefix == text::SpacePrefix::kNone ||
                      spec.space_prefix == text::SpacePrefix::kEach);
  const std::string expected = sentence_piece ? with_spaces(text) : text;
  const int32_t control = sentence_piece ? 1 : 256;
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer->encode(text, parse_special);
    text::Utf8Stream stream;
    std::string streamed;
    int32_t previous = -1;
    for (const int32_t id : ids) {
      const std::string piece = stream.push(tokenizer->bytes_after(previous, id));
      require(text::check_utf8(piece).valid());
      streamed += piece;
      previous = id;
    }
    streamed += stream.finish();
    if (exact) require(streamed == expected);
    const bool forged =
        std::ranges::any_of(ids, [=](int32_t id) { return id == control || id == control + 1; });
    require(parse_special || !forged);
  }
  const std::vector<text::Tokenizer::Range> all = {{0, text.size()}};
  require(tokenizer->encode(text, all) == tokenizer->encode(text, false));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  text::TokenizerSpec spec = fuzz::byte_spec();
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  std::string text;
  bool is_first = true;
  for (std::string line; std::getline(in, line); is_first = false) {
    const char kind = line.empty() ? ' ' : line[0];
    if (kind == 's' && is_first && line.size() > 1) {
      spec = fuzz::sentence_piece_spec();
      spec.space_prefix = static_cast<text::SpacePrefix>(line[1] & 3);
    } else if (kind == 'm') {
      spec.merges.push_back(line.substr(1));
    } else if (kind == 't' && line.size() > 1) {
      spec.token_types.push_back(line[1] - '0');
      spec.tokens.push_back(line.substr(2));
    } else if (kind == 'r' || kind == 'l') {
      spec.strips.resize(spec.tokens.size());
      spec.strips.back() =
          kind == 'r' ? text::TokenizerSpec::kStripRight : text::TokenizerSpec::kStripLeft;
    } else if (kind == 'p') {
      spec.pre = line.substr(1);
      spec.composes = spec.pre == "qwen2";
      spec.whole_words_first = spec.pre == "llama-bpe";
    } else if (kind == 'i') {
      spec.eos = std::atoi(line.c_str() + 1);
    } else {
      text += line + "\n";
    }
  }
  if (!spec.strips.empty()) spec.strips.resize(spec.tokens.size());
  if (spec.model == "llama" && spec.merges.empty()) {
    for (size_t i = 0; i < spec.tokens.size(); ++i) {
      spec.scores.push_back(-static_cast<float>(i % 5));  // with ties
    }
  }
  try {
    use(spec, text);
  } catch (const Error& e) {
    const bool bad_text = e.code() == ErrorCode::kArg && !text::check_utf8(text).valid();
    require(bad_text || e.code() == ErrorCode::kFormat || e.code() == ErrorCode::kUnsupported);
  }
  return 0;
}
