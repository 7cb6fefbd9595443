#!/usr/bin/env bash
# One tenant moves from one PostgreSQL to another while applications append and read, and the demo proves that nothing
# was lost. On a fresh Debian 12, as root or with sudo: installs what is missing, builds, runs, leaves nothing behind.
#   ./demo/run.sh [--events N] [--appends-per-second N] [--keep]      (--help: all options)
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lib/packages.sh
. "$top/tests/lib/packages.sh"
# shellcheck source=../tests/lib/build.sh
. "$top/tests/lib/build.sh"

case " $* " in
  *" --help "*|*" -h "*) ;;
  *)
    packages_need build run
    echo "building"
    log=$(mktemp)
    build_pgshunt build >"$log" 2>&1 || { cat "$log"; rm -f "$log"; exit 1; }
    rm -f "$log"
    ;;
esac
export PGSHUNT_PROGRAM="${PGSHUNT_PROGRAM:-$top/build/pgshunt}" PYTHONDONTWRITEBYTECODE=1
# The distribution's Python: it is the one that has the drivers.
exec /usr/bin/python3 "$top/demo/demo.py" "$@"
