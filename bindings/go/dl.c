/* Made by internal/generate out of reattn.h: do not edit. */
#include "dl.h"

#include <dlfcn.h>

static struct {
  int32_t (*abi_version)(void);
  const char* (*version)(void);
  const char* (*status_name)(reattn_status);
  reattn_status (*log_next)(reattn_log_event*, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*error_code)(const reattn_error*);
  const char* (*error_message)(const reattn_error*);
  void (*error_free)(reattn_error*);
  reattn_status (*backend_load)(const uint8_t*, uint64_t, reattn_error**);
  reattn_status (*backend_diagnose)(uint8_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*device_count)(int32_t*, reattn_error**);
  reattn_status (*device_get_info)(int32_t, reattn_device_info*, reattn_error**);
  reattn_status (*model_options_init)(reattn_model_options*, size_t, reattn_error**);
  reattn_status (*model_open)(const uint8_t*, uint64_t, const reattn_model_options*, reattn_model**, reattn_error**);
  reattn_status (*model_synthesize)(const reattn_geometry*, const reattn_model_options*, reattn_model**, reattn_error**);
  reattn_status (*model_wait)(const reattn_model*, int64_t, reattn_load_progress*, reattn_error**);
  reattn_status (*model_cancel_load)(const reattn_model*, reattn_error**);
  reattn_status (*model_get_info)(const reattn_model*, reattn_model_info*, reattn_error**);
  reattn_status (*model_metadata)(const reattn_model*, int64_t, uint8_t*, uint64_t, uint64_t*, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  void (*model_free)(reattn_model*);
  reattn_status (*text_tokenize)(const reattn_model*, const uint8_t*, uint64_t, int32_t, int32_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*text_detokenize)(const reattn_model*, const int32_t*, uint64_t, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*chat_render)(const reattn_model*, const uint8_t*, uint64_t, int32_t, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*chat_tokenize)(const reattn_model*, const uint8_t*, uint64_t, int32_t, int32_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*session_options_init)(const reattn_model*, const reattn_cache*, reattn_session_options*, size_t, reattn_error**);
  reattn_status (*model_estimate)(const reattn_model*, const reattn_session_options*, int64_t, reattn_memory_plan*, reattn_error**);
  reattn_status (*session_create)(const reattn_model*, const reattn_cache*, const reattn_session_options*, reattn_session**, reattn_error**);
  reattn_status (*session_append_text)(reattn_session*, const uint8_t*, uint64_t, int32_t, reattn_error**);
  reattn_status (*session_append_ids)(reattn_session*, const int32_t*, uint64_t, int32_t, reattn_error**);
  reattn_status (*session_get_info)(const reattn_session*, reattn_session_info*, reattn_error**);
  reattn_status (*session_tokens)(const reattn_session*, int64_t, int64_t, int32_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*session_text)(const reattn_session*, int64_t, int64_t, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*session_logprobs)(const reattn_session*, int64_t, int64_t, float*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*session_truncate)(reattn_session*, int64_t, reattn_error**);
  reattn_status (*session_fork)(reattn_session*, reattn_session**, reattn_error**);
  void (*session_free)(reattn_session*);
  reattn_status (*cache_snapshot)(reattn_session*, reattn_cache**, reattn_error**);
  reattn_status (*cache_save)(const reattn_cache*, const uint8_t*, uint64_t, reattn_error**);
  reattn_status (*cache_open)(const reattn_model*, const uint8_t*, uint64_t, reattn_cache**, reattn_error**);
  reattn_status (*cache_get_info)(const reattn_cache*, reattn_cache_info*, reattn_error**);
  void (*cache_free)(reattn_cache*);
  reattn_status (*request_options_init)(reattn_request_options*, size_t, reattn_error**);
  reattn_status (*request_create)(reattn_session*, const reattn_request_options*, reattn_request**, reattn_error**);
  reattn_status (*request_add_stop)(reattn_request*, const uint8_t*, uint64_t, reattn_error**);
  reattn_status (*request_set_json_schema)(reattn_request*, const uint8_t*, uint64_t, reattn_error**);
  reattn_status (*request_next)(reattn_request*, int64_t, reattn_event*, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*request_cancel)(const reattn_request*, reattn_error**);
  reattn_status (*request_logits)(const reattn_request*, float*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*request_recalled)(const reattn_request*, int64_t, int32_t, reattn_span*, uint64_t, uint64_t*, reattn_error**);
  reattn_status (*request_get_stats)(const reattn_request*, reattn_request_stats*, reattn_error**);
  void (*request_free)(reattn_request*);
  reattn_status (*queue_create)(const reattn_model*, reattn_queue**, reattn_error**);
  reattn_status (*queue_add)(reattn_queue*, reattn_request*, uint64_t, reattn_error**);
  reattn_status (*queue_next)(reattn_queue*, int64_t, uint64_t*, reattn_event*, uint8_t*, uint64_t, uint64_t*, reattn_error**);
  void (*queue_free)(reattn_queue*);
} api;

static const char* const names[] = {
  "reattn_abi_version",
  "reattn_version",
  "reattn_status_name",
  "reattn_log_next",
  "reattn_error_code",
  "reattn_error_message",
  "reattn_error_free",
  "reattn_backend_load",
  "reattn_backend_diagnose",
  "reattn_device_count",
  "reattn_device_get_info",
  "reattn_model_options_init",
  "reattn_model_open",
  "reattn_model_synthesize",
  "reattn_model_wait",
  "reattn_model_cancel_load",
  "reattn_model_get_info",
  "reattn_model_metadata",
  "reattn_model_free",
  "reattn_text_tokenize",
  "reattn_text_detokenize",
  "reattn_chat_render",
  "reattn_chat_tokenize",
  "reattn_session_options_init",
  "reattn_model_estimate",
  "reattn_session_create",
  "reattn_session_append_text",
  "reattn_session_append_ids",
  "reattn_session_get_info",
  "reattn_session_tokens",
  "reattn_session_text",
  "reattn_session_logprobs",
  "reattn_session_truncate",
  "reattn_session_fork",
  "reattn_session_free",
  "reattn_cache_snapshot",
  "reattn_cache_save",
  "reattn_cache_open",
  "reattn_cache_get_info",
  "reattn_cache_free",
  "reattn_request_options_init",
  "reattn_request_create",
  "reattn_request_add_stop",
  "reattn_request_set_json_schema",
  "reattn_request_next",
  "reattn_request_cancel",
  "reattn_request_logits",
  "reattn_request_recalled",
  "reattn_request_get_stats",
  "reattn_request_free",
  "reattn_queue_create",
  "reattn_queue_add",
  "reattn_queue_next",
  "reattn_queue_free",
};

const char* dl_open(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  void** slot = (void**)&api;
  for (unsigned i = 0; i < sizeof names / sizeof *names; ++i) {
    slot[i] = dlsym(library, names[i]);
    if (!slot[i]) return dlerror();
  }
  return 0;
}

int32_t dl_abi_version(void) {
  return api.abi_version();
}

const char* dl_version(void) {
  return api.version();
}

const char* dl_status_name(reattn_status status) {
  return api.status_name(status);
}

reattn_status dl_log_next(reattn_log_event* out_event, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.log_next(out_event, buf, cap, needed, (reattn_error**)err);
}

reattn_status dl_error_code(uintptr_t error) {
  return api.error_code((const reattn_error*)error);
}

const char* dl_error_message(uintptr_t error) {
  return api.error_message((const reattn_error*)error);
}

void dl_error_free(uintptr_t error) {
  api.error_free((reattn_error*)error);
}

reattn_status dl_backend_load(const uint8_t* path, uint64_t path_bytes, uintptr_t* err) {
  return api.backend_load(path, path_bytes, (reattn_error**)err);
}

reattn_status dl_backend_diagnose(uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.backend_diagnose(buf, cap, needed, (reattn_error**)err);
}

reattn_status dl_device_count(int32_t* out_count, uintptr_t* err) {
  return api.device_count(out_count, (reattn_error**)err);
}

reattn_status dl_device_get_info(int32_t index, reattn_device_info* out_info, uintptr_t* err) {
  return api.device_get_info(index, out_info, (reattn_error**)err);
}

reattn_status dl_model_options_init(reattn_model_options* out_options, size_t size, uintptr_t* err) {
  return api.model_options_init(out_options, size, (reattn_error**)err);
}

reattn_status dl_model_open(const uint8_t* path, uint64_t path_bytes, const reattn_model_options* options, uintptr_t* out_model, uintptr_t* err) {
  return api.model_open(path, path_bytes, options, (reattn_model**)out_model, (reattn_error**)err);
}

reattn_status dl_model_synthesize(const reattn_geometry* geometry, const reattn_model_options* options, uintptr_t* out_model, uintptr_t* err) {
  return api.model_synthesize(geometry, options, (reattn_model**)out_model, (reattn_error**)err);
}

reattn_status dl_model_wait(uintptr_t model, int64_t timeout_ms, reattn_load_progress* out_progress, uintptr_t* err) {
  return api.model_wait((const reattn_model*)model, timeout_ms, out_progress, (reattn_error**)err);
}

reattn_status dl_model_cancel_load(uintptr_t model, uintptr_t* err) {
  return api.model_cancel_load((const reattn_model*)model, (reattn_error**)err);
}

reattn_status dl_model_get_info(uintptr_t model, reattn_model_info* out_info, uintptr_t* err) {
  return api.model_get_info((const reattn_model*)model, out_info, (reattn_error**)err);
}

reattn_status dl_model_metadata(uintptr_t model, int64_t index, uint8_t* key, uint64_t key_cap, uint64_t* key_needed, uint8_t* value, uint64_t value_cap, uint64_t* value_needed, uintptr_t* err) {
  return api.model_metadata((const reattn_model*)model, index, key, key_cap, key_needed, value, value_cap, value_needed, (reattn_error**)err);
}

void dl_model_free(uintptr_t model) {
  api.model_free((reattn_model*)model);
}

reattn_status dl_text_tokenize(uintptr_t model, const uint8_t* text, uint64_t text_bytes, int32_t parse_special, int32_t* ids, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.text_tokenize((const reattn_model*)model, text, text_bytes, parse_special, ids, cap, needed, (reattn_error**)err);
}

reattn_status dl_text_detokenize(uintptr_t model, const int32_t* ids, uint64_t n_ids, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.text_detokenize((const reattn_model*)model, ids, n_ids, buf, cap, needed, (reattn_error**)err);
}

reattn_status dl_chat_render(uintptr_t model, const uint8_t* messages, uint64_t messages_bytes, int32_t add_generation_prompt, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.chat_render((const reattn_model*)model, messages, messages_bytes, add_generation_prompt, buf, cap, needed, (reattn_error**)err);
}

reattn_status dl_chat_tokenize(uintptr_t model, const uint8_t* messages, uint64_t messages_bytes, int32_t add_generation_prompt, int32_t* ids, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.chat_tokenize((const reattn_model*)model, messages, messages_bytes, add_generation_prompt, ids, cap, needed, (reattn_error**)err);
}

reattn_status dl_session_options_init(uintptr_t model, uintptr_t cache, reattn_session_options* out_options, size_t size, uintptr_t* err) {
  return api.session_options_init((const reattn_model*)model, (const reattn_cache*)cache, out_options, size, (reattn_error**)err);
}

reattn_status dl_model_estimate(uintptr_t model, const reattn_session_options* options, int64_t n_tokens, reattn_memory_plan* out_plan, uintptr_t* err) {
  return api.model_estimate((const reattn_model*)model, options, n_tokens, out_plan, (reattn_error**)err);
}

reattn_status dl_session_create(uintptr_t model, uintptr_t cache, const reattn_session_options* options, uintptr_t* out_session, uintptr_t* err) {
  return api.session_create((const reattn_model*)model, (const reattn_cache*)cache, options, (reattn_session**)out_session, (reattn_error**)err);
}

reattn_status dl_session_append_text(uintptr_t session, const uint8_t* text, uint64_t text_bytes, int32_t flags, uintptr_t* err) {
  return api.session_append_text((reattn_session*)session, text, text_bytes, flags, (reattn_error**)err);
}

reattn_status dl_session_append_ids(uintptr_t session, const int32_t* ids, uint64_t n_ids, int32_t flags, uintptr_t* err) {
  return api.session_append_ids((reattn_session*)session, ids, n_ids, flags, (reattn_error**)err);
}

reattn_status dl_session_get_info(uintptr_t session, reattn_session_info* out_info, uintptr_t* err) {
  return api.session_get_info((const reattn_session*)session, out_info, (reattn_error**)err);
}

reattn_status dl_session_tokens(uintptr_t session, int64_t begin, int64_t end, int32_t* ids, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.session_tokens((const reattn_session*)session, begin, end, ids, cap, needed, (reattn_error**)err);
}

reattn_status dl_session_text(uintptr_t session, int64_t begin, int64_t end, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.session_text((const reattn_session*)session, begin, end, buf, cap, needed, (reattn_error**)err);
}

reattn_status dl_session_logprobs(uintptr_t session, int64_t begin, int64_t end, float* logprobs, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.session_logprobs((const reattn_session*)session, begin, end, logprobs, cap, needed, (reattn_error**)err);
}

reattn_status dl_session_truncate(uintptr_t session, int64_t n_tokens, uintptr_t* err) {
  return api.session_truncate((reattn_session*)session, n_tokens, (reattn_error**)err);
}

reattn_status dl_session_fork(uintptr_t session, uintptr_t* out_session, uintptr_t* err) {
  return api.session_fork((reattn_session*)session, (reattn_session**)out_session, (reattn_error**)err);
}

void dl_session_free(uintptr_t session) {
  api.session_free((reattn_session*)session);
}

reattn_status dl_cache_snapshot(uintptr_t session, uintptr_t* out_cache, uintptr_t* err) {
  return api.cache_snapshot((reattn_session*)session, (reattn_cache**)out_cache, (reattn_error**)err);
}

reattn_status dl_cache_save(uintptr_t cache, const uint8_t* path, uint64_t path_bytes, uintptr_t* err) {
  return api.cache_save((const reattn_cache*)cache, path, path_bytes, (reattn_error**)err);
}

reattn_status dl_cache_open(uintptr_t model, const uint8_t* path, uint64_t path_bytes, uintptr_t* out_cache, uintptr_t* err) {
  return api.cache_open((const reattn_model*)model, path, path_bytes, (reattn_cache**)out_cache, (reattn_error**)err);
}

reattn_status dl_cache_get_info(uintptr_t cache, reattn_cache_info* out_info, uintptr_t* err) {
  return api.cache_get_info((const reattn_cache*)cache, out_info, (reattn_error**)err);
}

void dl_cache_free(uintptr_t cache) {
  api.cache_free((reattn_cache*)cache);
}

reattn_status dl_request_options_init(reattn_request_options* out_options, size_t size, uintptr_t* err) {
  return api.request_options_init(out_options, size, (reattn_error**)err);
}

reattn_status dl_request_create(uintptr_t session, const reattn_request_options* options, uintptr_t* out_request, uintptr_t* err) {
  return api.request_create((reattn_session*)session, options, (reattn_request**)out_request, (reattn_error**)err);
}

reattn_status dl_request_add_stop(uintptr_t request, const uint8_t* text, uint64_t text_bytes, uintptr_t* err) {
  return api.request_add_stop((reattn_request*)request, text, text_bytes, (reattn_error**)err);
}

reattn_status dl_request_set_json_schema(uintptr_t request, const uint8_t* schema, uint64_t schema_bytes, uintptr_t* err) {
  return api.request_set_json_schema((reattn_request*)request, schema, schema_bytes, (reattn_error**)err);
}

reattn_status dl_request_next(uintptr_t request, int64_t timeout_ms, reattn_event* out_event, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.request_next((reattn_request*)request, timeout_ms, out_event, buf, cap, needed, (reattn_error**)err);
}

reattn_status dl_request_cancel(uintptr_t request, uintptr_t* err) {
  return api.request_cancel((const reattn_request*)request, (reattn_error**)err);
}

reattn_status dl_request_logits(uintptr_t request, float* logits, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.request_logits((const reattn_request*)request, logits, cap, needed, (reattn_error**)err);
}

reattn_status dl_request_recalled(uintptr_t request, int64_t layer, int32_t scope, reattn_span* spans, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.request_recalled((const reattn_request*)request, layer, scope, spans, cap, needed, (reattn_error**)err);
}

reattn_status dl_request_get_stats(uintptr_t request, reattn_request_stats* out_stats, uintptr_t* err) {
  return api.request_get_stats((const reattn_request*)request, out_stats, (reattn_error**)err);
}

void dl_request_free(uintptr_t request) {
  api.request_free((reattn_request*)request);
}

reattn_status dl_queue_create(uintptr_t model, uintptr_t* out_queue, uintptr_t* err) {
  return api.queue_create((const reattn_model*)model, (reattn_queue**)out_queue, (reattn_error**)err);
}

reattn_status dl_queue_add(uintptr_t queue, uintptr_t request, uint64_t tag, uintptr_t* err) {
  return api.queue_add((reattn_queue*)queue, (reattn_request*)request, tag, (reattn_error**)err);
}

reattn_status dl_queue_next(uintptr_t queue, int64_t timeout_ms, uint64_t* out_tag, reattn_event* out_event, uint8_t* buf, uint64_t cap, uint64_t* needed, uintptr_t* err) {
  return api.queue_next((reattn_queue*)queue, timeout_ms, out_tag, out_event, buf, cap, needed, (reattn_error**)err);
}

void dl_queue_free(uintptr_t queue) {
  api.queue_free((reattn_queue*)queue);
}
