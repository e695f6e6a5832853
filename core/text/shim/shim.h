/* C functions of the Rust text library: tokenizers, chat templates and JSON schemas. Private to core/text.
 *
 * Every function but _free returns 0, or a reattn::ErrorCode with the reason in *error (NUL-
 * terminated). Nothing here owns memory of the other side: results go through the callbacks, which
 * must not throw and return 0 to go on. A panic becomes kInternal; only a failed allocation aborts,
 * so inputs are bounded (lib.rs, tokenizer.rs, hf.rs, chat.rs, schema.rs name the bounds). Calls on one tokenizer
 * may overlap.
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

/* What a token is and how it matches in raw text. */
enum {
  REATTN_TEXT_SPECIAL = 1,     /* matches where special tokens are asked for */
  REATTN_TEXT_ALWAYS = 2,      /* matches always */
  REATTN_TEXT_STRIP_LEFT = 4,  /* takes the white space on its left with it */
  REATTN_TEXT_STRIP_RIGHT = 8, /* takes the white space on its right with it */
  REATTN_TEXT_BYTE = 16,       /* a byte, such as <0x0A> */
  REATTN_TEXT_UNUSED = 32      /* never made from text */
};

struct reattn_text_spec {
  struct reattn_text_bytes key_prefix; /* of the tables' names in messages: "tokenizer.ggml." */
  struct reattn_text_bytes pre;
  struct reattn_text_bytes tokens; /* all tokens, joined */
  const uint64_t* token_offsets;   /* [n_tokens + 1] into tokens */
  const uint8_t* token_flags;      /* [n_tokens] */
  uint64_t n_tokens;
  struct reattn_text_bytes merges; /* all merges, joined */
  const uint64_t* merge_offsets;   /* [n_merges + 1] into merges */
  uint64_t n_merges;
  const float* scores;       /* [n_tokens], not NaN; null: merges say what merges first */
  int32_t is_sentence_piece; /* else byte-level */
  int32_t composes;          /* byte-level: text becomes NFC first */
  int32_t whole_words_first; /* byte-level: a word that is a token is not merged */
  int32_t space_prefix;      /* SentencePiece: reattn::text::SpacePrefix */
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

/* The parts of a reattn::text::TokenizerSpec. */
enum {
  REATTN_TEXT_MODEL = 0,
  REATTN_TEXT_PRE = 1,
  REATTN_TEXT_TOKEN = 2,       /* text and type, in the order of ids */
  REATTN_TEXT_TOKEN_STRIP = 3, /* STRIP flags of the token before, where it has any */
  REATTN_TEXT_MERGE = 4,
  REATTN_TEXT_BOS = 5,
  REATTN_TEXT_EOS = 6,
  REATTN_TEXT_UNK = 7,
  REATTN_TEXT_PAD = 8,
  REATTN_TEXT_END = 9, /* an id that ends generation */
  REATTN_TEXT_ADD_BOS = 10,
  REATTN_TEXT_ADD_EOS = 11,
  REATTN_TEXT_COMPOSES = 12,
  REATTN_TEXT_WHOLE_WORDS_FIRST = 13,
  REATTN_TEXT_SPACE_PREFIX = 14,
  REATTN_TEXT_CHAT_TEMPLATE = 15,
  REATTN_TEXT_SCORE = 16 /* of the token before: the bits of a float */
};

typedef int32_t (*reattn_text_emit_field)(void* user, int32_t field, struct reattn_text_bytes text,
                                          int64_t number);

/* The files of a Hugging Face model folder; without data where there is none. */
struct reattn_text_hf_files {
  struct reattn_text_bytes tokenizer;       /* JSON, as the two below */
  struct reattn_text_bytes tokenizer_model; /* SentencePiece's; read where there is no tokenizer */
  struct reattn_text_bytes tokenizer_config;
  struct reattn_text_bytes generation_config;
};

/* Gives emit what the files say, as far as it is not the default. The vocabulary gets n_vocab tokens, unused
 * ones at its end, where n_vocab is not 0. */
int32_t reattn_text_hf_read(const struct reattn_text_hf_files* files, uint64_t n_vocab,
                            reattn_text_emit_field emit, void* user,
                            struct reattn_text_error* error);

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

struct reattn_text_vocabulary;
struct reattn_text_schema;

enum { REATTN_TEXT_KIND_TEXT = 0, REATTN_TEXT_KIND_SPECIAL = 1, REATTN_TEXT_KIND_END = 2 };

/* The tokens that schemas choose among, by their bytes. kinds: [n_tokens] of the above. */
int32_t reattn_text_vocabulary_create(struct reattn_text_bytes tokens,
                                      const uint64_t* token_offsets, const uint8_t* kinds,
                                      uint64_t n_tokens, struct reattn_text_vocabulary** out,
                                      struct reattn_text_error* error);
void reattn_text_vocabulary_free(struct reattn_text_vocabulary* vocabulary);

/* A text that begins, bound to be JSON of this schema. It does not need the vocabulary afterwards.
 * Calls on one do not overlap. */
int32_t reattn_text_schema_create(const struct reattn_text_vocabulary* vocabulary,
                                  struct reattn_text_bytes schema, struct reattn_text_schema** out,
                                  struct reattn_text_error* error);
void reattn_text_schema_free(struct reattn_text_schema* schema);

/* Bit i % 32 of mask[i / 32] says whether token i may come next; mask: [n_words]. A token that ends
 * an answer may where the text is complete. */
int32_t reattn_text_schema_mask(struct reattn_text_schema* schema, uint32_t* mask, uint64_t n_words,
                                struct reattn_text_error* error);

/* Goes on by a token that may come next and ends nothing. *is_complete 1: no other can follow. */
int32_t reattn_text_schema_accept(struct reattn_text_schema* schema, uint32_t token,
                                  int32_t* is_complete, struct reattn_text_error* error);

#ifdef __cplusplus
}
#endif
