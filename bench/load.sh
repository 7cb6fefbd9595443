#!/usr/bin/env bash
# pgbench through pgshunt: its own scripts and those of bench/pgbench/, in each protocol mode, and across a migration.
#   ./bench/load.sh [--clients N] [--seconds S]       exit code 0 only if no transaction failed
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=../tests/lib/packages.sh
. "$top/tests/lib/packages.sh"
# shellcheck source=../tests/lib/build.sh
. "$top/tests/lib/build.sh"
packages_need build run
build_pgshunt build
export PGSHUNT_PROGRAM="${PGSHUNT_PROGRAM:-$top/build/pgshunt}" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$top/bench/load.py" "$@"
