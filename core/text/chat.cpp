// Chat templates: the Rust library renders, this encodes around what users wrote.
#include "core/text/chat.hpp"

#include <exception>

#include "core/text/shim/shim.h"
#include "core/text/utf8.hpp"
#include "reattn/kernels/error.hpp"

namespace reattn::text {
namespace {

reattn_text_bytes as_bytes(std::string_view s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

int32_t append_piece(void* user, const uint8_t* data, uint64_t size, int32_t is_content) {
  try {
    static_cast<std::vector<ChatPiece>*>(user)->push_back(
        {std::string(reinterpret_cast<const char*>(data), size), is_content != 0});
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

std::vector<ChatPiece> call_shim(const Tokenizer& tokenizer, std::string_view messages_json,
                                 bool add_generation_prompt, bool mark_contents) {
  if (tokenizer.chat_template().empty()) {
    fail(ErrorCode::kUnsupported, "the model has no chat template (tokenizer.chat_template)");
  }
  if (const Utf8Check utf8 = check_utf8(messages_json); !utf8.valid()) {
    fail(ErrorCode::kArg, "messages: not UTF-8 at byte ", utf8.offset);
  }
  const auto text_of = [&](int32_t id) {
    return id < 0 ? std::string_view() : tokenizer.bytes(id);
  };
  // An ordinary token may be part of a character, which no template can print.
  const auto whole_or_empty = [](std::string_view s) {
    return check_utf8(s).valid() ? s : std::string_view();
  };
  std::vector<ChatPiece> pieces;
  reattn_text_error error;
  const int32_t status = reattn_text_chat_render(
      tokenizer.shim(), as_bytes(tokenizer.chat_template()), as_bytes(messages_json),
      as_bytes(whole_or_empty(text_of(tokenizer.bos()))),
      as_bytes(whole_or_empty(text_of(tokenizer.eos()))), add_generation_prompt, mark_contents,
      append_piece, &pieces, &error);
  if (status != 0) throw Error(static_cast<ErrorCode>(status), error.message);
  return pieces;
}

}  // namespace

std::vector<ChatPiece> render_pieces(const Tokenizer& tokenizer, std::string_view messages_json,
                                     bool add_generation_prompt) {
  return call_shim(tokenizer, messages_json, add_generation_prompt, true);
}

std::string render(const Tokenizer& tokenizer, std::string_view messages_json,
                   bool add_generation_prompt) {
  std::string out;
  for (ChatPiece& piece : call_shim(tokenizer, messages_json, add_generation_prompt, false)) {
    out += piece.text;
  }
  return out;
}

std::vector<int32_t> tokenize(const Tokenizer& tokenizer, std::string_view messages_json,
                              bool add_generation_prompt) {
  std::string text;
  std::vector<Tokenizer::Range> contents;
  for (const ChatPiece& piece : render_pieces(tokenizer, messages_json, add_generation_prompt)) {
    if (piece.content) contents.push_back({text.size(), text.size() + piece.text.size()});
    text += piece.text;
  }
  return tokenizer.encode(text, contents);
}

}  // namespace reattn::text
