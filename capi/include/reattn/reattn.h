/*
 * reattn.h: the C interface of libreattn, and its manual.
 *
 * libreattn reads documents far longer than a language model's trained window with ReAttention
 * (arXiv 2407.15176): before each attention it recalls the passages that matter and attends to
 * those alone. A program opens a model, makes a session, appends text to it, and pulls events out
 * of a request: progress while the text is read, then the answer, token by token.
 *
 *     reattn_model_open -> reattn_model_wait -> reattn_session_create -> reattn_session_append_text
 *       -> reattn_request_create -> reattn_request_next ... -> REATTN_END
 *
 * Conventions, which hold for every function unless it says otherwise:
 *
 * Results    A function that can fail returns a reattn_status: 0 is success, positive values are no
 *            errors (REATTN_END, REATTN_TIMEOUT), negative values are. Its last parameter `err` may
 *            be NULL. Else *err becomes NULL on a status >= 0, and on a negative one an error
 *            object with a message, which the caller owns (reattn_error_free). What *err held
 *            before is neither read nor freed. On a negative status every other output is
 *            untouched, but for `needed` with REATTN_E_BUFFER. Any function may also give
 *            REATTN_E_HANDLE, REATTN_E_ARG for a required pointer that is NULL, REATTN_E_OOM_HOST
 *            and REATTN_E_INTERNAL.
 * Handles    Pointers to the opaque types below are checked numbers, not addresses: one that was
 *            freed, is garbage, or belongs to another type gives REATTN_E_HANDLE. An object lives
 *            until it is freed, and what it depends on lives as long as it does, so that handles
 *            may be freed in any order, from any thread, also while another thread is inside a
 *            call with them (that call ends normally). Freeing NULL, or the same handle twice, does
 *            nothing.
 * Threads    There is no global set-up or shut-down, and nothing belongs to a thread. A function
 *            that takes its object as const may be called by any number of threads at once, on the
 *            same object; one that takes it as non-const is for one caller at a time, and an
 *            overlap gives REATTN_E_BUSY and changes nothing.
 * Structs    Every struct but reattn_span begins with struct_size, which the caller sets to sizeof
 *            (the _init functions do so), holds no pointers and no padding, and grows at its end
 *            only. From a caller built with an older header only its fields are read or written;
 *            from one built with a newer header, fields this library does not know must be zero,
 *            else REATTN_E_UNSUPPORTED, and are set to zero where the library writes.
 * Text       UTF-8 as pointer and number of bytes, without a terminator; zero bytes inside are
 *            text. Paths are bytes as the system takes them. Pointers may be NULL where the number
 *            is 0.
 * Outputs    Of unknown length go to a caller's buffer of `cap` elements (bytes, ids, ...), and
 *            *needed says how many there are; needed may be NULL. When cap is too small the call
 *            gives REATTN_E_BUFFER, writes *needed and nothing else, and loses nothing: call again.
 *            buf may be NULL when cap is 0.
 * Numbers    Counts and positions are int64_t, sizes in memory uint64_t bytes. Positions count
 *            tokens from 0; a range [begin, end) excludes its end. Truth values are int32_t, 0 or 1.
 *
 * The library never prints, never ends the process, and installs no handlers.
 */
#ifndef REATTN_REATTN_H
#define REATTN_REATTN_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define REATTN_API __attribute__((visibility("default")))
#else
#define REATTN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What reattn_abi_version() returned when this header was written. */
#define REATTN_ABI_VERSION 1

typedef struct reattn_error reattn_error; /* what went wrong; immutable */
typedef struct reattn_model reattn_model; /* a model, loading or loaded; immutable */
typedef struct reattn_session
    reattn_session;                       /* tokens read, their cache, and what waits to be read */
typedef struct reattn_cache reattn_cache; /* a snapshot of a session; immutable */
typedef struct reattn_request reattn_request; /* reading and generating on one session */
typedef struct reattn_queue reattn_queue;     /* requests that are pulled, and generate, together */

/* ---- Status ------------------------------------------------------------------------------- */

typedef int32_t reattn_status;
enum {
  REATTN_OK = 0,
  REATTN_END = 1,             /* nothing more will come */
  REATTN_TIMEOUT = 2,         /* the time is over; call again to go on */
  REATTN_E_ARG = -1,          /* an argument is out of its range */
  REATTN_E_HANDLE = -2,       /* a handle is freed, of another type, or was never one */
  REATTN_E_BUSY = -3,         /* another call, a live request or the loading uses the object */
  REATTN_E_CANCELLED = -4,    /* cancelled by the caller */
  REATTN_E_NO_DEVICE = -5,    /* no such device, or it cannot be used; the message says why */
  REATTN_E_DEVICE_LOST = -6,  /* the device failed for good */
  REATTN_E_OOM_HOST = -7,     /* host memory cannot hold it */
  REATTN_E_OOM_DEVICE = -8,   /* device memory cannot hold it */
  REATTN_E_FORMAT = -9,       /* a file's content is not what its format says */
  REATTN_E_MISMATCH = -10,    /* a snapshot of another model, tokenizer or layout */
  REATTN_E_BUFFER = -11,      /* the caller's buffer is too small */
  REATTN_E_UNSUPPORTED = -12, /* valid, but this build cannot do it */
  REATTN_E_INTERNAL = -13,    /* a fault of the library */
  REATTN_E_IO = -14           /* the operating system refused to read or write */
};

/* ---- Library ------------------------------------------------------------------------------ */

/* The ABI of the library that was loaded: the number in its soname. Compare with
 * REATTN_ABI_VERSION. Any thread. Since 0.1. */
REATTN_API int32_t reattn_abi_version(void);

/* "major.minor.patch" of the library that was loaded; static. Any thread. Since 0.1. */
REATTN_API const char* reattn_version(void);

/* The constant's name without its prefix, e.g. "END" or "E_BUSY"; "UNKNOWN" for any other number.
 * Static, ASCII. Any thread. Since 0.1. */
REATTN_API const char* reattn_status_name(reattn_status status);

typedef struct reattn_log_event {
  uint32_t struct_size;
  uint32_t text_bytes; /* length of the message */
  uint64_t sequence;   /* 1, 2, 3, ... in this process; a gap: that many were overwritten unread */
} reattn_log_event;

/* Takes the oldest unread message about what the library decided on its own, such as "device AUTO
 * chose CPU: ..."; one line of UTF-8 in buf[cap]. The library keeps the last 256 and hands each out
 * once. REATTN_END: there is none now. On REATTN_E_BUFFER the message stays.
 * Any thread. Errors: BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_log_next(reattn_log_event* out_event, uint8_t* buf, uint64_t cap,
                                         uint64_t* needed, reattn_error** err);

/* ---- Errors ------------------------------------------------------------------------------- */

/* The status that came with it; REATTN_E_HANDLE when `error` is no live error. Any thread.
 * Since 0.1. */
REATTN_API reattn_status reattn_error_code(const reattn_error* error);

/* What went wrong, naming the file, field or argument and the numbers: UTF-8, ended by a zero byte,
 * valid until the error is freed; a fixed text when `error` is no live error, never NULL. Any
 * thread. Since 0.1. */
REATTN_API const char* reattn_error_message(const reattn_error* error);

/* Any thread. Since 0.1. */
REATTN_API void reattn_error_free(reattn_error* error);

/* ---- Devices ------------------------------------------------------------------------------ */

enum {
  REATTN_DEVICE_AUTO = 0, /* the fastest that can be used; the choice goes to the log */
  REATTN_DEVICE_CPU = 1,
  REATTN_DEVICE_CUDA = 2 /* REATTN_E_NO_DEVICE with the reason where it cannot be used */
};

typedef struct reattn_device_info {
  uint32_t struct_size;
  int32_t kind;          /* REATTN_DEVICE_CPU or REATTN_DEVICE_CUDA */
  uint64_t memory_total; /* bytes */
  uint64_t memory_free;  /* bytes that could be allocated now */
  int32_t n_threads;     /* what n_threads 0 means for a model; 0 for CUDA */
  int32_t index;         /* its own, from 0 */
  char name[96];         /* as the machine calls itself; UTF-8, zero-ended, cut if longer */
  char instructions[32]; /* what the kernels use, e.g. "AVX2"; likewise */
} reattn_device_info;

/* Opens the CUDA plug-in (libreattn_cuda.so) at `path`. Without this call the one beside the loaded
 * libreattn.so is opened when a device is first asked for. A plug-in stays for as long as the
 * process; it must be of the same build as this library. path: `path_bytes` bytes. Any thread.
 * Errors: NO_DEVICE with the reason, BUSY (another plug-in is in use). Since 0.1. */
REATTN_API reattn_status reattn_backend_load(const uint8_t* path, uint64_t path_bytes,
                                             reattn_error** err);

/* What models can be opened on, and why not on the rest, as text for people: a line for the CPU,
 * and lines for CUDA such as "CUDA: cannot be used: CUDA: no driver was found (libcuda.so.1)".
 * Any thread. Errors: BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_backend_diagnose(uint8_t* buf, uint64_t cap, uint64_t* needed,
                                                 reattn_error** err);

/* Number of devices that models can be opened on: the CPU, then the CUDA devices. Any thread.
 * Since 0.1. */
REATTN_API reattn_status reattn_device_count(int32_t* out_count, reattn_error** err);

/* Describes device `index`, 0 <= index < count: 0 is the CPU, 1 + i is CUDA device i. Any thread.
 * Errors: ARG. Since 0.1. */
REATTN_API reattn_status reattn_device_get_info(int32_t index, reattn_device_info* out_info,
                                                reattn_error** err);

/* ---- Models ------------------------------------------------------------------------------- */

enum {
  REATTN_WEIGHTS_AUTO = 0, /* as the device multiplies them best: in BF16 on a GPU, as the file has
                              them on the CPU */
  REATTN_WEIGHTS_FP8 = 1 /* the layers' matrices in 8 bits (E4M3), each row with a scale, made from
                              what the file has while loading; embedding, output matrix and norms as
                              AUTO. About half of BF16, and faster; answers differ a little. With
                              more than 8 rows at once, as reading has and a queue in which more
                              than 8 requests generate, activations are rounded to E4M3 too.
                              REATTN_E_UNSUPPORTED where the device does not have it (the CPU) */
};

typedef struct reattn_model_options {
  uint32_t struct_size;
  int32_t device;       /* REATTN_DEVICE_*; default AUTO */
  int32_t n_threads;    /* of the CPU pool, the caller included; default 0: as many as the process
                          may use. Results do not depend on it. */
  int32_t header_only;  /* 1: read and check the header alone, no weights and no tokenizer: for
                          get_info, metadata, estimate and session options; default 0 */
  int32_t device_index; /* which CUDA device, from 0; default 0 */
  int32_t weights;      /* REATTN_WEIGHTS_*: what the weights are held in; default AUTO */
} reattn_model_options;

/* Fills in the defaults and struct_size; `size` is sizeof *out_options. Any thread. Errors: ARG.
 * Since 0.1. */
REATTN_API reattn_status reattn_model_options_init(reattn_model_options* out_options, size_t size,
                                                   reattn_error** err);

/* Starts to open a model and returns at once with a handle that is still loading: a thread of the
 * library reads the files. `path`, `path_bytes` bytes, names a GGUF file (version 2 or 3; weights F32,
 * F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K or IQ4_NL) or a folder as Hugging Face's
 * library saves models (config.json, safetensors in F32, F16 or BF16, and tokenizer.json or
 * tokenizer.model); docs/models.md lists the families. What is wrong with it comes out of
 * reattn_model_wait. Until loading has ended, calls that need the model give REATTN_E_BUSY; if it
 * failed, they give what it failed with. With header_only everything happens here and nothing is left
 * to wait for. options may be NULL: the defaults. The caller owns *out_model.
 * Any thread. Errors: ARG, NO_DEVICE, UNSUPPORTED (`weights` that the device does not have); with
 * header_only also IO, FORMAT. Since 0.1. */
REATTN_API reattn_status reattn_model_open(const uint8_t* path, uint64_t path_bytes,
                                           const reattn_model_options* options,
                                           reattn_model** out_model, reattn_error** err);

/* The shape of a made-up model of the Llama family. */
typedef struct reattn_geometry {
  uint32_t struct_size;
  int32_t tied_embeddings; /* 1: the output matrix is the embedding table */
  int64_t n_layers;
  int64_t n_embd;
  int64_t n_heads;
  int64_t n_kv_heads; /* divides n_heads */
  int64_t head_dim;   /* even */
  int64_t n_ff;
  int64_t n_vocab;
  int64_t n_window;
  double rope_freq_base;
  uint64_t seed; /* the same seed: the same weights */
} reattn_geometry;

/* Starts to make a model of this shape out of random BF16 weights, so that speed and memory of sizes
 * whose weights are not at hand can be measured. What it generates means nothing: token i reads "w"
 * and its number. Otherwise as reattn_model_open, header_only excepted (ARG): wait for it with
 * reattn_model_wait. options may be NULL. Any thread. Errors: ARG (naming the field), NO_DEVICE,
 * UNSUPPORTED (`weights` that the device does not have); from the wait OOM_HOST, OOM_DEVICE,
 * CANCELLED. Since 0.1. */
REATTN_API reattn_status reattn_model_synthesize(const reattn_geometry* geometry,
                                                 const reattn_model_options* options,
                                                 reattn_model** out_model, reattn_error** err);

typedef struct reattn_load_progress {
  uint32_t struct_size;
  int32_t finished;     /* 1: loading has ended, well or not */
  uint64_t bytes_done;  /* of the tensors, read and checked so far; bytes_total once loaded */
  uint64_t bytes_total; /* 0 while not known */
} reattn_load_progress;

/* Waits at most timeout_ms milliseconds (0: not at all; negative: no limit) for loading to end.
 * REATTN_OK: the model is ready. REATTN_TIMEOUT: not yet. A negative status: loading failed, and
 * every later wait says the same. out_progress may be NULL; it is written on OK and TIMEOUT.
 * Any thread. Errors: IO, FORMAT (naming the key or tensor), UNSUPPORTED, OOM_HOST, OOM_DEVICE,
 * CANCELLED. Since 0.1. */
REATTN_API reattn_status reattn_model_wait(const reattn_model* model, int64_t timeout_ms,
                                           reattn_load_progress* out_progress, reattn_error** err);

/* Asks loading to stop, which reattn_model_wait then reports as REATTN_E_CANCELLED. Does nothing
 * once loading has ended. Any thread, also during a wait. Since 0.1. */
REATTN_API reattn_status reattn_model_cancel_load(const reattn_model* model, reattn_error** err);

typedef struct reattn_model_info {
  uint32_t struct_size;
  int32_t device; /* REATTN_DEVICE_* it was opened on, never AUTO */
  int64_t n_layers;
  int64_t n_embd;     /* width of the residual stream */
  int64_t n_heads;    /* query heads */
  int64_t n_kv_heads; /* key and value heads; divides n_heads */
  int64_t head_dim;
  int64_t n_ff;     /* width of the feed-forward layer */
  int64_t n_vocab;  /* token ids are 0 ... n_vocab - 1 */
  int64_t n_window; /* tokens of the trained window */
  int64_t n_metadata;
  uint64_t weights_bytes;         /* weights as held in memory */
  uint64_t model_fingerprint;     /* of header and tensors; 0 with header_only */
  uint64_t tokenizer_fingerprint; /* likewise */
  double rope_freq_base;
  double norm_eps;
  int32_t bos_token; /* special tokens; -1: none, or header_only */
  int32_t eos_token;
  int32_t eot_token;
  int32_t unk_token;
  int32_t pad_token;
  int32_t add_bos; /* the model expects bos_token first; the library never adds it by itself */
  int32_t add_eos;
  int32_t has_chat_template; /* 0 with header_only */
  int32_t tied_embeddings;   /* the output matrix is the embedding table */
  int32_t header_only;
  int32_t weights;  /* REATTN_WEIGHTS_* it was opened with */
  int32_t reserved; /* 0 */
} reattn_model_info;

/* Any thread. Errors: BUSY while loading. Since 0.1. */
REATTN_API reattn_status reattn_model_get_info(const reattn_model* model,
                                               reattn_model_info* out_info, reattn_error** err);

/* Entry `index` (0 <= index < n_metadata) of the model's metadata, in the file's order: its key, and
 * its value as readable text, in which long values and arrays are cut. BUFFER when either is too
 * small; both *_needed are then written. Any thread. Errors: ARG, BUSY while loading, BUFFER.
 * Since 0.1. */
REATTN_API reattn_status reattn_model_metadata(const reattn_model* model, int64_t index,
                                               uint8_t* key, uint64_t key_cap, uint64_t* key_needed,
                                               uint8_t* value, uint64_t value_cap,
                                               uint64_t* value_needed, reattn_error** err);

/* Any thread. A model that is still loading is cancelled first: this may take a moment. Since 0.1.
 */
REATTN_API void reattn_model_free(reattn_model* model);

/* ---- Text --------------------------------------------------------------------------------- */

/* Token ids of text; no begin- or end-of-text token is added. parse_special 1: the text of a
 * special token, such as "<|im_end|>", becomes that token; 0: it stays text like any other, as text
 * from a user should. ids: [cap]. Any thread. Errors: ARG (not UTF-8, with the byte offset),
 * BUFFER, BUSY while loading. Since 0.1. */
REATTN_API reattn_status reattn_text_tokenize(const reattn_model* model, const uint8_t* text,
                                              uint64_t text_bytes, int32_t parse_special,
                                              int32_t* ids, uint64_t cap, uint64_t* needed,
                                              reattn_error** err);

/* The bytes that ids[n_ids] stand for, one token after the other. A range of tokens may begin or
 * end inside a character, so this need not be whole UTF-8. Any thread. Errors: ARG (an id outside
 * the vocabulary), BUFFER, BUSY while loading. Since 0.1. */
REATTN_API reattn_status reattn_text_detokenize(const reattn_model* model, const int32_t* ids,
                                                uint64_t n_ids, uint8_t* buf, uint64_t cap,
                                                uint64_t* needed, reattn_error** err);

/* A conversation in the words of the model's chat template, as text for looking at; to read it, use
 * reattn_chat_tokenize. messages: JSON, an array of messages, or an object with such an array as
 * "messages", whose other members ("tools", "documents", "enable_thinking", ...) are variables of the
 * template. A message is an object with a string "role" and a "content", which is a string or an array
 * of parts, and those are objects; beside "tool_calls" it may be null or absent. Other members are
 * handed to the template.
 * add_generation_prompt 1: end with what makes the model answer. Any thread. Errors: ARG (naming the
 * message; what the template itself refuses), UNSUPPORTED (no template), FORMAT (the template fails),
 * BUFFER, BUSY while loading. Since 0.1. */
REATTN_API reattn_status reattn_chat_render(const reattn_model* model, const uint8_t* messages,
                                            uint64_t messages_bytes, int32_t add_generation_prompt,
                                            uint8_t* buf, uint64_t cap, uint64_t* needed,
                                            reattn_error** err);

/* Token ids of the same conversation. Special tokens match in the template's own words and in roles
 * only: no other text of `messages` can forge them. ids: [cap]. Threads and errors as
 * reattn_chat_render; also UNSUPPORTED where a template changes texts so that they cannot be told
 * apart. Since 0.1. */
REATTN_API reattn_status reattn_chat_tokenize(const reattn_model* model, const uint8_t* messages,
                                              uint64_t messages_bytes,
                                              int32_t add_generation_prompt, int32_t* ids,
                                              uint64_t cap, uint64_t* needed, reattn_error** err);

/* ---- Sessions ----------------------------------------------------------------------------- */

enum {
  REATTN_SELECTION_FULL = 0,  /* plain attention over everything; inside the trained window only */
  REATTN_SELECTION_EXACT = 1, /* recall by the top_k positions of each query and head */
  REATTN_SELECTION_BLOCK1 = 2 /* at most one of them from each 128, as the published kernel does */
};

enum {
  REATTN_KV_F32 = 0,
  REATTN_KV_F16 = 1,
  REATTN_KV_BF16 = 2, /* on a GPU; REATTN_E_UNSUPPORTED on the CPU */
  REATTN_KV_INT8 = 3 /* each 128 tokens of a head with a scale, what is not full yet in F16: half of
                         F16. With REATTN_SCORING_INT8, where the device has that */
};

enum {
  REATTN_SCORING_NATIVE = 0, /* queries and keys are compared as the cache holds keys */
  REATTN_SCORING_INT8 = 1    /* in int8, each 128 keys with a scale; faster and close to native. The
                                cache holds these keys besides: + 1/4 of an F16 one. REATTN_E_UNSUPPORTED
                                where the device does not have it */
};

/* Settings of the method. In every step the model attends to the first n_global tokens, to the last
 * n_local, and to `span` tokens around each of n_anchors positions in between, which it finds by
 * letting every vote_stride-th new token and every query head vote for its top_k best positions.
 * All values are literal. */
typedef struct reattn_session_options {
  uint32_t struct_size;
  int32_t selection;   /* REATTN_SELECTION_* */
  int64_t n_global;    /* >= 0 */
  int64_t n_local;     /* >= chunk; n_global + n_anchors * span + n_local <= the trained window */
  int32_t top_k;       /* 1 ... 16 */
  int32_t span;        /* tokens recalled around an anchor, >= 1 */
  int32_t n_anchors;   /* 0: nothing is recalled */
  int32_t chunk;       /* tokens read in one step, >= 1 */
  int32_t vote_stride; /* >= 1; counted back from the last new token */
  int32_t kv_dtype;    /* REATTN_KV_*: what keys and values are kept in */
  int64_t max_tokens;  /* capacity of the session; 0: as much as memory holds */
  int32_t scoring;     /* REATTN_SCORING_*: how positions to recall are found */
  int32_t reserved;    /* 0 */
} reattn_session_options;

/* Fills in struct_size and the settings to start from: the published ones for the model's window
 * or, where cache is not NULL, those the snapshot was read with. `size` is sizeof *out_options. The
 * model may be opened header_only. Any thread. Errors: ARG, BUSY while loading. Since 0.1. */
REATTN_API reattn_status reattn_session_options_init(const reattn_model* model,
                                                     const reattn_cache* cache,
                                                     reattn_session_options* out_options,
                                                     size_t size, reattn_error** err);

typedef struct reattn_memory_plan {
  uint32_t struct_size;
  int32_t fits;           /* 1: what is still to be allocated fits into memory_free */
  uint64_t weights_bytes; /* weights as held */
  uint64_t kv_bytes;      /* cache of n_tokens */
  uint64_t working_bytes; /* activations and scratch of a session's largest step; an upper bound */
  uint64_t total_bytes;   /* the sum */
  uint64_t memory_free;   /* of the device, now; the weights of a loaded model are taken from it */
} reattn_memory_plan;

/* What holding a session of n_tokens (>= 0) would take, from the header alone. options may be NULL:
 * the defaults. Any thread. Errors: ARG (a setting out of its range, naming it and its bound),
 * UNSUPPORTED (a kv_dtype or scoring that the device does not have), BUSY while loading. Since 0.1. */
REATTN_API reattn_status reattn_model_estimate(const reattn_model* model,
                                               const reattn_session_options* options,
                                               int64_t n_tokens, reattn_memory_plan* out_plan,
                                               reattn_error** err);

/* An empty session or, where cache is not NULL, one that goes on from the snapshot and shares its
 * memory. options may be NULL: those of reattn_session_options_init. Of a snapshot's settings
 * n_local, n_anchors, top_k, span, vote_stride and max_tokens may be changed. The session keeps
 * model and snapshot alive as far as it needs them. The caller owns *out_session. Any thread.
 * Errors: ARG (a setting, naming it and its bound), MISMATCH (a snapshot of another model, or a
 * setting that may not be changed), BUSY while loading, UNSUPPORTED (a model opened header_only; a
 * kv_dtype or scoring that the device does not have). Since 0.1. */
REATTN_API reattn_status reattn_session_create(const reattn_model* model, const reattn_cache* cache,
                                               const reattn_session_options* options,
                                               reattn_session** out_session, reattn_error** err);

enum {
  REATTN_APPEND_MORE = 1,    /* the same append goes on with the next piece; whatever the pieces'
                                sizes, the result is that of one append of all of them */
  REATTN_APPEND_SPECIAL = 2, /* text only: special tokens in it become their ids */
  REATTN_APPEND_LOGPROBS = 4 /* keep the log-probability of each of its tokens; costs time */
};

/* Checks, tokenises and queues text; a request reads it later. A piece with MORE may end inside a
 * character; all pieces of one append have the same other flags. Reading cuts each append into
 * chunks from its own start, so append a document and the question about it separately: then only
 * the question's tokens vote on what is recalled for it. On an error nothing is queued.
 * One caller at a time. Errors: ARG (not UTF-8, with the byte offset; more tokens than max_tokens
 * or, with SELECTION_FULL, the window), OOM_HOST or OOM_DEVICE (the cache for it cannot fit; found
 * now, not while reading), BUSY (another call, or a live request), UNSUPPORTED (unknown flags).
 * Since 0.1. */
REATTN_API reattn_status reattn_session_append_text(reattn_session* session, const uint8_t* text,
                                                    uint64_t text_bytes, int32_t flags,
                                                    reattn_error** err);

/* The same for token ids[n_ids], each inside the vocabulary (else ARG, naming its index).
 * Since 0.1. */
REATTN_API reattn_status reattn_session_append_ids(reattn_session* session, const int32_t* ids,
                                                   uint64_t n_ids, int32_t flags,
                                                   reattn_error** err);

typedef struct reattn_session_info {
  uint32_t struct_size;
  int32_t page_tokens;    /* tokens of one cache page */
  int64_t n_tokens;       /* read: what tokens, text and logprobs can be asked about */
  int64_t n_pending;      /* queued and not yet read; as far as known of an append that goes on */
  uint64_t kv_bytes;      /* cache memory held, shared pages included */
  int64_t n_pages;        /* cache pages held */
  int64_t n_shared_pages; /* of these, shared with forks and snapshots */
} reattn_session_info;

/* Any thread, also while a request runs. Since 0.1. */
REATTN_API reattn_status reattn_session_get_info(const reattn_session* session,
                                                 reattn_session_info* out_info, reattn_error** err);

/* Ids of the tokens [begin, end) that were read, 0 <= begin <= end <= n_tokens; ids: [cap].
 * Any thread. Errors: ARG, BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_session_tokens(const reattn_session* session, int64_t begin,
                                               int64_t end, int32_t* ids, uint64_t cap,
                                               uint64_t* needed, reattn_error** err);

/* Their bytes, as reattn_text_detokenize. Any thread. Errors: ARG, BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_session_text(const reattn_session* session, int64_t begin,
                                             int64_t end, uint8_t* buf, uint64_t cap,
                                             uint64_t* needed, reattn_error** err);

/* log p(token | everything before it) of the same, natural, at temperature 1; NaN for the very
 * first token and where it was not kept (REATTN_APPEND_LOGPROBS; generated tokens always have
 * theirs). logprobs: [cap]. Any thread. Errors: ARG, BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_session_logprobs(const reattn_session* session, int64_t begin,
                                                 int64_t end, float* logprobs, uint64_t cap,
                                                 uint64_t* needed, reattn_error** err);

/* Forgets all tokens from position n_tokens (0 ... its number of tokens) on, and everything queued.
 * One caller at a time. Errors: ARG, BUSY (another call, or a live request). Since 0.1. */
REATTN_API reattn_status reattn_session_truncate(reattn_session* session, int64_t n_tokens,
                                                 reattn_error** err);

/* A second session with the same tokens and settings; cache pages are shared until either writes to
 * them, so this is cheap. The caller owns *out_session. One caller at a time. Errors: BUSY (another
 * call, a live request, or input still queued). Since 0.1. */
REATTN_API reattn_status reattn_session_fork(reattn_session* session, reattn_session** out_session,
                                             reattn_error** err);

/* Any thread. Requests on it go on. Since 0.1. */
REATTN_API void reattn_session_free(reattn_session* session);

/* ---- Snapshots: a document once read ------------------------------------------------------- */

/* The session's tokens, cache, last logits and settings, sharing its memory; the session may go on
 * afterwards. The caller owns *out_cache. One caller at a time on the session. Errors: BUSY
 * (another call, a live request, or input still queued). Since 0.1. */
REATTN_API reattn_status reattn_cache_snapshot(reattn_session* session, reattn_cache** out_cache,
                                               reattn_error** err);

/* Writes the snapshot to a file, which appears whole or, after an error, not at all (an older file
 * of that name then stays). About as large as kv_bytes. Any thread. Errors: IO. Since 0.1. */
REATTN_API reattn_status reattn_cache_save(const reattn_cache* cache, const uint8_t* path,
                                           uint64_t path_bytes, reattn_error** err);

/* Reads a saved snapshot for this very model; every byte is checked before it is used. The caller
 * owns *out_cache. Any thread. Errors: IO, FORMAT (damaged; names the part), MISMATCH (another
 * model, tokenizer or layout), UNSUPPORTED (of a newer version; a kv_dtype or scoring that the
 * device does not have; a model opened header_only), OOM_HOST, OOM_DEVICE, BUSY while loading.
 * Since 0.1. */
REATTN_API reattn_status reattn_cache_open(const reattn_model* model, const uint8_t* path,
                                           uint64_t path_bytes, reattn_cache** out_cache,
                                           reattn_error** err);

typedef struct reattn_cache_info {
  uint32_t struct_size;
  int32_t has_logits; /* 1: generation can start from it without reading anything first */
  int64_t n_tokens;
  uint64_t kv_bytes;              /* cache memory it holds, shared pages included */
  uint64_t model_fingerprint;     /* as in reattn_model_info */
  uint64_t tokenizer_fingerprint; /* likewise */
} reattn_cache_info;

/* Any thread. The settings it was read with: reattn_session_options_init. Since 0.1. */
REATTN_API reattn_status reattn_cache_get_info(const reattn_cache* cache,
                                               reattn_cache_info* out_info, reattn_error** err);

/* Any thread. Sessions made from it go on. Since 0.1. */
REATTN_API void reattn_cache_free(reattn_cache* cache);

/* ---- Requests ----------------------------------------------------------------------------- */

typedef struct reattn_request_options {
  uint32_t struct_size;
  int32_t ignore_end; /* 1: go on past the tokens that end an answer; default 0 */
  int64_t max_tokens; /* to generate at most; default 0: only read what is queued */
  float
      temperature; /* default 0: always the most likely token; the rest below then means nothing */
  int32_t top_k;   /* among the top_k most likely; default 0: off */
  float top_p;     /* among the most likely ones that sum up to top_p; default 1: off */
  float min_p;     /* among those at least min_p times as likely as the best; default 0: off */
  uint64_t seed;   /* same input, settings and seed: the same tokens; default 0 */
  float repetition_penalty;  /* logits of the tokens that are among the session's last
                                repetition_window, read or generated, are divided by it where they
                                are positive and multiplied by it where not; above 0, at most 100;
                                also with temperature 0; default 1: off */
  int32_t repetition_window; /* default 64; 0: all of them */
} reattn_request_options;

/* Fills in the defaults and struct_size; `size` is sizeof *out_options. Any thread. Errors: ARG.
 * Since 0.1. */
REATTN_API reattn_status reattn_request_options_init(reattn_request_options* out_options,
                                                     size_t size, reattn_error** err);

/* A request to read what the session has queued and then to generate. It is live, and the session
 * takes no other request, append, truncate, fork or snapshot, until its DONE event, an error of
 * reattn_request_next, or its being freed. It does nothing until reattn_request_next is called.
 * options may be NULL: the defaults. The caller owns *out_request, which keeps the session alive.
 * One caller at a time on the session. Errors: ARG (an option out of its range; nothing to go on
 * from: an empty session with nothing queued; an append with REATTN_APPEND_MORE not ended), BUSY
 * (the session has a live request, or is in another call). Since 0.1. */
REATTN_API reattn_status reattn_request_create(reattn_session* session,
                                               const reattn_request_options* options,
                                               reattn_request** out_request, reattn_error** err);

/* Ends the answer where `text` (1 to 1,024 bytes of UTF-8) appears in it, also across tokens; the
 * stop text itself is not delivered. Of several the one that is whole first counts, and of those that
 * end together the longest. Only before the first reattn_request_next, and before the
 * request is in a queue; any number of them. One caller at a time. Errors: ARG, BUSY. Since 0.1. */
REATTN_API reattn_status reattn_request_add_stop(reattn_request* request, const uint8_t* text,
                                                 uint64_t text_bytes, reattn_error** err);

/* What is generated is one JSON text that `schema` (UTF-8, at most 262,144 bytes) allows: before each
 * token those that cannot go on to one lose all probability. The answer ends (REATTN_DONE_END) where
 * the model ends it, which it can where the text is complete, or where nothing may follow; with
 * REATTN_DONE_LENGTH and _STOP the text may be a part. A later call replaces the schema. Only before
 * the first reattn_request_next, and before the request is in a queue. One caller at a time.
 * Errors: ARG (not JSON, with line and column; no JSON schema, with what is wrong; ignore_end 1),
 * UNSUPPORTED (a keyword that this build cannot hold a text to, by name; a schema that takes too
 * much), BUSY; later from reattn_request_next UNSUPPORTED (no token of the vocabulary goes on, or to
 * find one takes too much). Since 0.1. */
REATTN_API reattn_status reattn_request_set_json_schema(reattn_request* request,
                                                        const uint8_t* schema,
                                                        uint64_t schema_bytes, reattn_error** err);

enum {
  REATTN_EVENT_PREFILL = 1, /* another chunk, or several, were read: n_done of n_total */
  REATTN_EVENT_TEXT = 2,    /* another token was generated: token, logprob, text */
  REATTN_EVENT_DONE = 3     /* the last event: reason, and text that was held back */
};

enum {
  REATTN_DONE_READ = 1,   /* everything is read, and nothing was to be generated */
  REATTN_DONE_END = 2,    /* the model ended its answer */
  REATTN_DONE_STOP = 3,   /* a stop text appeared */
  REATTN_DONE_LENGTH = 4, /* max_tokens were generated */
  REATTN_DONE_FULL = 5, /* the session's capacity or, with SELECTION_FULL, the window is reached */
  REATTN_DONE_CANCELLED = 6 /* by reattn_request_cancel */
};

typedef struct reattn_event {
  uint32_t struct_size;
  int32_t kind;        /* REATTN_EVENT_* */
  int64_t n_done;      /* PREFILL, DONE: tokens of this request's input that are read */
  int64_t n_total;     /* PREFILL, DONE: tokens of this request's input */
  int32_t token;       /* TEXT: id of the generated token, else -1 */
  float logprob;       /* TEXT: its log-probability at temperature 1, before penalty and schema,
                          else 0 */
  int32_t reason;      /* DONE: REATTN_DONE_*, else 0 */
  uint32_t text_bytes; /* length of the text in buf */
} reattn_event;

/* Works on the request until its next event, in this thread and the library's pool, but no longer
 * than about timeout_ms milliseconds (looked at after every layer; negative: no limit), and never
 * ahead of the caller: between calls nothing runs, but for the step of the last token, which a GPU
 * may go on with; there timeout_ms is not looked at while a token is made, which takes milliseconds
 * and as long as what other sessions had enqueued before. REATTN_OK: an event, its text in buf[cap]: whole
 * UTF-8 characters, which may be none, since one character can take several tokens; 4,096 bytes are
 * plenty. REATTN_TIMEOUT: no event yet; the next call goes on at the same place. REATTN_END: DONE
 * was delivered, or an error ended the request. On REATTN_E_BUFFER the event is kept and delivered
 * by the next call. Every delivered token is in the session's cache before DONE, after a cancel
 * too. An error other than BUFFER, BUSY, ARG and HANDLE ends the request: input not yet read is
 * dropped, and the session stands at its last complete chunk, as its n_tokens says. One caller at a
 * time. Errors: BUFFER, BUSY (another call, or it is in a queue), OOM_HOST, OOM_DEVICE, DEVICE_LOST,
 * UNSUPPORTED (reattn_request_set_json_schema says when). Since 0.1. */
REATTN_API reattn_status reattn_request_next(reattn_request* request, int64_t timeout_ms,
                                             reattn_event* out_event, uint8_t* buf, uint64_t cap,
                                             uint64_t* needed, reattn_error** err);

/* Makes the running reattn_request_next, or the next one, return DONE with REATTN_DONE_CANCELLED
 * within 100 ms. In a queue DONE comes after the events that are ready, at the next border between
 * layers; of a request that generates, after the step its last token takes. Any thread, any time,
 * never BUSY. Since 0.1. */
REATTN_API reattn_status reattn_request_cancel(const reattn_request* request, reattn_error** err);

/* Logits after the last token that was read or generated; logits: [cap], n_vocab of them.
 * Any thread. Errors: ARG (there are none yet), BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_request_logits(const reattn_request* request, float* logits,
                                               uint64_t cap, uint64_t* needed, reattn_error** err);

/* A passage that was recalled. Its size is fixed for good: it comes in arrays. */
typedef struct reattn_span {
  int64_t begin; /* token positions [begin, end) */
  int64_t end;
  int64_t votes; /* that its anchors got */
} reattn_span;

enum {
  REATTN_RECALLED_LAST_STEP = 1, /* the last chunk read or token generated */
  REATTN_RECALLED_PROMPT = 2,    /* all chunks of the last append that was read */
  REATTN_RECALLED_ANSWER = 3     /* all tokens this request generated */
};

#define REATTN_ALL_LAYERS (-1)

/* Where from the model drew: the passages recalled in layer `layer` (0 ... n_layers - 1, or
 * REATTN_ALL_LAYERS for their sum) over `scope` (REATTN_RECALLED_*), most voted first, equal votes:
 * the earlier first. Passages that touch are one, with the sum of their votes. spans: [cap]. None
 * where nothing was recalled. Any thread. Errors: ARG, BUFFER. Since 0.1. */
REATTN_API reattn_status reattn_request_recalled(const reattn_request* request, int64_t layer,
                                                 int32_t scope, reattn_span* spans, uint64_t cap,
                                                 uint64_t* needed, reattn_error** err);

typedef struct reattn_request_stats {
  uint32_t struct_size;
  int32_t done;               /* 1: the request has ended */
  int64_t n_prefill_tokens;   /* tokens read */
  int64_t n_decode_tokens;    /* generated tokens that are in the session's cache */
  double prefill_seconds;     /* wall time inside reattn_request_next spent reading; in a queue: of
                                 the steps it had a part in, whole, as are the next */
  double decode_seconds;      /* likewise, generating */
  double first_token_seconds; /* from the first reattn_request_next, or the first reattn_queue_next
                                 with it in the queue, to the first token; 0 before */
} reattn_request_stats;

/* Any thread, also while reattn_request_next runs. Since 0.1. */
REATTN_API reattn_status reattn_request_get_stats(const reattn_request* request,
                                                  reattn_request_stats* out_stats,
                                                  reattn_error** err);

/* Any thread. A reattn_request_next that is running is cancelled and ends soon. The session stays
 * as it is; input not yet read is dropped. In a queue, which it leaves, no call that begins later
 * delivers anything of it. Since 0.1. */
REATTN_API void reattn_request_free(reattn_request* request);

/* ---- Queues: many requests at once --------------------------------------------------------- */

/* An empty queue for requests of sessions of this model. Pulling the requests out of it, rather than
 * each by itself, generates a token of each in one pass over the weights, which is what generating
 * costs most. The caller owns *out_queue, which keeps the model alive. Any thread. Errors: BUSY while
 * loading, what loading failed with, UNSUPPORTED (opened header_only). Since 0.1. */
REATTN_API reattn_status reattn_queue_create(const reattn_model* model, reattn_queue** out_queue,
                                             reattn_error** err);

/* From now on the request's events come out of reattn_queue_next with `tag`, any number that tells
 * the caller whose they are, and reattn_request_next gives REATTN_E_BUSY until its last event was
 * delivered. All else works as before: cancel, logits, recalled and statistics. The request stays the
 * caller's, and leaves the queue when it is freed. Its working memory is given to the queue, which
 * shares it between all requests of equal settings: add each request before the next one is created.
 * Any thread, also while reattn_queue_next runs, which takes it in after the step it is in.
 * Errors: ARG (a request of another model, or one that is in a queue, that was pulled before or has
 * ended), BUSY (the request is in another call), OOM_HOST, OOM_DEVICE. Since 0.1. */
REATTN_API reattn_status reattn_queue_add(reattn_queue* queue, reattn_request* request,
                                          uint64_t tag, reattn_error** err);

/* Works until the next event of any request, as reattn_request_next does for one. As long as
 * something is to be read, a step of one request's input, of each in its turn, alternates with one
 * token of every request that generates. Nothing runs between calls, nor ahead of the caller, but
 * that the events of requests that took a step together are delivered one by one.
 * REATTN_OK: an event of the request that was added with *out_tag. REATTN_TIMEOUT: none yet.
 * REATTN_END: no request is left; one may be added again. On REATTN_E_BUFFER the event is kept for
 * the next call.
 * When a request fails, it alone ends: the call gives the status and message that reattn_request_next
 * would have given, *out_tag is written all the same, and the next call goes on with the others. An
 * error that is no request's leaves *out_tag as it was.
 * A request gives the same as by itself, however many others there are, bit for bit on the CPU; on a
 * GPU, whose products round differently with the number of rows, as far as two nearly equal logits
 * allow, and with weights in FP8 and more than 8 together, whose activations are rounded too, as far
 * as that allows. Requests generate in one pass when their sessions have the same settings (max_tokens may
 * differ), on the CPU up to 15 of them, on a GPU up to 32; more take turns.
 * One caller at a time. Errors: BUFFER, BUSY (another call of it); of a request: OOM_HOST,
 * OOM_DEVICE, DEVICE_LOST, UNSUPPORTED, INTERNAL. Since 0.1. */
REATTN_API reattn_status reattn_queue_next(reattn_queue* queue, int64_t timeout_ms,
                                           uint64_t* out_tag, reattn_event* out_event, uint8_t* buf,
                                           uint64_t cap, uint64_t* needed, reattn_error** err);

/* Any thread. Requests in it that are not done end: reattn_request_next gives REATTN_END from then
 * on, input not yet read is dropped, and each session stands at its last complete chunk or token. A
 * reattn_queue_next that is running ends soon. Since 0.1. */
REATTN_API void reattn_queue_free(reattn_queue* queue);

#ifdef __cplusplus
}
#endif

#endif /* REATTN_REATTN_H */
