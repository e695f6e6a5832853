// Made by loaded.py out of bindings.rs: do not edit.
use super::load::api;
use super::*;

pub(crate) struct Api {
    reattn_abi_version: unsafe extern "C" fn() -> i32,
    reattn_version: unsafe extern "C" fn() -> *const ::core::ffi::c_char,
    reattn_status_name: unsafe extern "C" fn(status: reattn_status) -> *const ::core::ffi::c_char,
    reattn_log_next: unsafe extern "C" fn(out_event: *mut reattn_log_event, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_error_code: unsafe extern "C" fn(error: *const reattn_error) -> reattn_status,
    reattn_error_message: unsafe extern "C" fn(error: *const reattn_error) -> *const ::core::ffi::c_char,
    reattn_error_free: unsafe extern "C" fn(error: *mut reattn_error),
    reattn_backend_load: unsafe extern "C" fn(path: *const u8, path_bytes: u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_backend_diagnose: unsafe extern "C" fn(buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_device_count: unsafe extern "C" fn(out_count: *mut i32, err: *mut *mut reattn_error) -> reattn_status,
    reattn_device_get_info: unsafe extern "C" fn(index: i32, out_info: *mut reattn_device_info, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_options_init: unsafe extern "C" fn(out_options: *mut reattn_model_options, size: usize, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_open: unsafe extern "C" fn(path: *const u8, path_bytes: u64, options: *const reattn_model_options, out_model: *mut *mut reattn_model, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_synthesize: unsafe extern "C" fn(geometry: *const reattn_geometry, options: *const reattn_model_options, out_model: *mut *mut reattn_model, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_wait: unsafe extern "C" fn(model: *const reattn_model, timeout_ms: i64, out_progress: *mut reattn_load_progress, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_cancel_load: unsafe extern "C" fn(model: *const reattn_model, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_get_info: unsafe extern "C" fn(model: *const reattn_model, out_info: *mut reattn_model_info, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_metadata: unsafe extern "C" fn(model: *const reattn_model, index: i64, key: *mut u8, key_cap: u64, key_needed: *mut u64, value: *mut u8, value_cap: u64, value_needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_free: unsafe extern "C" fn(model: *mut reattn_model),
    reattn_text_tokenize: unsafe extern "C" fn(model: *const reattn_model, text: *const u8, text_bytes: u64, parse_special: i32, ids: *mut i32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_text_detokenize: unsafe extern "C" fn(model: *const reattn_model, ids: *const i32, n_ids: u64, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_chat_render: unsafe extern "C" fn(model: *const reattn_model, messages: *const u8, messages_bytes: u64, add_generation_prompt: i32, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_chat_tokenize: unsafe extern "C" fn(model: *const reattn_model, messages: *const u8, messages_bytes: u64, add_generation_prompt: i32, ids: *mut i32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_options_init: unsafe extern "C" fn(model: *const reattn_model, cache: *const reattn_cache, out_options: *mut reattn_session_options, size: usize, err: *mut *mut reattn_error) -> reattn_status,
    reattn_model_estimate: unsafe extern "C" fn(model: *const reattn_model, options: *const reattn_session_options, n_tokens: i64, out_plan: *mut reattn_memory_plan, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_create: unsafe extern "C" fn(model: *const reattn_model, cache: *const reattn_cache, options: *const reattn_session_options, out_session: *mut *mut reattn_session, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_append_text: unsafe extern "C" fn(session: *mut reattn_session, text: *const u8, text_bytes: u64, flags: i32, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_append_ids: unsafe extern "C" fn(session: *mut reattn_session, ids: *const i32, n_ids: u64, flags: i32, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_get_info: unsafe extern "C" fn(session: *const reattn_session, out_info: *mut reattn_session_info, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_tokens: unsafe extern "C" fn(session: *const reattn_session, begin: i64, end: i64, ids: *mut i32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_text: unsafe extern "C" fn(session: *const reattn_session, begin: i64, end: i64, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_logprobs: unsafe extern "C" fn(session: *const reattn_session, begin: i64, end: i64, logprobs: *mut f32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_truncate: unsafe extern "C" fn(session: *mut reattn_session, n_tokens: i64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_fork: unsafe extern "C" fn(session: *mut reattn_session, out_session: *mut *mut reattn_session, err: *mut *mut reattn_error) -> reattn_status,
    reattn_session_free: unsafe extern "C" fn(session: *mut reattn_session),
    reattn_cache_snapshot: unsafe extern "C" fn(session: *mut reattn_session, out_cache: *mut *mut reattn_cache, err: *mut *mut reattn_error) -> reattn_status,
    reattn_cache_save: unsafe extern "C" fn(cache: *const reattn_cache, path: *const u8, path_bytes: u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_cache_open: unsafe extern "C" fn(model: *const reattn_model, path: *const u8, path_bytes: u64, out_cache: *mut *mut reattn_cache, err: *mut *mut reattn_error) -> reattn_status,
    reattn_cache_get_info: unsafe extern "C" fn(cache: *const reattn_cache, out_info: *mut reattn_cache_info, err: *mut *mut reattn_error) -> reattn_status,
    reattn_cache_free: unsafe extern "C" fn(cache: *mut reattn_cache),
    reattn_request_options_init: unsafe extern "C" fn(out_options: *mut reattn_request_options, size: usize, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_create: unsafe extern "C" fn(session: *mut reattn_session, options: *const reattn_request_options, out_request: *mut *mut reattn_request, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_add_stop: unsafe extern "C" fn(request: *mut reattn_request, text: *const u8, text_bytes: u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_set_json_schema: unsafe extern "C" fn(request: *mut reattn_request, schema: *const u8, schema_bytes: u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_next: unsafe extern "C" fn(request: *mut reattn_request, timeout_ms: i64, out_event: *mut reattn_event, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_cancel: unsafe extern "C" fn(request: *const reattn_request, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_logits: unsafe extern "C" fn(request: *const reattn_request, logits: *mut f32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_recalled: unsafe extern "C" fn(request: *const reattn_request, layer: i64, scope: i32, spans: *mut reattn_span, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_get_stats: unsafe extern "C" fn(request: *const reattn_request, out_stats: *mut reattn_request_stats, err: *mut *mut reattn_error) -> reattn_status,
    reattn_request_free: unsafe extern "C" fn(request: *mut reattn_request),
    reattn_queue_create: unsafe extern "C" fn(model: *const reattn_model, out_queue: *mut *mut reattn_queue, err: *mut *mut reattn_error) -> reattn_status,
    reattn_queue_add: unsafe extern "C" fn(queue: *mut reattn_queue, request: *mut reattn_request, tag: u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_queue_next: unsafe extern "C" fn(queue: *mut reattn_queue, timeout_ms: i64, out_tag: *mut u64, out_event: *mut reattn_event, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status,
    reattn_queue_free: unsafe extern "C" fn(queue: *mut reattn_queue),
}

impl Api {
    /// `get` finds the address of a function.
    pub(crate) unsafe fn new<E>(get: impl Fn(&str) -> Result<*const (), E>) -> Result<Api, E> {
        Ok(Api {
            reattn_abi_version: core::mem::transmute::<*const (), _>(get("reattn_abi_version")?),
            reattn_version: core::mem::transmute::<*const (), _>(get("reattn_version")?),
            reattn_status_name: core::mem::transmute::<*const (), _>(get("reattn_status_name")?),
            reattn_log_next: core::mem::transmute::<*const (), _>(get("reattn_log_next")?),
            reattn_error_code: core::mem::transmute::<*const (), _>(get("reattn_error_code")?),
            reattn_error_message: core::mem::transmute::<*const (), _>(get("reattn_error_message")?),
            reattn_error_free: core::mem::transmute::<*const (), _>(get("reattn_error_free")?),
            reattn_backend_load: core::mem::transmute::<*const (), _>(get("reattn_backend_load")?),
            reattn_backend_diagnose: core::mem::transmute::<*const (), _>(get("reattn_backend_diagnose")?),
            reattn_device_count: core::mem::transmute::<*const (), _>(get("reattn_device_count")?),
            reattn_device_get_info: core::mem::transmute::<*const (), _>(get("reattn_device_get_info")?),
            reattn_model_options_init: core::mem::transmute::<*const (), _>(get("reattn_model_options_init")?),
            reattn_model_open: core::mem::transmute::<*const (), _>(get("reattn_model_open")?),
            reattn_model_synthesize: core::mem::transmute::<*const (), _>(get("reattn_model_synthesize")?),
            reattn_model_wait: core::mem::transmute::<*const (), _>(get("reattn_model_wait")?),
            reattn_model_cancel_load: core::mem::transmute::<*const (), _>(get("reattn_model_cancel_load")?),
            reattn_model_get_info: core::mem::transmute::<*const (), _>(get("reattn_model_get_info")?),
            reattn_model_metadata: core::mem::transmute::<*const (), _>(get("reattn_model_metadata")?),
            reattn_model_free: core::mem::transmute::<*const (), _>(get("reattn_model_free")?),
            reattn_text_tokenize: core::mem::transmute::<*const (), _>(get("reattn_text_tokenize")?),
            reattn_text_detokenize: core::mem::transmute::<*const (), _>(get("reattn_text_detokenize")?),
            reattn_chat_render: core::mem::transmute::<*const (), _>(get("reattn_chat_render")?),
            reattn_chat_tokenize: core::mem::transmute::<*const (), _>(get("reattn_chat_tokenize")?),
            reattn_session_options_init: core::mem::transmute::<*const (), _>(get("reattn_session_options_init")?),
            reattn_model_estimate: core::mem::transmute::<*const (), _>(get("reattn_model_estimate")?),
            reattn_session_create: core::mem::transmute::<*const (), _>(get("reattn_session_create")?),
            reattn_session_append_text: core::mem::transmute::<*const (), _>(get("reattn_session_append_text")?),
            reattn_session_append_ids: core::mem::transmute::<*const (), _>(get("reattn_session_append_ids")?),
            reattn_session_get_info: core::mem::transmute::<*const (), _>(get("reattn_session_get_info")?),
            reattn_session_tokens: core::mem::transmute::<*const (), _>(get("reattn_session_tokens")?),
            reattn_session_text: core::mem::transmute::<*const (), _>(get("reattn_session_text")?),
            reattn_session_logprobs: core::mem::transmute::<*const (), _>(get("reattn_session_logprobs")?),
            reattn_session_truncate: core::mem::transmute::<*const (), _>(get("reattn_session_truncate")?),
            reattn_session_fork: core::mem::transmute::<*const (), _>(get("reattn_session_fork")?),
            reattn_session_free: core::mem::transmute::<*const (), _>(get("reattn_session_free")?),
            reattn_cache_snapshot: core::mem::transmute::<*const (), _>(get("reattn_cache_snapshot")?),
            reattn_cache_save: core::mem::transmute::<*const (), _>(get("reattn_cache_save")?),
            reattn_cache_open: core::mem::transmute::<*const (), _>(get("reattn_cache_open")?),
            reattn_cache_get_info: core::mem::transmute::<*const (), _>(get("reattn_cache_get_info")?),
            reattn_cache_free: core::mem::transmute::<*const (), _>(get("reattn_cache_free")?),
            reattn_request_options_init: core::mem::transmute::<*const (), _>(get("reattn_request_options_init")?),
            reattn_request_create: core::mem::transmute::<*const (), _>(get("reattn_request_create")?),
            reattn_request_add_stop: core::mem::transmute::<*const (), _>(get("reattn_request_add_stop")?),
            reattn_request_set_json_schema: core::mem::transmute::<*const (), _>(get("reattn_request_set_json_schema")?),
            reattn_request_next: core::mem::transmute::<*const (), _>(get("reattn_request_next")?),
            reattn_request_cancel: core::mem::transmute::<*const (), _>(get("reattn_request_cancel")?),
            reattn_request_logits: core::mem::transmute::<*const (), _>(get("reattn_request_logits")?),
            reattn_request_recalled: core::mem::transmute::<*const (), _>(get("reattn_request_recalled")?),
            reattn_request_get_stats: core::mem::transmute::<*const (), _>(get("reattn_request_get_stats")?),
            reattn_request_free: core::mem::transmute::<*const (), _>(get("reattn_request_free")?),
            reattn_queue_create: core::mem::transmute::<*const (), _>(get("reattn_queue_create")?),
            reattn_queue_add: core::mem::transmute::<*const (), _>(get("reattn_queue_add")?),
            reattn_queue_next: core::mem::transmute::<*const (), _>(get("reattn_queue_next")?),
            reattn_queue_free: core::mem::transmute::<*const (), _>(get("reattn_queue_free")?),
        })
    }
}

/// `reattn_abi_version` of the library that was loaded.
pub unsafe fn reattn_abi_version() -> i32 { (api().reattn_abi_version)() }
/// `reattn_version` of the library that was loaded.
pub unsafe fn reattn_version() -> *const ::core::ffi::c_char { (api().reattn_version)() }
/// `reattn_status_name` of the library that was loaded.
pub unsafe fn reattn_status_name(status: reattn_status) -> *const ::core::ffi::c_char { (api().reattn_status_name)(status) }
/// `reattn_log_next` of the library that was loaded.
pub unsafe fn reattn_log_next(out_event: *mut reattn_log_event, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_log_next)(out_event, buf, cap, needed, err) }
/// `reattn_error_code` of the library that was loaded.
pub unsafe fn reattn_error_code(error: *const reattn_error) -> reattn_status { (api().reattn_error_code)(error) }
/// `reattn_error_message` of the library that was loaded.
pub unsafe fn reattn_error_message(error: *const reattn_error) -> *const ::core::ffi::c_char { (api().reattn_error_message)(error) }
/// `reattn_error_free` of the library that was loaded.
pub unsafe fn reattn_error_free(error: *mut reattn_error) { (api().reattn_error_free)(error) }
/// `reattn_backend_load` of the library that was loaded.
pub unsafe fn reattn_backend_load(path: *const u8, path_bytes: u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_backend_load)(path, path_bytes, err) }
/// `reattn_backend_diagnose` of the library that was loaded.
pub unsafe fn reattn_backend_diagnose(buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_backend_diagnose)(buf, cap, needed, err) }
/// `reattn_device_count` of the library that was loaded.
pub unsafe fn reattn_device_count(out_count: *mut i32, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_device_count)(out_count, err) }
/// `reattn_device_get_info` of the library that was loaded.
pub unsafe fn reattn_device_get_info(index: i32, out_info: *mut reattn_device_info, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_device_get_info)(index, out_info, err) }
/// `reattn_model_options_init` of the library that was loaded.
pub unsafe fn reattn_model_options_init(out_options: *mut reattn_model_options, size: usize, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_options_init)(out_options, size, err) }
/// `reattn_model_open` of the library that was loaded.
pub unsafe fn reattn_model_open(path: *const u8, path_bytes: u64, options: *const reattn_model_options, out_model: *mut *mut reattn_model, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_open)(path, path_bytes, options, out_model, err) }
/// `reattn_model_synthesize` of the library that was loaded.
pub unsafe fn reattn_model_synthesize(geometry: *const reattn_geometry, options: *const reattn_model_options, out_model: *mut *mut reattn_model, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_synthesize)(geometry, options, out_model, err) }
/// `reattn_model_wait` of the library that was loaded.
pub unsafe fn reattn_model_wait(model: *const reattn_model, timeout_ms: i64, out_progress: *mut reattn_load_progress, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_wait)(model, timeout_ms, out_progress, err) }
/// `reattn_model_cancel_load` of the library that was loaded.
pub unsafe fn reattn_model_cancel_load(model: *const reattn_model, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_cancel_load)(model, err) }
/// `reattn_model_get_info` of the library that was loaded.
pub unsafe fn reattn_model_get_info(model: *const reattn_model, out_info: *mut reattn_model_info, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_get_info)(model, out_info, err) }
/// `reattn_model_metadata` of the library that was loaded.
pub unsafe fn reattn_model_metadata(model: *const reattn_model, index: i64, key: *mut u8, key_cap: u64, key_needed: *mut u64, value: *mut u8, value_cap: u64, value_needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_metadata)(model, index, key, key_cap, key_needed, value, value_cap, value_needed, err) }
/// `reattn_model_free` of the library that was loaded.
pub unsafe fn reattn_model_free(model: *mut reattn_model) { (api().reattn_model_free)(model) }
/// `reattn_text_tokenize` of the library that was loaded.
pub unsafe fn reattn_text_tokenize(model: *const reattn_model, text: *const u8, text_bytes: u64, parse_special: i32, ids: *mut i32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_text_tokenize)(model, text, text_bytes, parse_special, ids, cap, needed, err) }
/// `reattn_text_detokenize` of the library that was loaded.
pub unsafe fn reattn_text_detokenize(model: *const reattn_model, ids: *const i32, n_ids: u64, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_text_detokenize)(model, ids, n_ids, buf, cap, needed, err) }
/// `reattn_chat_render` of the library that was loaded.
pub unsafe fn reattn_chat_render(model: *const reattn_model, messages: *const u8, messages_bytes: u64, add_generation_prompt: i32, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_chat_render)(model, messages, messages_bytes, add_generation_prompt, buf, cap, needed, err) }
/// `reattn_chat_tokenize` of the library that was loaded.
pub unsafe fn reattn_chat_tokenize(model: *const reattn_model, messages: *const u8, messages_bytes: u64, add_generation_prompt: i32, ids: *mut i32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_chat_tokenize)(model, messages, messages_bytes, add_generation_prompt, ids, cap, needed, err) }
/// `reattn_session_options_init` of the library that was loaded.
pub unsafe fn reattn_session_options_init(model: *const reattn_model, cache: *const reattn_cache, out_options: *mut reattn_session_options, size: usize, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_options_init)(model, cache, out_options, size, err) }
/// `reattn_model_estimate` of the library that was loaded.
pub unsafe fn reattn_model_estimate(model: *const reattn_model, options: *const reattn_session_options, n_tokens: i64, out_plan: *mut reattn_memory_plan, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_model_estimate)(model, options, n_tokens, out_plan, err) }
/// `reattn_session_create` of the library that was loaded.
pub unsafe fn reattn_session_create(model: *const reattn_model, cache: *const reattn_cache, options: *const reattn_session_options, out_session: *mut *mut reattn_session, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_create)(model, cache, options, out_session, err) }
/// `reattn_session_append_text` of the library that was loaded.
pub unsafe fn reattn_session_append_text(session: *mut reattn_session, text: *const u8, text_bytes: u64, flags: i32, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_append_text)(session, text, text_bytes, flags, err) }
/// `reattn_session_append_ids` of the library that was loaded.
pub unsafe fn reattn_session_append_ids(session: *mut reattn_session, ids: *const i32, n_ids: u64, flags: i32, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_append_ids)(session, ids, n_ids, flags, err) }
/// `reattn_session_get_info` of the library that was loaded.
pub unsafe fn reattn_session_get_info(session: *const reattn_session, out_info: *mut reattn_session_info, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_get_info)(session, out_info, err) }
/// `reattn_session_tokens` of the library that was loaded.
pub unsafe fn reattn_session_tokens(session: *const reattn_session, begin: i64, end: i64, ids: *mut i32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_tokens)(session, begin, end, ids, cap, needed, err) }
/// `reattn_session_text` of the library that was loaded.
pub unsafe fn reattn_session_text(session: *const reattn_session, begin: i64, end: i64, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_text)(session, begin, end, buf, cap, needed, err) }
/// `reattn_session_logprobs` of the library that was loaded.
pub unsafe fn reattn_session_logprobs(session: *const reattn_session, begin: i64, end: i64, logprobs: *mut f32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_logprobs)(session, begin, end, logprobs, cap, needed, err) }
/// `reattn_session_truncate` of the library that was loaded.
pub unsafe fn reattn_session_truncate(session: *mut reattn_session, n_tokens: i64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_truncate)(session, n_tokens, err) }
/// `reattn_session_fork` of the library that was loaded.
pub unsafe fn reattn_session_fork(session: *mut reattn_session, out_session: *mut *mut reattn_session, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_session_fork)(session, out_session, err) }
/// `reattn_session_free` of the library that was loaded.
pub unsafe fn reattn_session_free(session: *mut reattn_session) { (api().reattn_session_free)(session) }
/// `reattn_cache_snapshot` of the library that was loaded.
pub unsafe fn reattn_cache_snapshot(session: *mut reattn_session, out_cache: *mut *mut reattn_cache, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_cache_snapshot)(session, out_cache, err) }
/// `reattn_cache_save` of the library that was loaded.
pub unsafe fn reattn_cache_save(cache: *const reattn_cache, path: *const u8, path_bytes: u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_cache_save)(cache, path, path_bytes, err) }
/// `reattn_cache_open` of the library that was loaded.
pub unsafe fn reattn_cache_open(model: *const reattn_model, path: *const u8, path_bytes: u64, out_cache: *mut *mut reattn_cache, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_cache_open)(model, path, path_bytes, out_cache, err) }
/// `reattn_cache_get_info` of the library that was loaded.
pub unsafe fn reattn_cache_get_info(cache: *const reattn_cache, out_info: *mut reattn_cache_info, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_cache_get_info)(cache, out_info, err) }
/// `reattn_cache_free` of the library that was loaded.
pub unsafe fn reattn_cache_free(cache: *mut reattn_cache) { (api().reattn_cache_free)(cache) }
/// `reattn_request_options_init` of the library that was loaded.
pub unsafe fn reattn_request_options_init(out_options: *mut reattn_request_options, size: usize, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_options_init)(out_options, size, err) }
/// `reattn_request_create` of the library that was loaded.
pub unsafe fn reattn_request_create(session: *mut reattn_session, options: *const reattn_request_options, out_request: *mut *mut reattn_request, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_create)(session, options, out_request, err) }
/// `reattn_request_add_stop` of the library that was loaded.
pub unsafe fn reattn_request_add_stop(request: *mut reattn_request, text: *const u8, text_bytes: u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_add_stop)(request, text, text_bytes, err) }
/// `reattn_request_set_json_schema` of the library that was loaded.
pub unsafe fn reattn_request_set_json_schema(request: *mut reattn_request, schema: *const u8, schema_bytes: u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_set_json_schema)(request, schema, schema_bytes, err) }
/// `reattn_request_next` of the library that was loaded.
pub unsafe fn reattn_request_next(request: *mut reattn_request, timeout_ms: i64, out_event: *mut reattn_event, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_next)(request, timeout_ms, out_event, buf, cap, needed, err) }
/// `reattn_request_cancel` of the library that was loaded.
pub unsafe fn reattn_request_cancel(request: *const reattn_request, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_cancel)(request, err) }
/// `reattn_request_logits` of the library that was loaded.
pub unsafe fn reattn_request_logits(request: *const reattn_request, logits: *mut f32, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_logits)(request, logits, cap, needed, err) }
/// `reattn_request_recalled` of the library that was loaded.
pub unsafe fn reattn_request_recalled(request: *const reattn_request, layer: i64, scope: i32, spans: *mut reattn_span, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_recalled)(request, layer, scope, spans, cap, needed, err) }
/// `reattn_request_get_stats` of the library that was loaded.
pub unsafe fn reattn_request_get_stats(request: *const reattn_request, out_stats: *mut reattn_request_stats, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_request_get_stats)(request, out_stats, err) }
/// `reattn_request_free` of the library that was loaded.
pub unsafe fn reattn_request_free(request: *mut reattn_request) { (api().reattn_request_free)(request) }
/// `reattn_queue_create` of the library that was loaded.
pub unsafe fn reattn_queue_create(model: *const reattn_model, out_queue: *mut *mut reattn_queue, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_queue_create)(model, out_queue, err) }
/// `reattn_queue_add` of the library that was loaded.
pub unsafe fn reattn_queue_add(queue: *mut reattn_queue, request: *mut reattn_request, tag: u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_queue_add)(queue, request, tag, err) }
/// `reattn_queue_next` of the library that was loaded.
pub unsafe fn reattn_queue_next(queue: *mut reattn_queue, timeout_ms: i64, out_tag: *mut u64, out_event: *mut reattn_event, buf: *mut u8, cap: u64, needed: *mut u64, err: *mut *mut reattn_error) -> reattn_status { (api().reattn_queue_next)(queue, timeout_ms, out_tag, out_event, buf, cap, needed, err) }
/// `reattn_queue_free` of the library that was loaded.
pub unsafe fn reattn_queue_free(queue: *mut reattn_queue) { (api().reattn_queue_free)(queue) }
