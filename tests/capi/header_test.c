/* reattn.h as C99 without extensions, alone and twice, and the layout that bindings rely on. */
#include "reattn/reattn.h"

#include "reattn/reattn.h"

#define CHECK(name, condition) typedef char check_##name[(condition) ? 1 : -1]
/* Fields follow each other without holes: `field` begins where the one before it ended. */
#define FIELD(type, field, offset, size)                             \
  CHECK(offset_##type##_##field, offsetof(type, field) == (offset)); \
  CHECK(size_##type##_##field, sizeof(((type*)0)->field) == (size))
#define STRUCT(type, size)                    \
  CHECK(size_##type, sizeof(type) == (size)); \
  FIELD(type, struct_size, 0, 4)

STRUCT(reattn_log_event, 16);
FIELD(reattn_log_event, text_bytes, 4, 4);
FIELD(reattn_log_event, sequence, 8, 8);

STRUCT(reattn_device_info, 160);
FIELD(reattn_device_info, kind, 4, 4);
FIELD(reattn_device_info, memory_total, 8, 8);
FIELD(reattn_device_info, memory_free, 16, 8);
FIELD(reattn_device_info, n_threads, 24, 4);
FIELD(reattn_device_info, index, 28, 4);
FIELD(reattn_device_info, name, 32, 96);
FIELD(reattn_device_info, instructions, 128, 32);

STRUCT(reattn_geometry, 88);
FIELD(reattn_geometry, tied_embeddings, 4, 4);
FIELD(reattn_geometry, n_layers, 8, 8);
FIELD(reattn_geometry, n_embd, 16, 8);
FIELD(reattn_geometry, n_heads, 24, 8);
FIELD(reattn_geometry, n_kv_heads, 32, 8);
FIELD(reattn_geometry, head_dim, 40, 8);
FIELD(reattn_geometry, n_ff, 48, 8);
FIELD(reattn_geometry, n_vocab, 56, 8);
FIELD(reattn_geometry, n_window, 64, 8);
FIELD(reattn_geometry, rope_freq_base, 72, 8);
FIELD(reattn_geometry, seed, 80, 8);
STRUCT(reattn_model_options, 24);
FIELD(reattn_model_options, device, 4, 4);
FIELD(reattn_model_options, n_threads, 8, 4);
FIELD(reattn_model_options, header_only, 12, 4);
FIELD(reattn_model_options, device_index, 16, 4);
FIELD(reattn_model_options, weights, 20, 4);

CHECK(weight_types, REATTN_WEIGHTS_AUTO == 0 && REATTN_WEIGHTS_FP8 == 1);

STRUCT(reattn_load_progress, 24);
FIELD(reattn_load_progress, finished, 4, 4);
FIELD(reattn_load_progress, bytes_done, 8, 8);
FIELD(reattn_load_progress, bytes_total, 16, 8);

STRUCT(reattn_model_info, 168);
FIELD(reattn_model_info, device, 4, 4);
FIELD(reattn_model_info, n_layers, 8, 8);
FIELD(reattn_model_info, n_embd, 16, 8);
FIELD(reattn_model_info, n_heads, 24, 8);
FIELD(reattn_model_info, n_kv_heads, 32, 8);
FIELD(reattn_model_info, head_dim, 40, 8);
FIELD(reattn_model_info, n_ff, 48, 8);
FIELD(reattn_model_info, n_vocab, 56, 8);
FIELD(reattn_model_info, n_window, 64, 8);
FIELD(reattn_model_info, n_metadata, 72, 8);
FIELD(reattn_model_info, weights_bytes, 80, 8);
FIELD(reattn_model_info, model_fingerprint, 88, 8);
FIELD(reattn_model_info, tokenizer_fingerprint, 96, 8);
FIELD(reattn_model_info, rope_freq_base, 104, 8);
FIELD(reattn_model_info, norm_eps, 112, 8);
FIELD(reattn_model_info, bos_token, 120, 4);
FIELD(reattn_model_info, eos_token, 124, 4);
FIELD(reattn_model_info, eot_token, 128, 4);
FIELD(reattn_model_info, unk_token, 132, 4);
FIELD(reattn_model_info, pad_token, 136, 4);
FIELD(reattn_model_info, add_bos, 140, 4);
FIELD(reattn_model_info, add_eos, 144, 4);
FIELD(reattn_model_info, has_chat_template, 148, 4);
FIELD(reattn_model_info, tied_embeddings, 152, 4);
FIELD(reattn_model_info, header_only, 156, 4);
FIELD(reattn_model_info, weights, 160, 4);
FIELD(reattn_model_info, reserved, 164, 4);

STRUCT(reattn_session_options, 64);
FIELD(reattn_session_options, selection, 4, 4);
FIELD(reattn_session_options, n_global, 8, 8);
FIELD(reattn_session_options, n_local, 16, 8);
FIELD(reattn_session_options, top_k, 24, 4);
FIELD(reattn_session_options, span, 28, 4);
FIELD(reattn_session_options, n_anchors, 32, 4);
FIELD(reattn_session_options, chunk, 36, 4);
FIELD(reattn_session_options, vote_stride, 40, 4);
FIELD(reattn_session_options, kv_dtype, 44, 4);
FIELD(reattn_session_options, max_tokens, 48, 8);
FIELD(reattn_session_options, scoring, 56, 4);
FIELD(reattn_session_options, reserved, 60, 4);

CHECK(kv_types,
      REATTN_KV_F32 == 0 && REATTN_KV_F16 == 1 && REATTN_KV_BF16 == 2 && REATTN_KV_INT8 == 3);
CHECK(scorings, REATTN_SCORING_NATIVE == 0 && REATTN_SCORING_INT8 == 1);

STRUCT(reattn_memory_plan, 48);
FIELD(reattn_memory_plan, fits, 4, 4);
FIELD(reattn_memory_plan, weights_bytes, 8, 8);
FIELD(reattn_memory_plan, kv_bytes, 16, 8);
FIELD(reattn_memory_plan, working_bytes, 24, 8);
FIELD(reattn_memory_plan, total_bytes, 32, 8);
FIELD(reattn_memory_plan, memory_free, 40, 8);

STRUCT(reattn_session_info, 48);
FIELD(reattn_session_info, page_tokens, 4, 4);
FIELD(reattn_session_info, n_tokens, 8, 8);
FIELD(reattn_session_info, n_pending, 16, 8);
FIELD(reattn_session_info, kv_bytes, 24, 8);
FIELD(reattn_session_info, n_pages, 32, 8);
FIELD(reattn_session_info, n_shared_pages, 40, 8);

STRUCT(reattn_cache_info, 40);
FIELD(reattn_cache_info, has_logits, 4, 4);
FIELD(reattn_cache_info, n_tokens, 8, 8);
FIELD(reattn_cache_info, kv_bytes, 16, 8);
FIELD(reattn_cache_info, model_fingerprint, 24, 8);
FIELD(reattn_cache_info, tokenizer_fingerprint, 32, 8);

STRUCT(reattn_request_options, 48);
FIELD(reattn_request_options, ignore_end, 4, 4);
FIELD(reattn_request_options, max_tokens, 8, 8);
FIELD(reattn_request_options, temperature, 16, 4);
FIELD(reattn_request_options, top_k, 20, 4);
FIELD(reattn_request_options, top_p, 24, 4);
FIELD(reattn_request_options, min_p, 28, 4);
FIELD(reattn_request_options, seed, 32, 8);
FIELD(reattn_request_options, repetition_penalty, 40, 4);
FIELD(reattn_request_options, repetition_window, 44, 4);

STRUCT(reattn_event, 40);
FIELD(reattn_event, kind, 4, 4);
FIELD(reattn_event, n_done, 8, 8);
FIELD(reattn_event, n_total, 16, 8);
FIELD(reattn_event, token, 24, 4);
FIELD(reattn_event, logprob, 28, 4);
FIELD(reattn_event, reason, 32, 4);
FIELD(reattn_event, text_bytes, 36, 4);

CHECK(size_reattn_span, sizeof(reattn_span) == 24);
FIELD(reattn_span, begin, 0, 8);
FIELD(reattn_span, end, 8, 8);
FIELD(reattn_span, votes, 16, 8);

STRUCT(reattn_request_stats, 48);
FIELD(reattn_request_stats, done, 4, 4);
FIELD(reattn_request_stats, n_prefill_tokens, 8, 8);
FIELD(reattn_request_stats, n_decode_tokens, 16, 8);
FIELD(reattn_request_stats, prefill_seconds, 24, 8);
FIELD(reattn_request_stats, decode_seconds, 32, 8);
FIELD(reattn_request_stats, first_token_seconds, 40, 8);

int main(void) {
  /* The library that was linked is the one this header describes. */
  return reattn_abi_version() == REATTN_ABI_VERSION ? 0 : 1;
}
