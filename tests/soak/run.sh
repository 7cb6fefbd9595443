#!/usr/bin/env bash
# Tenants move to and fro while processes, servers and links fail at random:  ./tests/soak/run.sh [--seconds 600] [--seed N]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
# shellcheck source=../lib/packages.sh
. tests/lib/packages.sh
# shellcheck source=../lib/build.sh
. tests/lib/build.sh
packages_need build run test
build_pgshunt build-test -Dfailpoints=true
export PGSHUNT_PROGRAM="${PGSHUNT_PROGRAM:-$top/build-test/pgshunt}" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 tests/soak/soak.py "$@"
