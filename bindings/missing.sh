# For scripts of tests: what a missing tool means, and a registry that fails. Sourced.

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

# fetching COMMAND...: runs it, and again, three times in all, where a registry failed it and for
# no other reason: no test gets a second chance.
fetching() {
  local said status n
  said=$(mktemp)
  for n in 1 2 3; do
    status=0
    "$@" 2>&1 | tee "$said" || status=$?
    ((status != 0 && n < 3)) && grep -qE "$registry_failed" "$said" || break
    echo "a registry failed; once more" >&2
    sleep $((n * 5))
  done
  rm -f "$said"
  return "$status"
}
# As Maven, npm and pip say it.
registry_failed='Could not (transfer|resolve) |was not found in .* during a previous attempt|^npm (error|ERR!)|^ERROR: '
