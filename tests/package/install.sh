#!/usr/bin/env bash
# install.sh BUILD SOURCE WORK: installs the build into WORK/installed, and into a prefix that is
# then moved to WORK/moved; fails when what was installed names folders of this machine or holds
# internals.
set -euo pipefail
build=$1 source=$2 work=$3

rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/installed" >"$work/install.log"
cmake --install "$build" --prefix "$work/built-for" >>"$work/install.log"
mv "$work/built-for" "$work/moved"

cd "$work/moved"
status=0
while IFS= read -r file; do
  case $file in
    *.cmake | *.pc | *.h)
      if grep -nF -e "$source" -e "$build" -e "$work" "$file"; then
        echo "$file names a folder of the machine it was built on" >&2
        status=1
      fi
      ;;
  esac
  case $file in
    ./include/reattn/reattn.h | ./lib*/libreattn.so* | ./lib*/libreattn_cuda.so | ./lib*/cmake/reattn/*.cmake) ;;
    ./lib*/pkgconfig/reattn.pc | ./bin/reattn | ./share/doc/reattn/*) ;;
    *)
      echo "$file is installed; nothing says that it is part of the package" >&2
      status=1
      ;;
  esac
done < <(find . -type f -o -type l)
if [[ -e bin/reattn ]]; then
  bin/reattn --version >/dev/null  # finds its library beside it, wherever that is
fi
exit $status
