#!/usr/bin/env bash
# Questions about speed, each answered by one run on one machine.
#   ./bench/run.sh attribution         what does it cost to know a statement's tenant? against libpg_query and memchr()
#   ./bench/run.sh copy [--quick]      how fast are a tenant's events copied? against psql's COPY into COPY; and the memory it takes
#   ./bench/run.sh directory           what does it cost to find a stream's tenant? remembered, and asked of the stores
#   ./bench/run.sh guard               what does the guard cost those who write? with 10 and with 10,000 moved tenants
#   ./bench/run.sh move [--quick]      what does an application feel of a move? appends, lag, an outage of the target, pauses
#   ./bench/run.sh pause [--quick]     does the pause grow with the tenant? 10^4 to 10^7 events (--quick: 10^6), with a plot
#   ./bench/run.sh proxy [--quick]     what does reading every statement cost? direct, PgBouncer and pgshunt side by side
#   ./bench/run.sh rows                what does it cost to read the rows of a COPY? against rows that are not read, and PgBouncer
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
question=${1:-}
[ -f "$top/bench/bench_$question.py" ] || [ "$question" = attribution ] || { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }
shift
# shellcheck source=../tests/lib/packages.sh
. "$top/tests/lib/packages.sh"
# shellcheck source=../tests/lib/build.sh
. "$top/tests/lib/build.sh"
packages_need build run bench
# Optimized, with assertions, as it would be packaged.
build_pgshunt build-bench -Dbuildtype=release -Dtests=false
if [ "$question" = attribution ]; then
  ninja -C build-bench bench/bench_attribution >/dev/null
  exec build-bench/bench/bench_attribution
fi
export PGSHUNT_PROGRAM="${PGSHUNT_PROGRAM:-$top/build-bench/pgshunt}" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "$top/bench/bench_$question.py" "$@"
