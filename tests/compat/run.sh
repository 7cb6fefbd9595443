#!/usr/bin/env bash
# What others wrote, through pgshunt and without it. One command on a fresh Debian 12, as root or with sudo:
#   ./tests/compat/run.sh regress [--quick]    PostgreSQL's own regression suite (--quick: the part that CI runs)
#   ./tests/compat/run.sh pipeline             libpq_pipeline, PostgreSQL's own test of pipeline mode
#   ./tests/compat/run.sh drivers [--write]    the drivers of docs/compatibility.md (--write: make the table anew)
#   ./tests/compat/run.sh all                  all of it
# What is left of the arguments goes to the program (tests/compat/README.md). The last line counts; exit code 0 only if
# nothing failed. PGSHUNT_PROGRAM names another program than build/pgshunt, which is built if that is not given.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
# shellcheck source=../lib/packages.sh
. tests/lib/packages.sh
# shellcheck source=../lib/build.sh
. tests/lib/build.sh
# shellcheck source=source.sh
. tests/compat/source.sh

python=/usr/bin/python3                 # the distribution's: it has the drivers
export PYTHONDONTWRITEBYTECODE=1
made=$top/build-compat                  # PostgreSQL's source and node's drivers: kept, git does not see them

node_drivers() { # installs what package-lock.json says into build-compat/node
  command -v npm >/dev/null || packages_need node || return 1
  cmp -s tests/compat/node/package-lock.json "$made/node/installed.json" && return 0
  rm -rf "$made/node"
  mkdir -p "$made/node" && cp tests/compat/node/package*.json "$made/node/" &&
    (cd "$made/node" && npm ci --ignore-scripts --no-audit --no-fund) </dev/null &&
    cp tests/compat/node/package-lock.json "$made/node/installed.json"
}

pipeline_program() {
  make -s -C "$made/source/postgresql/src/test/modules/libpq_pipeline" >"$made/pipeline.log" 2>&1 ||
    { tail -n 40 "$made/pipeline.log"; return 1; }
}

regress() {
  postgres_source "$made/source" && "$python" tests/compat/regress.py "$made/source/postgresql" "$@"
}

pipeline() {
  postgres_source "$made/source" && pipeline_program &&
    "$python" tests/compat/pipeline.py "$made/source/postgresql" "$@"
}

drivers() {
  node_drivers && "$python" tests/compat/drivers.py --node "$made/node" "$@"
}

what=${1:-}
[ $# -gt 0 ] && shift
case $what in
  regress | pipeline) packages_need build run compat || exit 1 ;;
  drivers | all) packages_need build run compat drivers || exit 1 ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
mkdir -p "$made" || exit 1
if [ -z "${PGSHUNT_PROGRAM:-}" ]; then
  build_pgshunt build >"$made/build.log" 2>&1 || { tail -n 60 "$made/build.log"; exit 1; }
  export PGSHUNT_PROGRAM=$top/build/pgshunt
fi
case $what in
  all)
    failed=0
    drivers || failed=1
    pipeline || failed=1
    regress "$@" || failed=1
    exit $failed
    ;;
  *) "$what" "$@" ;;
esac
