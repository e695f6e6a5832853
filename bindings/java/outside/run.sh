#!/usr/bin/env bash
# run.sh REPOSITORY WORK MODEL [JAVA...]: builds the project beside this file in WORK, outside of the
# tree, with the binding out of the Maven repository folder REPOSITORY, and runs it with each JAVA.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../missing.sh"
repository=$1 work=$2 model=$3
shift 3
unset REATTN_LIBRARY LD_LIBRARY_PATH

rm -rf "$work/project"
mkdir -p "$work/project"
cp -r "$here/pom.xml" "$here/src" "$work/project"
cd "$work/project"
# A local repository of its own: nothing in the user's may stand in for what is packaged.
rm -rf "$work/m2/org/reattn"
fetching mvn -B -U -q process-classes -Dpackaged="file://$repository" -Dmaven.repo.local="$work/m2"
ls target/dependency

for java in "${@:-java}"; do
  "$java" -cp 'target/classes:target/dependency/*' org.example.Outside "$model" |
    tee /dev/stderr | grep '^8 tokens .* as classes$'
  "$java" -p target/classes:target/dependency --add-modules org.reattn.natives \
    -m org.example.outside/org.example.Outside "$model" |
    tee /dev/stderr | grep '^8 tokens .* as a module$'
done
