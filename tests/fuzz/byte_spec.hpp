// The smallest byte-level tokenizer: a token for each byte, two special tokens.
#pragma once

#include <string>

#include "core/text/tokenizer.hpp"

namespace reattn::fuzz {

inline text::TokenizerSpec byte_spec() {
  text::TokenizerSpec spec;
  spec.model = "gpt2";
  spec.pre = "smollm";
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    const uint32_t c = printable ? b : next++;
    std::string token;
    if (c < 0x80) {
      token.push_back(static_cast<char>(c));
    } else {
      token.push_back(static_cast<char>(0xC0 | c >> 6));
      token.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
    spec.tokens.push_back(token);
    spec.token_types.push_back(1);
  }
  for (const char* token : {"<|im_start|>", "<|im_end|>"}) {
    spec.tokens.push_back(token);
    spec.token_types.push_back(3);
  }
  spec.bos = 256;
  spec.eos = 257;
  return spec;
}

}  // namespace reattn::fuzz
