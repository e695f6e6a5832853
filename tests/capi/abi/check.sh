#!/usr/bin/env bash
# check.sh LIBRARY BASELINE: fails when the library's ABI is not the committed one, when there
# is nothing to compare (no debug information, an unreadable baseline), or when abidiff (package
# abigail-tools) is missing.
set -euo pipefail
library=$1 baseline=$2

command -v abidiff >/dev/null || { echo "abidiff is missing: install abigail-tools" >&2; exit 1; }
[[ $(readelf -S "$library") == *.debug_info* ]] ||
  { echo "$library has no debug information: build it as RelWithDebInfo or Debug" >&2; exit 1; }
[ "$(grep -c '<function-decl' "$baseline")" -gt 40 ] && [[ $(tail -1 "$baseline") == *'</abi-corpus>'* ]] ||
  { echo "$baseline is incomplete" >&2; exit 1; }
problems=$(abidiff --exported-interfaces-only --no-show-locs --harmless "$baseline" "$library" \
  2>&1) || status=$?
if [ "${status:-0}" -ne 0 ] || grep -q 'parser error' <<<"$problems"; then
  echo "$problems" >&2
  echo "the ABI is not that of $baseline; if that is meant, run tools/update-abi" >&2
  exit 1
fi
