"""The part of reattn.h that the quality measurements need, through ctypes."""

import ctypes as c

END, TIMEOUT, E_BUFFER = 1, 2, -11
DEVICES = {"cpu": 1, "cuda": 2}
SELECTIONS = {"full": 0, "exact": 1, "block1": 2}
KV_TYPES = {"f32": 0, "f16": 1, "bf16": 2, "int8": 3}
SCORINGS = {"native": 0, "int8": 1}
WEIGHTS = {"auto": 0, "fp8": 1}
LOGPROBS = 4
PREFILL, TEXT, DONE = 1, 2, 3


class Error(Exception):
    """A negative status, with the library's message."""


class ModelOptions(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("device", c.c_int32), ("n_threads", c.c_int32),
                ("header_only", c.c_int32), ("device_index", c.c_int32),
                ("weights", c.c_int32)]


class ModelInfo(c.Structure):
    _fields_ = ([("struct_size", c.c_uint32), ("device", c.c_int32)]
                + [(name, c.c_int64) for name in (
                    "n_layers", "n_embd", "n_heads", "n_kv_heads", "head_dim", "n_ff", "n_vocab",
                    "n_window", "n_metadata")]
                + [(name, c.c_uint64) for name in (
                    "weights_bytes", "model_fingerprint", "tokenizer_fingerprint")]
                + [("rope_freq_base", c.c_double), ("norm_eps", c.c_double)]
                + [(name, c.c_int32) for name in (
                    "bos_token", "eos_token", "eot_token", "unk_token", "pad_token", "add_bos",
                    "add_eos", "has_chat_template", "tied_embeddings", "header_only")])


class SessionOptions(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("selection", c.c_int32), ("n_global", c.c_int64),
                ("n_local", c.c_int64), ("top_k", c.c_int32), ("span", c.c_int32),
                ("n_anchors", c.c_int32), ("chunk", c.c_int32), ("vote_stride", c.c_int32),
                ("kv_dtype", c.c_int32), ("max_tokens", c.c_int64), ("scoring", c.c_int32),
                ("reserved", c.c_int32)]


class SessionInfo(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("page_tokens", c.c_int32), ("n_tokens", c.c_int64),
                ("n_pending", c.c_int64), ("kv_bytes", c.c_uint64), ("n_pages", c.c_int64),
                ("n_shared_pages", c.c_int64)]


class RequestOptions(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("ignore_end", c.c_int32), ("max_tokens", c.c_int64),
                ("temperature", c.c_float), ("top_k", c.c_int32), ("top_p", c.c_float),
                ("min_p", c.c_float), ("seed", c.c_uint64)]


class Event(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("kind", c.c_int32), ("n_done", c.c_int64),
                ("n_total", c.c_int64), ("token", c.c_int32), ("logprob", c.c_float),
                ("reason", c.c_int32), ("text_bytes", c.c_uint32)]


class Library:
    """A loaded libreattn. Calls raise Error on a negative status."""

    def __init__(self, path):
        self.dll = c.CDLL(path)
        self.dll.reattn_error_message.restype = c.c_char_p
        self.dll.reattn_version.restype = c.c_char_p

    def call(self, name, *args):
        """Calls reattn_<name>(args..., &err) and returns a status >= 0."""
        error = c.c_void_p()
        status = getattr(self.dll, "reattn_" + name)(*args, c.byref(error))
        if status < 0:
            message = self.dll.reattn_error_message(error).decode()
            self.dll.reattn_error_free(error)
            raise Error(f"{name}: {message}")
        return status

    def filled(self, name, struct, *before):
        """A struct that reattn_<name>(before..., &struct, sizeof struct) has filled in."""
        self.call(name, *before, c.byref(struct), c.c_size_t(c.sizeof(struct)))
        return struct

    def array(self, name, kind, *before):
        """What a function with (buf, cap, &needed) gives, as a list: asks for the size first."""
        needed = c.c_uint64()
        error = c.c_void_p()
        function = getattr(self.dll, "reattn_" + name)
        status = function(*before, None, c.c_uint64(0), c.byref(needed), c.byref(error))
        if status == E_BUFFER:
            self.dll.reattn_error_free(error)
            values = (kind * needed.value)()
            self.call(name, *before, values, needed, c.byref(needed))
            return values[:]
        if status < 0:
            raise Error(f"{name}: {self.dll.reattn_error_message(error).decode()}")
        return []


class Handle:
    """Owns an object of the library; freed with this one."""

    def __init__(self, library, kind):
        self.library, self.kind, self.handle = library, kind, c.c_void_p()

    def __del__(self):
        if self.handle:
            getattr(self.library.dll, f"reattn_{self.kind}_free")(self.handle)


class Model(Handle):
    def __init__(self, library, path, n_threads=0, device="cpu", weights=0):
        super().__init__(library, "model")
        options = library.filled("model_options_init", ModelOptions())
        options.device, options.n_threads = DEVICES[device], n_threads
        options.weights = weights
        name = path.encode()
        library.call("model_open", name, c.c_uint64(len(name)), c.byref(options),
                     c.byref(self.handle))
        library.call("model_wait", self.handle, c.c_int64(-1), None)
        self.info = ModelInfo(struct_size=c.sizeof(ModelInfo))
        library.call("model_get_info", self.handle, c.byref(self.info))

    def tokenize(self, text, parse_special=False):
        data = text.encode()
        return self.library.array("text_tokenize", c.c_int32, self.handle, data,
                                  c.c_uint64(len(data)), c.c_int32(parse_special))

    def detokenize(self, ids):
        values = (c.c_int32 * len(ids))(*ids)
        return bytes(self.library.array("text_detokenize", c.c_uint8, self.handle, values,
                                        c.c_uint64(len(ids)))).decode("utf-8", "replace")

    def render_chat(self, messages_json):
        data = messages_json.encode()
        return bytes(self.library.array("chat_render", c.c_uint8, self.handle, data,
                                        c.c_uint64(len(data)), c.c_int32(1))).decode()

    def session(self, settings, cache=None):
        """A new session or, from a cache, one that goes on from it under changed settings."""
        options = self.library.filled("session_options_init", SessionOptions(), self.handle,
                                      cache.handle if cache else None)
        for name, value in settings.items():
            setattr(options, name, value)
        session = Session(self.library)
        session.options = options
        self.library.call("session_create", self.handle, cache.handle if cache else None,
                          c.byref(options), c.byref(session.handle))
        return session


class Session(Handle):
    def __init__(self, library):
        super().__init__(library, "session")

    def n_tokens(self):
        info = SessionInfo(struct_size=c.sizeof(SessionInfo))
        self.library.call("session_get_info", self.handle, c.byref(info))
        return info.n_tokens

    def append(self, ids, flags=0):
        values = (c.c_int32 * len(ids))(*ids)
        self.library.call("session_append_ids", self.handle, values, c.c_uint64(len(ids)),
                          c.c_int32(flags))

    def run(self, max_tokens=0, ignore_end=False, on_read=None):
        """Reads what is queued, then generates greedily. Returns (ids, text)."""
        request = Handle(self.library, "request")
        options = self.library.filled("request_options_init", RequestOptions())
        options.max_tokens, options.ignore_end = max_tokens, ignore_end
        self.library.call("request_create", self.handle, c.byref(options),
                          c.byref(request.handle))
        buffer, ids, text = c.create_string_buffer(1 << 16), [], b""
        event = Event(struct_size=c.sizeof(Event))
        while True:
            status = self.library.call("request_next", request.handle, c.c_int64(-1),
                                       c.byref(event), buffer, c.c_uint64(len(buffer)), None)
            if status == END:
                return ids, text.decode("utf-8", "replace")
            text += buffer.raw[:event.text_bytes]
            if event.kind == TEXT:
                ids.append(event.token)
            elif event.kind == PREFILL and on_read:
                on_read(event.n_done, event.n_total)

    def logprobs(self, begin, end):
        return self.library.array("session_logprobs", c.c_float, self.handle, c.c_int64(begin),
                                  c.c_int64(end))

    def fork(self):
        other = Session(self.library)
        self.library.call("session_fork", self.handle, c.byref(other.handle))
        return other

    def snapshot(self):
        cache = Handle(self.library, "cache")
        self.library.call("cache_snapshot", self.handle, c.byref(cache.handle))
        return cache
