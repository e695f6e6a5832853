#!/usr/bin/env python3
"""Makes reattn-sys/src/loaded.rs out of reattn-sys/src/bindings.rs: for each function of the library one that calls it
through a pointer, for the feature `load`.

loaded.py [--check]
  --check  writes nothing; fails when the file would change
"""

import pathlib
import re
import sys

SOURCES = pathlib.Path(__file__).resolve().parent / "reattn-sys" / "src"
FUNCTION = re.compile(r"pub fn (reattn_\w+)\(([^)]*)\)(?: -> ([^;]+))?;", re.S)


def functions(text):
    for name, parameters, result in FUNCTION.findall(text):
        pairs = [tuple(part.strip() for part in parameter.split(":", 1))
                 for parameter in parameters.split(",") if parameter.strip()]
        yield name, pairs, f" -> {result.strip()}" if result else ""


def generate(text):
    table, lookups, wrappers = [], [], []
    for name, pairs, result in functions(text):
        parameters = ", ".join(f"{name}: {kind}" for name, kind in pairs)
        arguments = ", ".join(name for name, _ in pairs)
        table.append(f'    {name}: unsafe extern "C" fn({parameters}){result},')
        lookups.append(f'            {name}: core::mem::transmute::<*const (), _>(get("{name}")?),')
        wrappers.append(f"/// `{name}` of the library that was loaded.\n"
                        f"pub unsafe fn {name}({parameters}){result} {{ (api().{name})({arguments}) }}")
    return "\n".join([
        "// Made by loaded.py out of bindings.rs: do not edit.",
        "use super::load::api;",
        "use super::*;",
        "",
        "pub(crate) struct Api {",
        *table,
        "}",
        "",
        "impl Api {",
        "    /// `get` finds the address of a function.",
        "    pub(crate) unsafe fn new<E>(get: impl Fn(&str) -> Result<*const (), E>) -> Result<Api, E> {",
        "        Ok(Api {",
        *lookups,
        "        })",
        "    }",
        "}",
        "",
        *wrappers,
        "",
    ])


def main():
    fresh = generate((SOURCES / "bindings.rs").read_text())
    path = SOURCES / "loaded.rs"
    if "--check" not in sys.argv:
        path.write_text(fresh)
    elif path.read_text() != fresh:
        print("loaded.rs is not what loaded.py makes of bindings.rs: run update-bindings")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
