/* C functions of the Rust text library: byte-level BPE and chat templates. Private to core/text.
 *
 * Every function but _free returns 0, or a reattn::ErrorCode with the reason in *error (NUL-
 * terminated). Nothing here owns memory of the other side: results go through the callbacks, which
 * must not throw and return 0 to go on. A panic becomes kInternal; only a failed allocation aborts,
 * so inputs are bounded (tokenizer.rs, chat.rs name the bounds). Calls on one tokenizer may overlap.
 *
 * The Rust standard library is linked into this archive, so its panic hook, which is replaced by
 * one that prints nothing, is not the hook of a program that is itself written in Rust. */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct reattn_text_tokenizer;

struct reattn_text_error {
  char message[2048];
};

struct reattn_text_bytes {
  const uint8_t* data; /* UTF-8, not NUL-terminated; may be null when size is 0 */
  uint64_t size;
};

struct reattn_text_spec {
  struct reattn_text_bytes pre;
  struct reattn_text_bytes tokens; /* all tokens, joined */
  const uint64_t* token_offsets;   /* [n_tokens + 1] into tokens */
  const uint8_t* is_special;       /* [n_tokens] */
  uint64_t n_tokens;
  struct reattn_text_bytes merges; /* all merges, joined */
  const uint64_t* merge_offsets;   /* [n_merges + 1] into merges */
  uint64_t n_merges;
};

int32_t reattn_text_tokenizer_create(const struct reattn_text_spec* spec,
                                     struct reattn_text_tokenizer** out,
                                     struct reattn_text_error* error);
void reattn_text_tokenizer_free(struct reattn_text_tokenizer* tokenizer);

typedef int32_t (*reattn_text_emit_ids)(void* user, const uint32_t* ids, uint64_t n);

/* Ids of text. Special tokens match where parse_special is not 0, outside protected_ranges:
 * [n_ranges][2] byte offsets, ascending, disjoint, on character boundaries. */
int32_t reattn_text_encode(const struct reattn_text_tokenizer* tokenizer,
                           struct reattn_text_bytes text, int32_t parse_special,
                           const uint64_t* protected_ranges, uint64_t n_ranges,
                           reattn_text_emit_ids emit, void* user, struct reattn_text_error* error);

typedef int32_t (*reattn_text_emit_piece)(void* user, const uint8_t* data, uint64_t size,
                                          int32_t is_content);

/* Renders a chat template. With mark_contents, pieces that came from a message's content are told
 * apart, else there is one piece. tokenizer says which contents could forge a special token. */
int32_t reattn_text_chat_render(const struct reattn_text_tokenizer* tokenizer,
                                struct reattn_text_bytes chat_template,
                                struct reattn_text_bytes messages_json,
                                struct reattn_text_bytes bos, struct reattn_text_bytes eos,
                                int32_t add_generation_prompt, int32_t mark_contents,
                                reattn_text_emit_piece emit, void* user,
                                struct reattn_text_error* error);

#ifdef __cplusplus
}
#endif
