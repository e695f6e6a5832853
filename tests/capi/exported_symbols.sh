#!/usr/bin/env bash
# exported_symbols.sh LIBRARY MAP HEADER: fails unless all three name the same functions, each of
# them in the version node of the map, and the library shows nothing else.
set -euo pipefail
library=$1 map=$2 header=$3

node=$(grep -oE '^REATTN_[0-9.]+' "$map")
mapped=$(sed -n '/global:/,/local:/p' "$map" | grep -oE 'reattn_[a-z_]+' | LC_ALL=C sort)
declared=$(tr '\n' ' ' <"$header" | grep -oE 'REATTN_API [^;(]*\breattn_[a-z_]+ ?\(' |
  grep -oE 'reattn_[a-z_]+ ?\($' | tr -d ' (' | LC_ALL=C sort -u)
shown=$(nm -D --defined-only --with-symbol-versions "$library" | awk '{ print $2, $3 }')
expected=$(
  echo "A $node"
  sed "s/.*/T &@@$node/" <<<"$mapped"
)

status=0
diff <(echo "$mapped") <(echo "$declared") || { echo "the map and reattn.h differ" >&2; status=1; }
diff <(echo "$expected" | LC_ALL=C sort) <(echo "$shown" | sed "s/^A $node@@$node/A $node/" | LC_ALL=C sort) ||
  { echo "the map and what the library shows differ" >&2; status=1; }
[ "$(wc -l <<<"$declared")" -gt 40 ] || { echo "reattn.h was not understood" >&2; status=1; }
exit $status
