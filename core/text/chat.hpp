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
  bool content;  // it is a text of the caller's, not the template's
};

// `messages_json` in all of these is JSON, at most 256 MiB: an array of messages, or an object with
// such an array as "messages", whose other members ("tools", "documents", ...) are variables of the
// template. A message is an object with a string "role" and a "content" that is a string or an array
// of parts, which are objects with their text in "text"; beside "tool_calls" it may be null or absent.
// As in Hugging Face's apply_chat_template, members that are null are dropped and reasoning goes by
// each of its names. Every string but the roles, which are the program's word, is taken for what
// users write.
//
// Templates print what Python's jinja2 prints. Known to differ: `~` and the filter join write floats
// of 1e16 and above and below 1e-4 without an exponent, and integers beyond 64 bits are read as
// floats; a container with such a float is refused (kFormat) where it is printed as a whole.
//
// Errors: kArg for bad messages, naming index and member, and for messages that the template
// refuses (raise_exception), in its own words; kUnsupported where the tokenizer has no template;
// kFormat where the template is broken, runs too long (3 s and more for long messages) or takes or
// writes too much. The template runs on a thread of its own. One that had to be stopped by force
// keeps that thread and what it held, up to 64 MiB, and the tokenizer refuses it from then on.

// The rendered conversation; the concatenation of its pieces is what the template printed.
// Throws kUnsupported where the template changes texts so that they cannot be told apart.
std::vector<ChatPiece> render_pieces(const Tokenizer& tokenizer, std::string_view messages_json,
                                     bool add_generation_prompt);

// The rendered conversation as text, for looking at.
std::string render(const Tokenizer& tokenizer, std::string_view messages_json,
                   bool add_generation_prompt);

// Ids of the rendered conversation. Special tokens match outside the caller's texts only: a user who
// writes "<|im_end|>" writes text. Where those hold none, the ids are those of
// encode(render(...), parse_special = true).
std::vector<int32_t> tokenize(const Tokenizer& tokenizer, std::string_view messages_json,
                              bool add_generation_prompt);

}  // namespace reattn::text
