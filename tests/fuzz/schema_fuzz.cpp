// Fuzzes JSON schemas. An input is a schema, a NUL, and bytes that choose among the tokens that may come next.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/text/json_schema.hpp"
#include "reattn/kernels/error.hpp"
#include "tests/fuzz/byte_spec.hpp"

using namespace reattn;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// A number beyond a double is JSON all the same.
bool is_json(const std::string& text) {
  try {
    return !nlohmann::json::parse(text).is_discarded();
  } catch (const nlohmann::json::out_of_range&) {
    return true;
  } catch (const nlohmann::json::parse_error&) {
    return false;
  }
}

// Each text that may end is JSON, and no token may follow that is none.
void use(const text::Tokenizer& tokenizer, const text::Vocabulary& vocabulary,
         std::string_view schema_text, std::string_view choices) {
  text::JsonSchema schema(vocabulary, schema_text);
  std::string text;
  for (const char choice : choices) {
    std::vector<int32_t> allowed;
    const auto mask = schema.mask();
    for (int32_t id = 0; id < tokenizer.n_vocab(); ++id) {
      if ((mask[static_cast<size_t>(id) / 32] >> id % 32 & 1) != 0) allowed.push_back(id);
    }
    require(!allowed.empty());
    const bool may_end = allowed.back() == tokenizer.eos();
    if (may_end) {
      require(is_json(text));
      allowed.pop_back();
    }
    for (const int32_t id : allowed) require(!tokenizer.is_special(id));
    if (allowed.empty()) return;
    const int32_t id = allowed[static_cast<uint8_t>(choice) % allowed.size()];
    schema.accept(id);
    text += tokenizer.bytes(id);
    if (schema.is_complete()) {
      require(is_json(text));
      return;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<text::Tokenizer> tokenizer =
      text::Tokenizer::create(fuzz::byte_spec());
  static const text::Vocabulary vocabulary(*tokenizer);
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t nul = input.find('\0');
  const std::string_view choices =
      nul == std::string_view::npos ? "0123456789abcdefghijklmnopqrstuv" : input.substr(nul + 1);
  try {
    use(*tokenizer, vocabulary, input.substr(0, nul), choices);
  } catch (const Error& e) {
    require(e.code() == ErrorCode::kArg || e.code() == ErrorCode::kUnsupported);
  }
  return 0;
}
