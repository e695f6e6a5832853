// Fuzzes a Hugging Face folder. An input is tokenizer.json, a NUL, tokenizer_config.json, a NUL,
// generation_config.json; one that begins with the tag of a piece, a line end, is tokenizer.model.
#include <cstdlib>

#include "core/text/hf_tokenizer.hpp"
#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"

using namespace reattn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const text::HfFiles& files) {
  const text::TokenizerSpec spec = text::spec_from_hf(files);
  const auto tokenizer = text::Tokenizer::create(spec);
  require(static_cast<size_t>(tokenizer->n_vocab()) == spec.tokens.size());
  for (const bool parse_special : {false, true}) {
    for (const int32_t id : tokenizer->encode(" a b\n<s>ab  \xC3\xA9 12", parse_special)) {
      tokenizer->bytes(id);
    }
  }
  for (const int32_t id : {spec.bos, spec.eos, spec.unk, spec.pad}) {
    require(id >= -1 && id < tokenizer->n_vocab());
  }
  require(text::check_utf8(spec.chat_template).valid());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  text::HfFiles files;
  if (rest.starts_with('\n')) {
    files.tokenizer_model = rest;
    files.tokenizer_config = R"({"added_tokens_decoder":{"1":{"content":"<t>","special":true}}})";
    rest = {};
  }
  for (std::string* file : {&files.tokenizer, &files.tokenizer_config, &files.generation_config}) {
    const size_t nul = rest.find('\0');
    if (file->empty()) *file = rest.substr(0, nul);
    rest.remove_prefix(nul == rest.npos ? rest.size() : nul + 1);
  }
  try {
    use(files);
  } catch (const Error& e) {
    require(e.code() == ErrorCode::kFormat || e.code() == ErrorCode::kUnsupported);
  }
  return 0;
}
