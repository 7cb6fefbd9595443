#!/usr/bin/env bash
# Compares what attribution says of every statement in the tables of this folder with what stands there; then sends them
# through pgshunt to two stores, and looks which of them got each.
#   ./tests/attribution/run.sh [--plan] [TABLE...]      --plan: the first half alone, which needs no servers
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}
if [ -z "${ATTRIBUTION:-}" ]; then
  [ -d "$build" ] || meson setup "$build" "$top" >/dev/null
  ninja -C "$build" tests/attribution/attribution >/dev/null
  ATTRIBUTION=$build/tests/attribution/attribution
fi
plan_only=
[ "${1:-}" != --plan ] || { plan_only=1; shift; }
[ $# -gt 0 ] || set -- "$top"/tests/attribution/*.txt
"$ATTRIBUTION" "$@"
[ -z "$plan_only" ] || exit 0
ninja -C "$build" pgshunt >/dev/null
PGSHUNT_PROGRAM=${PGSHUNT_PROGRAM:-$build/pgshunt} exec /usr/bin/python3 "$top/tests/attribution/servers.py" "$@"
