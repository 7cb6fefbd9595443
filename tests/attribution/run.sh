#!/usr/bin/env bash
# Compares what attribution says of every statement in the tables of this folder with what stands there.
#   ./tests/attribution/run.sh [TABLE...]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$top/build}
if [ -z "${ATTRIBUTION:-}" ]; then
  [ -d "$build" ] || meson setup "$build" "$top" >/dev/null
  ninja -C "$build" tests/attribution/attribution >/dev/null
  ATTRIBUTION=$build/tests/attribution/attribution
fi
[ $# -gt 0 ] || set -- "$top"/tests/attribution/*.txt
exec "$ATTRIBUTION" "$@"
