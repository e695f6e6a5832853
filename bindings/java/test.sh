#!/usr/bin/env bash
# Builds, tests and packages the Java binding against an installed copy of a build.
#   test.sh package BUILD WORK WRITE_MODEL   everything by Maven; the packages go to WORK/repository
#   test.sh on WORK JAVA                     the tests again, on another Java
#   test.sh outside WORK [JAVA...]           a project that has the packages only
# Exits with 77 (skipped) where a tool is missing, but in CI, where that is a failure.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

for tool in javac mvn swig cmake; do
  if ! command -v "$tool" >/dev/null; then
    echo "the Java binding needs $tool, which is not installed"
    [[ ${CI:-} == true || ${CI:-} == 1 ]] && exit 1
    exit 77
  fi
done

maven() {
  mvn -B -f "$here/pom.xml" -Dstyle.color=never -Dreattn.prefix="$work/prefix" \
    -Dreattn.build="$work/target" "$@"
}

mode=$1
shift
case $mode in
  package)
    build=$1 work=$2 write_model=$3
    rm -rf "$work/prefix" "$work/target" "$work/repository"
    mkdir -p "$work"
    cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
    "$write_model" "$work/tiny.gguf"
    export REATTN_TINY_MODEL=$work/tiny.gguf
    maven deploy -DaltDeploymentRepository="packaged::file://$work/repository"
    ;;
  on)
    work=$1
    export REATTN_TINY_MODEL=$work/tiny.gguf
    maven test -Djvm="$2"
    ;;
  outside)
    work=$1
    shift
    "$here/outside/run.sh" "$work/repository" "$work/outside" "$work/tiny.gguf" "$@"
    ;;
  *)
    sed -n '2,6s/^# //p' "$0" >&2
    exit 2
    ;;
esac
