"""The C library by ctypes: constants and structs read from reattn.h, every call checked."""

import ctypes
import re


def read_header(path):
    """The constants and the structs (as ctypes classes) that a header declares."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
    constants = {name: int(value) for name, value in re.findall(r"(REATTN_\w+) = (-?\d+)", text)}
    kinds = {"uint32_t": ctypes.c_uint32, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64,
             "uint64_t": ctypes.c_uint64, "float": ctypes.c_float, "double": ctypes.c_double,
             "char": ctypes.c_char}
    structs = {}
    for name, body in re.findall(r"typedef struct (reattn_\w+) \{(.*?)\}", text, flags=re.S):
        fields = []
        for kind, field, size in re.findall(r"(\w+)\s+(\w+)(?:\[(\d+)\])?;", body):
            fields.append((field, kinds[kind] * int(size) if size else kinds[kind]))
        structs[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return constants, structs


class Failure(Exception):
    """A negative status and its message."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Library:
    def __init__(self, path, header):
        self.lib = ctypes.CDLL(str(path))
        self.constants, self.structs = read_header(header)
        self.lib.reattn_status_name.restype = ctypes.c_char_p
        self.lib.reattn_error_message.restype = ctypes.c_char_p
        self.lib.reattn_error_message.argtypes = [ctypes.c_void_p]
        self.lib.reattn_error_free.argtypes = [ctypes.c_void_p]

    def struct(self, name, **fields):
        kind = self.structs["reattn_" + name]
        return kind(struct_size=ctypes.sizeof(kind), **fields)

    def call(self, name, *args):
        """The status of reattn_<name>(args..., &err) when it is no error."""
        err = ctypes.c_void_p()
        status = getattr(self.lib, "reattn_" + name)(*args, ctypes.byref(err))
        if status >= 0:
            return status
        message = self.lib.reattn_error_message(err).decode()
        self.lib.reattn_error_free(err)
        raise Failure(self.lib.reattn_status_name(status).decode(), message)

    def output(self, kind, name, *args):
        """What a function with an output of unknown length writes: asked twice, as an array."""
        needed = ctypes.c_uint64()
        try:
            self.call(name, *args, None, u64(0), ctypes.byref(needed))
        except Failure as failure:
            if failure.code != "E_BUFFER":
                raise
        array = (kind * needed.value)()
        self.call(name, *args, array, u64(needed.value), ctypes.byref(needed))
        return array

    def create(self, name, *args):
        handle = ctypes.c_void_p()
        self.call(name, *args, ctypes.byref(handle))
        return handle

    def free(self, kind, handle):
        getattr(self.lib, f"reattn_{kind}_free")(handle)


i32, i64, u64 = ctypes.c_int32, ctypes.c_int64, ctypes.c_uint64


def data(value):
    """Bytes as the pointer and the number that text and path parameters take."""
    return ctypes.cast(ctypes.create_string_buffer(value, len(value) or 1), ctypes.c_void_p), \
        u64(len(value))
