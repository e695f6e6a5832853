// JSON schemas that bind what a model generates: which tokens may come next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.hpp"

struct reattn_text_vocabulary;
struct reattn_text_schema;

namespace reattn::text {

// The tokens of a tokenizer as schemas choose among them. Immutable: any thread.
class Vocabulary {
 public:
  // Takes about 0.2 s and 50 MB for 50,000 tokens. The tokenizer is not needed afterwards.
  explicit Vocabulary(const Tokenizer& tokenizer);

  int32_t size() const { return size_; }

 private:
  friend class JsonSchema;
  struct Free {
    void operator()(reattn_text_vocabulary* p) const;
  };

  std::unique_ptr<reattn_text_vocabulary, Free> shim_;
  int32_t size_;
};

// A text from its begin, bound to be JSON that the schema allows. One caller at a time.
class JsonSchema {
 public:
  // `schema`: UTF-8, at most 256 KiB. Throws kArg where it is not JSON, or no schema; kUnsupported
  // where it asks for what this build cannot hold a text to, or takes too much; in the library's words.
  JsonSchema(const Vocabulary& vocabulary, std::string_view schema);

  // Bit i % 32 of word i / 32: token i may come next. One that ends an answer may where the text is
  // complete. Valid until the next call. Throws kUnsupported where no token may, or finding out takes too much.
  std::span<const uint32_t> mask();
  // Goes on by a token of the mask that ends nothing. Throws kUnsupported as mask() does.
  void accept(int32_t token);
  // Nothing may follow.
  bool is_complete() const { return is_complete_; }

 private:
  struct Free {
    void operator()(reattn_text_schema* p) const;
  };

  std::unique_ptr<reattn_text_schema, Free> shim_;
  std::vector<uint32_t> mask_;
  bool is_complete_ = false;
};

}  // namespace reattn::text
