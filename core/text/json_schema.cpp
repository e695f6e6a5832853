// JSON schemas: the Rust library knows what may follow, this hands it the tokens.
#include "core/text/json_schema.hpp"

#include <string>

#include "core/text/shim/shim.h"
#include "reattn/kernels/error.hpp"

namespace reattn::text {
namespace {

reattn_text_bytes as_bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

void check(int32_t status, const reattn_text_error& error) {
  if (status != 0) throw Error(static_cast<ErrorCode>(status), error.message);
}

}  // namespace

Vocabulary::Vocabulary(const Tokenizer& tokenizer) : size_(tokenizer.n_vocab()) {
  std::string joined;
  std::vector<uint64_t> offsets{0};
  std::vector<uint8_t> kinds;
  for (int32_t id = 0; id < size_; ++id) {
    joined += tokenizer.bytes(id);
    offsets.push_back(joined.size());
    kinds.push_back(tokenizer.is_end_of_generation(id) ? REATTN_TEXT_KIND_END
                    : tokenizer.is_special(id)         ? REATTN_TEXT_KIND_SPECIAL
                                                       : REATTN_TEXT_KIND_TEXT);
  }
  reattn_text_vocabulary* made = nullptr;
  reattn_text_error error;
  check(reattn_text_vocabulary_create(as_bytes(joined), offsets.data(), kinds.data(), kinds.size(),
                                      &made, &error),
        error);
  shim_.reset(made);
}

void Vocabulary::Free::operator()(reattn_text_vocabulary* p) const {
  reattn_text_vocabulary_free(p);
}

JsonSchema::JsonSchema(const Vocabulary& vocabulary, std::string_view schema)
    : mask_((static_cast<size_t>(vocabulary.size()) + 31) / 32) {
  reattn_text_schema* made = nullptr;
  reattn_text_error error;
  check(reattn_text_schema_create(vocabulary.shim_.get(), as_bytes(schema), &made, &error), error);
  shim_.reset(made);
}

void JsonSchema::Free::operator()(reattn_text_schema* p) const {
  reattn_text_schema_free(p);
}

std::span<const uint32_t> JsonSchema::mask() {
  reattn_text_error error;
  check(reattn_text_schema_mask(shim_.get(), mask_.data(), mask_.size(), &error), error);
  return mask_;
}

void JsonSchema::accept(int32_t token) {
  reattn_text_error error;
  int32_t complete = 0;
  check(reattn_text_schema_accept(shim_.get(), static_cast<uint32_t>(token), &complete, &error),
        error);
  is_complete_ = complete != 0;
}

}  // namespace reattn::text
