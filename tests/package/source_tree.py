"""Checks on the files of the source tree: source_tree.py ROOT layering|sizes|addresses."""

import pathlib
import re
import subprocess
import sys

NOT_A_CHECKOUT = 77  # ctest takes it for a skipped test
CODE = {".h", ".hpp", ".c", ".cpp", ".cu", ".cuh"}
SIZED = CODE | {".rs", ".py", ".sh", ".cmake", ".go", ".java", ".cs", ".js", ".md"}
MAX_LINES = 600
ANY_LENGTH = {"capi/include/reattn/reattn.h",
              "bindings/rust/reattn-sys/src/bindings.rs"}  # generated from it

# folder -> what its #include lines may not begin with; arrows point down only.
FORBIDDEN_INCLUDES = {
    "kernels": ("core/", "capi/", "bindings/", "examples/", "reattn/reattn.h"),
    "core": ("capi/", "bindings/", "examples/", "reattn/reattn.h", "cuda"),
    "capi": ("bindings/", "examples/", "cuda"),
    "bindings": ("core/", "capi/", "kernels/", "reattn/kernels/"),
    "examples": ("core/", "capi/", "kernels/", "reattn/kernels/"),
}
INTERNAL_TARGETS = re.compile(r"\breattn_(core|kernels)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]')

MACHINE_PATH = re.compile(r"(?<![\w./$}])/(?:work|tmp|home|root|Users)/")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|static\.crates\.io|index\.crates\.io|npmjs\.(?:org|com)"
    r"|deb\.debian\.org|proxy\.golang\.org|repo1?\.maven\.(?:org|apache\.org)|huggingface\.co/\S)")


def tracked_files(root):
    """Relative paths of what git holds or would take in; None outside a checkout."""
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others",
         "--exclude-standard"], cwd=root, capture_output=True, check=False)
    if listing.returncode != 0:
        return None
    names = listing.stdout.decode().split("\0")
    return [name for name in names if name and (root / name).is_file()]


def text_lines(path):
    """The lines of a text file; none for a binary one."""
    data = path.read_bytes()
    return [] if b"\0" in data else data.decode("utf-8", "replace").splitlines()


def layering(root, name):
    path = pathlib.PurePath(name)
    layer = path.parts[0]
    for number, line in enumerate(text_lines(root / name), 1):
        include = INCLUDE.match(line) if path.suffix in CODE else None
        if include and include[1].startswith(FORBIDDEN_INCLUDES.get(layer, ())):
            yield f"{name}:{number}: {layer} may not include {include[1]}"
        if layer in ("bindings", "examples") and path.name == "CMakeLists.txt":
            target = INTERNAL_TARGETS.search(line)
            if target:
                yield f"{name}:{number}: {layer} may link reattn only, not {target[0]}"


def sizes(root, name):
    path = pathlib.PurePath(name)
    lines = text_lines(root / name)
    sized = path.suffix in SIZED or path.name == "CMakeLists.txt" or (
        lines and lines[0].startswith("#!"))
    if sized and name not in ANY_LENGTH and len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines, more than {MAX_LINES}"


def addresses(root, name):
    for number, line in enumerate(text_lines(root / name), 1):
        for pattern, what in ((MACHINE_PATH, "a machine's path"), (REGISTRY_HOST, "a host")):
            if pattern.search(line):
                yield f"{name}:{number}: names {what}: {line.strip()[:120]}"


def main():
    root = pathlib.Path(sys.argv[1])
    check = {"layering": layering, "sizes": sizes, "addresses": addresses}[sys.argv[2]]
    names = tracked_files(root)
    if names is None:
        print("not a git checkout: nothing says which files belong to the tree")
        return NOT_A_CHECKOUT
    problems = [problem for name in names for problem in check(root, name)]
    print("\n".join(problems) or f"{len(names)} files looked at")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
