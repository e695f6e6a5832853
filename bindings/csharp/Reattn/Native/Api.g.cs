// Made from reattn.h by bindings/csharp/generate: do not edit.
using System;
using System.Runtime.InteropServices;

namespace Reattn.Native
{
    internal static class C
    {
        internal const int REATTN_ABI_VERSION = 1;
        internal const int REATTN_ALL_LAYERS = -1;
        internal const int REATTN_APPEND_LOGPROBS = 4;
        internal const int REATTN_APPEND_MORE = 1;
        internal const int REATTN_APPEND_SPECIAL = 2;
        internal const int REATTN_DEVICE_AUTO = 0;
        internal const int REATTN_DEVICE_CPU = 1;
        internal const int REATTN_DEVICE_CUDA = 2;
        internal const int REATTN_DONE_CANCELLED = 6;
        internal const int REATTN_DONE_END = 2;
        internal const int REATTN_DONE_FULL = 5;
        internal const int REATTN_DONE_LENGTH = 4;
        internal const int REATTN_DONE_READ = 1;
        internal const int REATTN_DONE_STOP = 3;
        internal const int REATTN_END = 1;
        internal const int REATTN_EVENT_DONE = 3;
        internal const int REATTN_EVENT_PREFILL = 1;
        internal const int REATTN_EVENT_TEXT = 2;
        internal const int REATTN_E_ARG = -1;
        internal const int REATTN_E_BUFFER = -11;
        internal const int REATTN_E_BUSY = -3;
        internal const int REATTN_E_CANCELLED = -4;
        internal const int REATTN_E_DEVICE_LOST = -6;
        internal const int REATTN_E_FORMAT = -9;
        internal const int REATTN_E_HANDLE = -2;
        internal const int REATTN_E_INTERNAL = -13;
        internal const int REATTN_E_IO = -14;
        internal const int REATTN_E_MISMATCH = -10;
        internal const int REATTN_E_NO_DEVICE = -5;
        internal const int REATTN_E_OOM_DEVICE = -8;
        internal const int REATTN_E_OOM_HOST = -7;
        internal const int REATTN_E_UNSUPPORTED = -12;
        internal const int REATTN_KV_BF16 = 2;
        internal const int REATTN_KV_F16 = 1;
        internal const int REATTN_KV_F32 = 0;
        internal const int REATTN_KV_INT8 = 3;
        internal const int REATTN_OK = 0;
        internal const int REATTN_RECALLED_ANSWER = 3;
        internal const int REATTN_RECALLED_LAST_STEP = 1;
        internal const int REATTN_RECALLED_PROMPT = 2;
        internal const int REATTN_SCORING_INT8 = 1;
        internal const int REATTN_SCORING_NATIVE = 0;
        internal const int REATTN_SELECTION_BLOCK1 = 2;
        internal const int REATTN_SELECTION_EXACT = 1;
        internal const int REATTN_SELECTION_FULL = 0;
        internal const int REATTN_TIMEOUT = 2;
        internal const int REATTN_WEIGHTS_AUTO = 0;
        internal const int REATTN_WEIGHTS_FP8 = 1;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_log_event
    {
        internal uint struct_size;
        internal uint text_bytes;
        internal ulong sequence;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_device_info
    {
        internal uint struct_size;
        internal int kind;
        internal ulong memory_total;
        internal ulong memory_free;
        internal int n_threads;
        internal int index;
        internal fixed byte name[96];
        internal fixed byte instructions[32];
        internal const int name_size = 96;
        internal const int instructions_size = 32;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_model_options
    {
        internal uint struct_size;
        internal int device;
        internal int n_threads;
        internal int header_only;
        internal int device_index;
        internal int weights;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_geometry
    {
        internal uint struct_size;
        internal int tied_embeddings;
        internal long n_layers;
        internal long n_embd;
        internal long n_heads;
        internal long n_kv_heads;
        internal long head_dim;
        internal long n_ff;
        internal long n_vocab;
        internal long n_window;
        internal double rope_freq_base;
        internal ulong seed;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_load_progress
    {
        internal uint struct_size;
        internal int finished;
        internal ulong bytes_done;
        internal ulong bytes_total;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_model_info
    {
        internal uint struct_size;
        internal int device;
        internal long n_layers;
        internal long n_embd;
        internal long n_heads;
        internal long n_kv_heads;
        internal long head_dim;
        internal long n_ff;
        internal long n_vocab;
        internal long n_window;
        internal long n_metadata;
        internal ulong weights_bytes;
        internal ulong model_fingerprint;
        internal ulong tokenizer_fingerprint;
        internal double rope_freq_base;
        internal double norm_eps;
        internal int bos_token;
        internal int eos_token;
        internal int eot_token;
        internal int unk_token;
        internal int pad_token;
        internal int add_bos;
        internal int add_eos;
        internal int has_chat_template;
        internal int tied_embeddings;
        internal int header_only;
        internal int weights;
        internal int reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_session_options
    {
        internal uint struct_size;
        internal int selection;
        internal long n_global;
        internal long n_local;
        internal int top_k;
        internal int span;
        internal int n_anchors;
        internal int chunk;
        internal int vote_stride;
        internal int kv_dtype;
        internal long max_tokens;
        internal int scoring;
        internal int reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_memory_plan
    {
        internal uint struct_size;
        internal int fits;
        internal ulong weights_bytes;
        internal ulong kv_bytes;
        internal ulong working_bytes;
        internal ulong total_bytes;
        internal ulong memory_free;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_session_info
    {
        internal uint struct_size;
        internal int page_tokens;
        internal long n_tokens;
        internal long n_pending;
        internal ulong kv_bytes;
        internal long n_pages;
        internal long n_shared_pages;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_cache_info
    {
        internal uint struct_size;
        internal int has_logits;
        internal long n_tokens;
        internal ulong kv_bytes;
        internal ulong model_fingerprint;
        internal ulong tokenizer_fingerprint;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_request_options
    {
        internal uint struct_size;
        internal int ignore_end;
        internal long max_tokens;
        internal float temperature;
        internal int top_k;
        internal float top_p;
        internal float min_p;
        internal ulong seed;
        internal float repetition_penalty;
        internal int repetition_window;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_event
    {
        internal uint struct_size;
        internal int kind;
        internal long n_done;
        internal long n_total;
        internal int token;
        internal float logprob;
        internal int reason;
        internal uint text_bytes;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_span
    {
        internal long begin;
        internal long end;
        internal long votes;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal unsafe struct reattn_request_stats
    {
        internal uint struct_size;
        internal int done;
        internal long n_prefill_tokens;
        internal long n_decode_tokens;
        internal double prefill_seconds;
        internal double decode_seconds;
        internal double first_token_seconds;
    }

    /// <summary>The functions of one loaded library.</summary>
    internal sealed unsafe class Api
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_abi_version_fn();
        internal readonly reattn_abi_version_fn reattn_abi_version;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate byte* reattn_version_fn();
        internal readonly reattn_version_fn reattn_version;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate byte* reattn_status_name_fn(int status);
        internal readonly reattn_status_name_fn reattn_status_name;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_log_next_fn(reattn_log_event* out_event, byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_log_next_fn reattn_log_next;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_error_code_fn(IntPtr error);
        internal readonly reattn_error_code_fn reattn_error_code;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate byte* reattn_error_message_fn(IntPtr error);
        internal readonly reattn_error_message_fn reattn_error_message;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void reattn_error_free_fn(IntPtr error);
        internal readonly reattn_error_free_fn reattn_error_free;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_backend_load_fn(byte* path, ulong path_bytes, IntPtr* err);
        internal readonly reattn_backend_load_fn reattn_backend_load;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_backend_diagnose_fn(byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_backend_diagnose_fn reattn_backend_diagnose;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_device_count_fn(int* out_count, IntPtr* err);
        internal readonly reattn_device_count_fn reattn_device_count;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_device_get_info_fn(int index, reattn_device_info* out_info, IntPtr* err);
        internal readonly reattn_device_get_info_fn reattn_device_get_info;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_options_init_fn(reattn_model_options* out_options, UIntPtr size, IntPtr* err);
        internal readonly reattn_model_options_init_fn reattn_model_options_init;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_open_fn(byte* path, ulong path_bytes, reattn_model_options* options, IntPtr* out_model, IntPtr* err);
        internal readonly reattn_model_open_fn reattn_model_open;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_synthesize_fn(reattn_geometry* geometry, reattn_model_options* options, IntPtr* out_model, IntPtr* err);
        internal readonly reattn_model_synthesize_fn reattn_model_synthesize;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_wait_fn(IntPtr model, long timeout_ms, reattn_load_progress* out_progress, IntPtr* err);
        internal readonly reattn_model_wait_fn reattn_model_wait;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_cancel_load_fn(IntPtr model, IntPtr* err);
        internal readonly reattn_model_cancel_load_fn reattn_model_cancel_load;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_get_info_fn(IntPtr model, reattn_model_info* out_info, IntPtr* err);
        internal readonly reattn_model_get_info_fn reattn_model_get_info;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_metadata_fn(IntPtr model, long index, byte* key, ulong key_cap, ulong* key_needed, byte* value, ulong value_cap, ulong* value_needed, IntPtr* err);
        internal readonly reattn_model_metadata_fn reattn_model_metadata;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void reattn_model_free_fn(IntPtr model);
        internal readonly reattn_model_free_fn reattn_model_free;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_text_tokenize_fn(IntPtr model, byte* text, ulong text_bytes, int parse_special, int* ids, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_text_tokenize_fn reattn_text_tokenize;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_text_detokenize_fn(IntPtr model, int* ids, ulong n_ids, byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_text_detokenize_fn reattn_text_detokenize;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_chat_render_fn(IntPtr model, byte* messages, ulong messages_bytes, int add_generation_prompt, byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_chat_render_fn reattn_chat_render;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_chat_tokenize_fn(IntPtr model, byte* messages, ulong messages_bytes, int add_generation_prompt, int* ids, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_chat_tokenize_fn reattn_chat_tokenize;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_options_init_fn(IntPtr model, IntPtr cache, reattn_session_options* out_options, UIntPtr size, IntPtr* err);
        internal readonly reattn_session_options_init_fn reattn_session_options_init;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_model_estimate_fn(IntPtr model, reattn_session_options* options, long n_tokens, reattn_memory_plan* out_plan, IntPtr* err);
        internal readonly reattn_model_estimate_fn reattn_model_estimate;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_create_fn(IntPtr model, IntPtr cache, reattn_session_options* options, IntPtr* out_session, IntPtr* err);
        internal readonly reattn_session_create_fn reattn_session_create;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_append_text_fn(IntPtr session, byte* text, ulong text_bytes, int flags, IntPtr* err);
        internal readonly reattn_session_append_text_fn reattn_session_append_text;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_append_ids_fn(IntPtr session, int* ids, ulong n_ids, int flags, IntPtr* err);
        internal readonly reattn_session_append_ids_fn reattn_session_append_ids;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_get_info_fn(IntPtr session, reattn_session_info* out_info, IntPtr* err);
        internal readonly reattn_session_get_info_fn reattn_session_get_info;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_tokens_fn(IntPtr session, long begin, long end, int* ids, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_session_tokens_fn reattn_session_tokens;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_text_fn(IntPtr session, long begin, long end, byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_session_text_fn reattn_session_text;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_logprobs_fn(IntPtr session, long begin, long end, float* logprobs, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_session_logprobs_fn reattn_session_logprobs;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_truncate_fn(IntPtr session, long n_tokens, IntPtr* err);
        internal readonly reattn_session_truncate_fn reattn_session_truncate;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_session_fork_fn(IntPtr session, IntPtr* out_session, IntPtr* err);
        internal readonly reattn_session_fork_fn reattn_session_fork;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void reattn_session_free_fn(IntPtr session);
        internal readonly reattn_session_free_fn reattn_session_free;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_cache_snapshot_fn(IntPtr session, IntPtr* out_cache, IntPtr* err);
        internal readonly reattn_cache_snapshot_fn reattn_cache_snapshot;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_cache_save_fn(IntPtr cache, byte* path, ulong path_bytes, IntPtr* err);
        internal readonly reattn_cache_save_fn reattn_cache_save;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_cache_open_fn(IntPtr model, byte* path, ulong path_bytes, IntPtr* out_cache, IntPtr* err);
        internal readonly reattn_cache_open_fn reattn_cache_open;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_cache_get_info_fn(IntPtr cache, reattn_cache_info* out_info, IntPtr* err);
        internal readonly reattn_cache_get_info_fn reattn_cache_get_info;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void reattn_cache_free_fn(IntPtr cache);
        internal readonly reattn_cache_free_fn reattn_cache_free;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_options_init_fn(reattn_request_options* out_options, UIntPtr size, IntPtr* err);
        internal readonly reattn_request_options_init_fn reattn_request_options_init;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_create_fn(IntPtr session, reattn_request_options* options, IntPtr* out_request, IntPtr* err);
        internal readonly reattn_request_create_fn reattn_request_create;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_add_stop_fn(IntPtr request, byte* text, ulong text_bytes, IntPtr* err);
        internal readonly reattn_request_add_stop_fn reattn_request_add_stop;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_set_json_schema_fn(IntPtr request, byte* schema, ulong schema_bytes, IntPtr* err);
        internal readonly reattn_request_set_json_schema_fn reattn_request_set_json_schema;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_next_fn(IntPtr request, long timeout_ms, reattn_event* out_event, byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_request_next_fn reattn_request_next;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_cancel_fn(IntPtr request, IntPtr* err);
        internal readonly reattn_request_cancel_fn reattn_request_cancel;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_logits_fn(IntPtr request, float* logits, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_request_logits_fn reattn_request_logits;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_recalled_fn(IntPtr request, long layer, int scope, reattn_span* spans, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_request_recalled_fn reattn_request_recalled;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_request_get_stats_fn(IntPtr request, reattn_request_stats* out_stats, IntPtr* err);
        internal readonly reattn_request_get_stats_fn reattn_request_get_stats;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void reattn_request_free_fn(IntPtr request);
        internal readonly reattn_request_free_fn reattn_request_free;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_queue_create_fn(IntPtr model, IntPtr* out_queue, IntPtr* err);
        internal readonly reattn_queue_create_fn reattn_queue_create;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_queue_add_fn(IntPtr queue, IntPtr request, ulong tag, IntPtr* err);
        internal readonly reattn_queue_add_fn reattn_queue_add;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate int reattn_queue_next_fn(IntPtr queue, long timeout_ms, ulong* out_tag, reattn_event* out_event, byte* buf, ulong cap, ulong* needed, IntPtr* err);
        internal readonly reattn_queue_next_fn reattn_queue_next;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void reattn_queue_free_fn(IntPtr queue);
        internal readonly reattn_queue_free_fn reattn_queue_free;

        /// <param name="find">Gives the address of a function; throws where there is none.</param>
        internal Api(Func<string, IntPtr> find)
        {
            reattn_abi_version = (reattn_abi_version_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_abi_version"), typeof(reattn_abi_version_fn));
            reattn_version = (reattn_version_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_version"), typeof(reattn_version_fn));
            reattn_status_name = (reattn_status_name_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_status_name"), typeof(reattn_status_name_fn));
            reattn_log_next = (reattn_log_next_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_log_next"), typeof(reattn_log_next_fn));
            reattn_error_code = (reattn_error_code_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_error_code"), typeof(reattn_error_code_fn));
            reattn_error_message = (reattn_error_message_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_error_message"), typeof(reattn_error_message_fn));
            reattn_error_free = (reattn_error_free_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_error_free"), typeof(reattn_error_free_fn));
            reattn_backend_load = (reattn_backend_load_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_backend_load"), typeof(reattn_backend_load_fn));
            reattn_backend_diagnose = (reattn_backend_diagnose_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_backend_diagnose"), typeof(reattn_backend_diagnose_fn));
            reattn_device_count = (reattn_device_count_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_device_count"), typeof(reattn_device_count_fn));
            reattn_device_get_info = (reattn_device_get_info_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_device_get_info"), typeof(reattn_device_get_info_fn));
            reattn_model_options_init = (reattn_model_options_init_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_options_init"), typeof(reattn_model_options_init_fn));
            reattn_model_open = (reattn_model_open_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_open"), typeof(reattn_model_open_fn));
            reattn_model_synthesize = (reattn_model_synthesize_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_synthesize"), typeof(reattn_model_synthesize_fn));
            reattn_model_wait = (reattn_model_wait_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_wait"), typeof(reattn_model_wait_fn));
            reattn_model_cancel_load = (reattn_model_cancel_load_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_cancel_load"), typeof(reattn_model_cancel_load_fn));
            reattn_model_get_info = (reattn_model_get_info_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_get_info"), typeof(reattn_model_get_info_fn));
            reattn_model_metadata = (reattn_model_metadata_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_metadata"), typeof(reattn_model_metadata_fn));
            reattn_model_free = (reattn_model_free_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_free"), typeof(reattn_model_free_fn));
            reattn_text_tokenize = (reattn_text_tokenize_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_text_tokenize"), typeof(reattn_text_tokenize_fn));
            reattn_text_detokenize = (reattn_text_detokenize_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_text_detokenize"), typeof(reattn_text_detokenize_fn));
            reattn_chat_render = (reattn_chat_render_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_chat_render"), typeof(reattn_chat_render_fn));
            reattn_chat_tokenize = (reattn_chat_tokenize_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_chat_tokenize"), typeof(reattn_chat_tokenize_fn));
            reattn_session_options_init = (reattn_session_options_init_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_options_init"), typeof(reattn_session_options_init_fn));
            reattn_model_estimate = (reattn_model_estimate_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_model_estimate"), typeof(reattn_model_estimate_fn));
            reattn_session_create = (reattn_session_create_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_create"), typeof(reattn_session_create_fn));
            reattn_session_append_text = (reattn_session_append_text_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_append_text"), typeof(reattn_session_append_text_fn));
            reattn_session_append_ids = (reattn_session_append_ids_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_append_ids"), typeof(reattn_session_append_ids_fn));
            reattn_session_get_info = (reattn_session_get_info_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_get_info"), typeof(reattn_session_get_info_fn));
            reattn_session_tokens = (reattn_session_tokens_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_tokens"), typeof(reattn_session_tokens_fn));
            reattn_session_text = (reattn_session_text_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_text"), typeof(reattn_session_text_fn));
            reattn_session_logprobs = (reattn_session_logprobs_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_logprobs"), typeof(reattn_session_logprobs_fn));
            reattn_session_truncate = (reattn_session_truncate_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_truncate"), typeof(reattn_session_truncate_fn));
            reattn_session_fork = (reattn_session_fork_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_fork"), typeof(reattn_session_fork_fn));
            reattn_session_free = (reattn_session_free_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_session_free"), typeof(reattn_session_free_fn));
            reattn_cache_snapshot = (reattn_cache_snapshot_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_cache_snapshot"), typeof(reattn_cache_snapshot_fn));
            reattn_cache_save = (reattn_cache_save_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_cache_save"), typeof(reattn_cache_save_fn));
            reattn_cache_open = (reattn_cache_open_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_cache_open"), typeof(reattn_cache_open_fn));
            reattn_cache_get_info = (reattn_cache_get_info_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_cache_get_info"), typeof(reattn_cache_get_info_fn));
            reattn_cache_free = (reattn_cache_free_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_cache_free"), typeof(reattn_cache_free_fn));
            reattn_request_options_init = (reattn_request_options_init_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_options_init"), typeof(reattn_request_options_init_fn));
            reattn_request_create = (reattn_request_create_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_create"), typeof(reattn_request_create_fn));
            reattn_request_add_stop = (reattn_request_add_stop_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_add_stop"), typeof(reattn_request_add_stop_fn));
            reattn_request_set_json_schema = (reattn_request_set_json_schema_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_set_json_schema"), typeof(reattn_request_set_json_schema_fn));
            reattn_request_next = (reattn_request_next_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_next"), typeof(reattn_request_next_fn));
            reattn_request_cancel = (reattn_request_cancel_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_cancel"), typeof(reattn_request_cancel_fn));
            reattn_request_logits = (reattn_request_logits_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_logits"), typeof(reattn_request_logits_fn));
            reattn_request_recalled = (reattn_request_recalled_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_recalled"), typeof(reattn_request_recalled_fn));
            reattn_request_get_stats = (reattn_request_get_stats_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_get_stats"), typeof(reattn_request_get_stats_fn));
            reattn_request_free = (reattn_request_free_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_request_free"), typeof(reattn_request_free_fn));
            reattn_queue_create = (reattn_queue_create_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_queue_create"), typeof(reattn_queue_create_fn));
            reattn_queue_add = (reattn_queue_add_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_queue_add"), typeof(reattn_queue_add_fn));
            reattn_queue_next = (reattn_queue_next_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_queue_next"), typeof(reattn_queue_next_fn));
            reattn_queue_free = (reattn_queue_free_fn)Marshal.GetDelegateForFunctionPointer(find("reattn_queue_free"), typeof(reattn_queue_free_fn));
        }
    }
}
