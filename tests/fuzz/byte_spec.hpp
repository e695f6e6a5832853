// The smallest tokenizers.
#pragma once

#include <string>

#include "core/text/tokenizer.hpp"

namespace reattn::fuzz {

// Byte-level: a token for each byte, two special tokens.
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

// The smallest SentencePiece tokenizer: <unk>, <s>, </s>, a token for each byte, and the space.
inline text::TokenizerSpec sentence_piece_spec() {
  text::TokenizerSpec spec;
  spec.model = "llama";
  spec.tokens = {"<unk>", "<s>", "</s>"};
  spec.token_types = {2, 3, 3};
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (size_t b = 0; b < 256; ++b) {
    spec.tokens.push_back(std::string("<0x") + kDigits[b >> 4] + kDigits[b & 15] + ">");
    spec.token_types.push_back(6);
  }
  spec.tokens.push_back("\xE2\x96\x81");
  spec.token_types.push_back(1);
  spec.unk = 0;
  spec.bos = 1;
  spec.eos = 2;
  return spec;
}

}  // namespace reattn::fuzz
