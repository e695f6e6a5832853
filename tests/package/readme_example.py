"""Is the README's C example the one that is compiled and run by the tests?"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
blocks = re.findall(r"```c\n(.*?)```", (root / "README.md").read_text(encoding="utf-8"), re.DOTALL)
example = (root / "examples/c/ask.c").read_text(encoding="utf-8")
sys.exit(0 if blocks == [example] else "README.md: its C example is not examples/c/ask.c")
