#!/usr/bin/env python3
"""Fails when a hand-written layer leaves out something that reattn.h has: a function, a field or a constant.

coverage.py [LANGUAGE...]
"""

import pathlib
import re
import sys

from capi import read_header

HERE = pathlib.Path(__file__).resolve().parent
HEADER = HERE.parent.parent / "capi" / "include" / "reattn" / "reattn.h"

# Language -> its hand-written sources, and how it spells a function.
LAYERS = {
    "rust": ("rust/reattn/src/*.rs", "reattn_{}"),
    "go": ("go/*.go", "C.dl_{}"),
    "csharp": ("csharp/Reattn/**/*.cs", "Library.Api.reattn_{}"),
}
# Not for users of a language: sizes, lengths of what comes as text, and what the layers do without.
INTERNAL = {
    "struct_size", "reserved", "text_bytes", "finished",
    "REATTN_OK", "REATTN_END", "REATTN_TIMEOUT", "REATTN_ABI_VERSION",
    "error_code",            # comes as the status
    "status_name",           # the layers name their codes
    "model_options_init",    # the layers' own defaults, which the cases compare
    "request_options_init",
}


def words_of(pattern):
    """All words of a layer, tests and what is generated left out."""
    words = set()
    for path in HERE.parent.glob(pattern):
        if not path.name.endswith(("_test.go", ".g.cs")):
            words.update(re.findall(r"[\w.]+", path.read_text()))
            words.update(re.findall(r"\w+", path.read_text()))
    return words


def main():
    constants, structs = read_header(HEADER)
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    functions = re.findall(r"\breattn_(\w+)\(", text)
    missing = []
    for language in sys.argv[1:] or LAYERS:
        pattern, spelling = LAYERS[language]
        words = words_of(pattern)
        assert words, f"no sources in {pattern}"
        wanted = {name: spelling.format(name) for name in functions}
        wanted.update({name: name for name in constants})
        for struct, kind in structs.items():
            wanted.update({f"{struct}.{field}": field for field, _ in kind._fields_})
        missing += [f"{language}: {name}" for name, word in wanted.items()
                    if word not in words and name not in INTERNAL
                    and name.split(".")[-1] not in INTERNAL]
    print("\n".join(missing) or f"{len(functions)} functions, {len(constants)} constants, "
          f"{len(structs)} structs")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
