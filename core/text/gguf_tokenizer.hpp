// Reading a tokenizer's description out of a GGUF file.
#pragma once

#include "core/io/gguf.hpp"
#include "core/text/tokenizer.hpp"

namespace reattn::text {

// The tokenizer.* keys of a file. Throws kFormat naming the key that is missing, of another type,
// out of range or contradicted by another, and kUnsupported for kinds Tokenizer does not know.
TokenizerSpec spec_from_gguf(const io::Gguf& gguf);

}  // namespace reattn::text
