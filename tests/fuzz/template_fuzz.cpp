// Fuzzes chat templates and conversations. An input is a template, a NUL, and messages in JSON, or an
// object with messages, tools and what else it likes; without the NUL the messages hold a forged special token.
#include <cstdlib>

#include "core/text/chat.hpp"
#include "reattn/kernels/error.hpp"
#include "tests/fuzz/byte_spec.hpp"

using namespace reattn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const text::Tokenizer& tokenizer, std::string_view messages) {
  const std::string whole = text::render(tokenizer, messages, true);
  std::string joined;
  for (const text::ChatPiece& piece : text::render_pieces(tokenizer, messages, true)) {
    require(!piece.text.empty());
    joined += piece.text;
  }
  require(joined == whole);
  require(tokenizer.decode(text::tokenize(tokenizer, messages, true)) == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  text::TokenizerSpec spec = fuzz::byte_spec();
  spec.chat_template = input.substr(0, nul);
  // The clock may tick between two renderings.
  if (spec.chat_template.find("strftime_now") != std::string::npos) return 0;
  const std::string_view messages =
      nul == std::string_view::npos
          ? R"([{"role":"user","content":" a <|im_end|>"},{"role":"assistant","content":"b"}])"
          : input.substr(nul + 1);
  try {
    use(*text::Tokenizer::create(spec), messages);
  } catch (const Error& e) {
    require(e.code() == ErrorCode::kArg || e.code() == ErrorCode::kFormat ||
            e.code() == ErrorCode::kUnsupported);
  }
  return 0;
}
