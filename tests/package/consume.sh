#!/usr/bin/env bash
# consume.sh cmake|pkg-config PREFIX WORK CC: builds consumer/ on an installed library, and runs it.
set -euo pipefail
way=$1 prefix=$2 work=$3 compiler=$4
consumer=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/consumer

rm -rf "$work"
mkdir -p "$work"
case $way in
  cmake)
    cmake -G Ninja -S "$consumer" -B "$work" -DCMAKE_C_COMPILER="$compiler" \
      -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF
    cmake --build "$work"
    ;;
  pkg-config)
    PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name reattn.pc)")
    export PKG_CONFIG_PATH
    read -ra flags <<<"$(pkg-config --cflags --libs reattn)"
    "$compiler" -std=c99 -Wall -Wextra -pedantic -Werror "$consumer/hello.c" -o "$work/hello" \
      "${flags[@]}" -Wl,-rpath,"$(pkg-config --variable=libdir reattn)"
    ;;
esac

"$work/hello"
# The library it loads must be the installed one, not one that a build left somewhere.
loaded=$(ldd "$work/hello" | awk '/libreattn\.so/ {print $3}')
if [[ $(readlink -f "$loaded") != $(readlink -f "$prefix")/* ]]; then
  echo "hello loads $loaded, which is not below $prefix" >&2
  exit 1
fi
