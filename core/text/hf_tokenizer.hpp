// Reading a tokenizer's description out of a Hugging Face model folder.
#pragma once

#include <cstdint>
#include <string>

#include "core/text/tokenizer.hpp"

namespace reattn::text {

// The text files of a folder, whole; empty: the folder has none of that name.
struct HfFiles {
  std::string tokenizer;          // tokenizer.json
  std::string tokenizer_model;    // tokenizer.model, SentencePiece's, where that is not there
  std::string tokenizer_config;   // tokenizer_config.json
  std::string generation_config;  // generation_config.json
  std::string chat_template;      // chat_template.jinja, which goes before tokenizer_config.json's
};

// Reads them. Throws kIo naming the file that cannot be read or, of tokenizer.json, is not there, and
// kUnsupported for one that is larger than any needs to be (tokenizers 128 MiB, the others 4 MiB).
HfFiles read_hf_files(const std::string& folder);

// What the files say: the same as spec_from_gguf() of the same model, but that with tokenizer.json
// merges, not scores, say what merges first. `n_vocab` is the number of the model's outputs: what
// tokens lack of it becomes unused tokens, and added tokens beyond it go; 0: as many as there are.
// Throws kFormat naming the file and the member that is missing, of another type, out of range or
// contradicted by another, and kUnsupported naming what Tokenizer does not know: Unigram and WordPiece
// models, precompiled character maps, patterns other than those of GPT-2, SmolLM, Llama 3 and Qwen2.
TokenizerSpec spec_from_hf(const HfFiles& files, uint32_t n_vocab = 0);

}  // namespace reattn::text
