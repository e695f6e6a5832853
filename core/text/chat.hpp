// Chat templates: messages to text, and to ids in which users cannot forge special tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.hpp"

namespace reattn::text {

// A run of rendered text.
struct ChatPiece {
  std::string text;
  bool content;  // it came from a message's "content", not from the template
};

// `messages_json` in all of these is a JSON array of objects with string members "role" and
// "content", at most 256 MiB; other members are handed to the template as they are. Only contents
// are taken for what users write: a role is the program's word.
//
// Errors: kArg for bad messages, naming index and member, and for messages that the template
// refuses (raise_exception), in its own words; kUnsupported where the tokenizer has no template;
// kFormat where the template is broken, runs too long (3 s and more for long messages) or takes or
// writes too much. The template runs on a thread of its own. One that had to be stopped by force
// keeps that thread and what it held, up to 64 MiB, and the tokenizer refuses it from then on.

// The rendered conversation; the concatenation of its pieces is what the template printed.
// Throws kUnsupported where the template changes contents so that they cannot be told apart.
std::vector<ChatPiece> render_pieces(const Tokenizer& tokenizer, std::string_view messages_json,
                                     bool add_generation_prompt);

// The rendered conversation as text, for looking at.
std::string render(const Tokenizer& tokenizer, std::string_view messages_json,
                   bool add_generation_prompt);

// Ids of the rendered conversation. Special tokens match outside message contents only: a user who
// writes "<|im_end|>" writes text. Where contents hold none, the ids are those of
// encode(render(...), parse_special = true).
std::vector<int32_t> tokenize(const Tokenizer& tokenizer, std::string_view messages_json,
                              bool add_generation_prompt);

}  // namespace reattn::text
