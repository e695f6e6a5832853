# For scripts of tests: what a missing tool means. Sourced.

# missing WHAT: ends the test as skipped or, in CI (as tools/test tells it), as failed.
missing() {
  if [[ ${CI:-} == true || ${CI:-} == 1 || -n ${REATTN_CI:-} ]]; then
    echo "missing, and this is CI: $1" >&2
    exit 1
  fi
  echo "skipped, missing: $1"
  exit 77
}

# need COMMAND WHAT: missing WHAT unless the command is there.
need() { command -v "$1" >/dev/null || missing "$2 ($1)"; }
