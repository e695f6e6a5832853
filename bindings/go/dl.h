/* Made by internal/generate out of reattn.h: do not edit. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define REATTN_ABI_VERSION 1
typedef struct reattn_error reattn_error;
typedef struct reattn_model reattn_model;
typedef struct reattn_session
    reattn_session;
typedef struct reattn_cache reattn_cache;
typedef struct reattn_request reattn_request;
typedef struct reattn_queue reattn_queue;
typedef int32_t reattn_status;
enum {
  REATTN_OK = 0,
  REATTN_END = 1,
  REATTN_TIMEOUT = 2,
  REATTN_E_ARG = -1,
  REATTN_E_HANDLE = -2,
  REATTN_E_BUSY = -3,
  REATTN_E_CANCELLED = -4,
  REATTN_E_NO_DEVICE = -5,
  REATTN_E_DEVICE_LOST = -6,
  REATTN_E_OOM_HOST = -7,
  REATTN_E_OOM_DEVICE = -8,
  REATTN_E_FORMAT = -9,
  REATTN_E_MISMATCH = -10,
  REATTN_E_BUFFER = -11,
  REATTN_E_UNSUPPORTED = -12,
  REATTN_E_INTERNAL = -13,
  REATTN_E_IO = -14
};
typedef struct reattn_log_event {
  uint32_t struct_size;
  uint32_t text_bytes;
  uint64_t sequence;
} reattn_log_event;
enum {
  REATTN_DEVICE_AUTO = 0,
  REATTN_DEVICE_CPU = 1,
  REATTN_DEVICE_CUDA = 2
};
typedef struct reattn_device_info {
  uint32_t struct_size;
  int32_t kind;
  uint64_t memory_total;
  uint64_t memory_free;
  int32_t n_threads;
  int32_t index;
  char name[96];
  char instructions[32];
} reattn_device_info;
enum {
  REATTN_WEIGHTS_AUTO = 0,
  REATTN_WEIGHTS_FP8 = 1
};
typedef struct reattn_model_options {
  uint32_t struct_size;
  int32_t device;
  int32_t n_threads;
  int32_t header_only;
  int32_t device_index;
  int32_t weights;
} reattn_model_options;
typedef struct reattn_geometry {
  uint32_t struct_size;
  int32_t tied_embeddings;
  int64_t n_layers;
  int64_t n_embd;
  int64_t n_heads;
  int64_t n_kv_heads;
  int64_t head_dim;
  int64_t n_ff;
  int64_t n_vocab;
  int64_t n_window;
  double rope_freq_base;
  uint64_t seed;
} reattn_geometry;
typedef struct reattn_load_progress {
  uint32_t struct_size;
  int32_t finished;
  uint64_t bytes_done;
  uint64_t bytes_total;
} reattn_load_progress;
typedef struct reattn_model_info {
  uint32_t struct_size;
  int32_t device;
  int64_t n_layers;
  int64_t n_embd;
  int64_t n_heads;
  int64_t n_kv_heads;
  int64_t head_dim;
  int64_t n_ff;
  int64_t n_vocab;
  int64_t n_window;
  int64_t n_metadata;
  uint64_t weights_bytes;
  uint64_t model_fingerprint;
  uint64_t tokenizer_fingerprint;
  double rope_freq_base;
  double norm_eps;
  int32_t bos_token;
  int32_t eos_token;
  int32_t eot_token;
  int32_t unk_token;
  int32_t pad_token;
  int32_t add_bos;
  int32_t add_eos;
  int32_t has_chat_template;
  int32_t tied_embeddings;
  int32_t header_only;
  int32_t weights;
  int32_t reserved;
} reattn_model_info;
enum {
  REATTN_SELECTION_FULL = 0,
  REATTN_SELECTION_EXACT = 1,
  REATTN_SELECTION_BLOCK1 = 2
};
enum {
  REATTN_KV_F32 = 0,
  REATTN_KV_F16 = 1,
  REATTN_KV_BF16 = 2,
  REATTN_KV_INT8 = 3
};
enum {
  REATTN_SCORING_NATIVE = 0,
  REATTN_SCORING_INT8 = 1
};
typedef struct reattn_session_options {
  uint32_t struct_size;
  int32_t selection;
  int64_t n_global;
  int64_t n_local;
  int32_t top_k;
  int32_t span;
  int32_t n_anchors;
  int32_t chunk;
  int32_t vote_stride;
  int32_t kv_dtype;
  int64_t max_tokens;
  int32_t scoring;
  int32_t reserved;
} reattn_session_options;
typedef struct reattn_memory_plan {
  uint32_t struct_size;
  int32_t fits;
  uint64_t weights_bytes;
  uint64_t kv_bytes;
  uint64_t working_bytes;
  uint64_t total_bytes;
  uint64_t memory_free;
} reattn_memory_plan;
enum {
  REATTN_APPEND_MORE = 1,
  REATTN_APPEND_SPECIAL = 2,
  REATTN_APPEND_LOGPROBS = 4
};
typedef struct reattn_session_info {
  uint32_t struct_size;
  int32_t page_tokens;
  int64_t n_tokens;
  int64_t n_pending;
  uint64_t kv_bytes;
  int64_t n_pages;
  int64_t n_shared_pages;
} reattn_session_info;
typedef struct reattn_cache_info {
  uint32_t struct_size;
  int32_t has_logits;
  int64_t n_tokens;
  uint64_t kv_bytes;
  uint64_t model_fingerprint;
  uint64_t tokenizer_fingerprint;
} reattn_cache_info;
typedef struct reattn_request_options {
  uint32_t struct_size;
  int32_t ignore_end;
  int64_t max_tokens;
  float
      temperature;
  int32_t top_k;
  float top_p;
  float min_p;
  uint64_t seed;
  float repetition_penalty;
  int32_t repetition_window;
} reattn_request_options;
enum {
  REATTN_EVENT_PREFILL = 1,
  REATTN_EVENT_TEXT = 2,
  REATTN_EVENT_DONE = 3
};
enum {
  REATTN_DONE_READ = 1,
  REATTN_DONE_END = 2,
  REATTN_DONE_STOP = 3,
  REATTN_DONE_LENGTH = 4,
  REATTN_DONE_FULL = 5,
  REATTN_DONE_CANCELLED = 6
};
typedef struct reattn_event {
  uint32_t struct_size;
  int32_t kind;
  int64_t n_done;
  int64_t n_total;
  int32_t token;
  float logprob;
  int32_t reason;
  uint32_t text_bytes;
} reattn_event;
typedef struct reattn_span {
  int64_t begin;
  int64_t end;
  int64_t votes;
} reattn_span;
enum {
  REATTN_RECALLED_LAST_STEP = 1,
  REATTN_RECALLED_PROMPT = 2,
  REATTN_RECALLED_ANSWER = 3
};
#define REATTN_ALL_LAYERS (-1)
typedef struct reattn_request_stats {
  uint32_t struct_size;
  int32_t done;
  int64_t n_prefill_tokens;
  int64_t n_decode_tokens;
  double prefill_seconds;
  double decode_seconds;
  double first_token_seconds;
} reattn_request_stats;

/* Opens the library at `path` and looks up its functions; NULL, or what is wrong. */
const char* dl_open(const char* path);

int32_t dl_abi_version(void);
const char* dl_version(void);
const char* dl_status_name(reattn_status status);
reattn_status dl_log_next(reattn_log_event* out_event, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_error_code(uintptr_t error);
const char* dl_error_message(uintptr_t error);
void dl_error_free(uintptr_t error);
reattn_status dl_backend_load(const uint8_t* path, uint64_t path_bytes, uintptr_t* err);
reattn_status dl_backend_diagnose(uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_device_count(int32_t* out_count, uintptr_t* err);
reattn_status dl_device_get_info(int32_t index, reattn_device_info* out_info, uintptr_t* err);
reattn_status dl_model_options_init(reattn_model_options* out_options, size_t size, uintptr_t* err);
reattn_status dl_model_open(const uint8_t* path, uint64_t path_bytes, const reattn_model_options* options, uintptr_t* out_model, uintptr_t* err);
reattn_status dl_model_synthesize(const reattn_geometry* geometry, const reattn_model_options* options, uintptr_t* out_model, uintptr_t* err);
reattn_status dl_model_wait(uintptr_t model, int64_t timeout_ms, reattn_load_progress* out_progress, uintptr_t* err);
reattn_status dl_model_cancel_load(uintptr_t model, uintptr_t* err);
reattn_status dl_model_get_info(uintptr_t model, reattn_model_info* out_info, uintptr_t* err);
reattn_status dl_model_metadata(uintptr_t model, int64_t index, uint8_t* key, uint64_t key_cap, uint64_t* key_needed, uint8_t* value, uint64_t value_cap, uint64_t* value_needed, uintptr_t* err);
void dl_model_free(uintptr_t model);
reattn_status dl_text_tokenize(uintptr_t model, const uint8_t* text, uint64_t text_bytes, int32_t parse_special, int32_t* ids, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_text_detokenize(uintptr_t model, const int32_t* ids, uint64_t n_ids, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_chat_render(uintptr_t model, const uint8_t* messages, uint64_t messages_bytes, int32_t add_generation_prompt, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_chat_tokenize(uintptr_t model, const uint8_t* messages, uint64_t messages_bytes, int32_t add_generation_prompt, int32_t* ids, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_session_options_init(uintptr_t model, uintptr_t cache, reattn_session_options* out_options, size_t size, uintptr_t* err);
reattn_status dl_model_estimate(uintptr_t model, const reattn_session_options* options, int64_t n_tokens, reattn_memory_plan* out_plan, uintptr_t* err);
reattn_status dl_session_create(uintptr_t model, uintptr_t cache, const reattn_session_options* options, uintptr_t* out_session, uintptr_t* err);
reattn_status dl_session_append_text(uintptr_t session, const uint8_t* text, uint64_t text_bytes, int32_t flags, uintptr_t* err);
reattn_status dl_session_append_ids(uintptr_t session, const int32_t* ids, uint64_t n_ids, int32_t flags, uintptr_t* err);
reattn_status dl_session_get_info(uintptr_t session, reattn_session_info* out_info, uintptr_t* err);
reattn_status dl_session_tokens(uintptr_t session, int64_t begin, int64_t end, int32_t* ids, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_session_text(uintptr_t session, int64_t begin, int64_t end, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_session_logprobs(uintptr_t session, int64_t begin, int64_t end, float* logprobs, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_session_truncate(uintptr_t session, int64_t n_tokens, uintptr_t* err);
reattn_status dl_session_fork(uintptr_t session, uintptr_t* out_session, uintptr_t* err);
void dl_session_free(uintptr_t session);
reattn_status dl_cache_snapshot(uintptr_t session, uintptr_t* out_cache, uintptr_t* err);
reattn_status dl_cache_save(uintptr_t cache, const uint8_t* path, uint64_t path_bytes, uintptr_t* err);
reattn_status dl_cache_open(uintptr_t model, const uint8_t* path, uint64_t path_bytes, uintptr_t* out_cache, uintptr_t* err);
reattn_status dl_cache_get_info(uintptr_t cache, reattn_cache_info* out_info, uintptr_t* err);
void dl_cache_free(uintptr_t cache);
reattn_status dl_request_options_init(reattn_request_options* out_options, size_t size, uintptr_t* err);
reattn_status dl_request_create(uintptr_t session, const reattn_request_options* options, uintptr_t* out_request, uintptr_t* err);
reattn_status dl_request_add_stop(uintptr_t request, const uint8_t* text, uint64_t text_bytes, uintptr_t* err);
reattn_status dl_request_set_json_schema(uintptr_t request, const uint8_t* schema, uint64_t schema_bytes, uintptr_t* err);
reattn_status dl_request_next(uintptr_t request, int64_t timeout_ms, reattn_event* out_event, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_request_cancel(uintptr_t request, uintptr_t* err);
reattn_status dl_request_logits(uintptr_t request, float* logits, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_request_recalled(uintptr_t request, int64_t layer, int32_t scope, reattn_span* spans, uint64_t cap, uint64_t* needed, uintptr_t* err);
reattn_status dl_request_get_stats(uintptr_t request, reattn_request_stats* out_stats, uintptr_t* err);
void dl_request_free(uintptr_t request);
reattn_status dl_queue_create(uintptr_t model, uintptr_t* out_queue, uintptr_t* err);
reattn_status dl_queue_add(uintptr_t queue, uintptr_t request, uint64_t tag, uintptr_t* err);
reattn_status dl_queue_next(uintptr_t queue, int64_t timeout_ms, uint64_t* out_tag, reattn_event* out_event, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err);
void dl_queue_free(uintptr_t queue);
