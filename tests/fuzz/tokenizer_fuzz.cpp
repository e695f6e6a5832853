// Fuzzes tokenizer metadata and encoding. An input is lines: "m..." a merge, "tN..." a token of
// type N, "p..." the pre-tokenizer, "i..." an id to use as EOS; the rest is text.
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

void use(const text::TokenizerSpec& spec, const std::string& text) {
  const auto tokenizer = text::Tokenizer::create(spec);
  for (const bool parse_special : {false, true}) {
    const auto ids = tokenizer->encode(text, parse_special);
    require(tokenizer->decode(ids) == text);
    if (parse_special) continue;
    const bool forged = std::ranges::any_of(ids, [](int32_t id) { return id == 256 || id == 257; });
    require(!forged);
  }
  text::Utf8Stream stream;
  std::string streamed;
  for (const int32_t id : tokenizer->encode(text, true)) {
    const std::string piece = stream.push(tokenizer->bytes(id));
    require(text::check_utf8(piece).valid());
    streamed += piece;
  }
  require(streamed + stream.finish() == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  text::TokenizerSpec spec = fuzz::byte_spec();
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  std::string text;
  for (std::string line; std::getline(in, line);) {
    const char kind = line.empty() ? ' ' : line[0];
    if (kind == 'm') {
      spec.merges.push_back(line.substr(1));
    } else if (kind == 't' && line.size() > 1) {
      spec.token_types.push_back(line[1] - '0');
      spec.tokens.push_back(line.substr(2));
    } else if (kind == 'p') {
      spec.pre = line.substr(1);
    } else if (kind == 'i') {
      spec.eos = std::atoi(line.c_str() + 1);
    } else {
      text += line + "\n";
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
