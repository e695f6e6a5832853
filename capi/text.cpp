// Text to ids and back, and conversations.
#include "capi/convert.hpp"
#include "capi/guard.hpp"
#include "capi/objects.hpp"
#include "core/text/chat.hpp"
#include "reattn/reattn.h"

using namespace reattn;
using namespace reattn::capi;

reattn_status reattn_text_tokenize(const reattn_model* model, const uint8_t* text,
                                   uint64_t text_bytes, int32_t parse_special, int32_t* ids,
                                   uint64_t cap, uint64_t* needed, reattn_error** err) {
  return guard(err, [&] {
    const auto loaded = pin<ModelObject>(model)->model();
    const Output out(ids, cap, needed, "ids");
    out.write(loaded->tokenizer().encode(input_text(text, text_bytes, "text"),
                                         to_bool(parse_special, "parse_special")));
    return REATTN_OK;
  });
}

reattn_status reattn_text_detokenize(const reattn_model* model, const int32_t* ids, uint64_t n_ids,
                                     uint8_t* buf, uint64_t cap, uint64_t* needed,
                                     reattn_error** err) {
  return guard(err, [&] {
    const auto loaded = pin<ModelObject>(model)->model();
    const Output out(buf, cap, needed, "buf");
    out.write(loaded->tokenizer().decode(input(ids, n_ids, "ids")));
    return REATTN_OK;
  });
}

reattn_status reattn_chat_render(const reattn_model* model, const uint8_t* messages,
                                 uint64_t messages_bytes, int32_t add_generation_prompt,
                                 uint8_t* buf, uint64_t cap, uint64_t* needed, reattn_error** err) {
  return guard(err, [&] {
    const auto loaded = pin<ModelObject>(model)->model();
    const Output out(buf, cap, needed, "buf");
    out.write(text::render(loaded->tokenizer(), input_text(messages, messages_bytes, "messages"),
                           to_bool(add_generation_prompt, "add_generation_prompt")));
    return REATTN_OK;
  });
}

reattn_status reattn_chat_tokenize(const reattn_model* model, const uint8_t* messages,
                                   uint64_t messages_bytes, int32_t add_generation_prompt,
                                   int32_t* ids, uint64_t cap, uint64_t* needed,
                                   reattn_error** err) {
  return guard(err, [&] {
    const auto loaded = pin<ModelObject>(model)->model();
    const Output out(ids, cap, needed, "ids");
    out.write(text::tokenize(loaded->tokenizer(), input_text(messages, messages_bytes, "messages"),
                             to_bool(add_generation_prompt, "add_generation_prompt")));
    return REATTN_OK;
  });
}
