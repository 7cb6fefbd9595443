#!/usr/bin/env bash
# Installs what is missing, builds and tests. One command on a fresh Debian 12, as root or with sudo:
#   ./tests/run.sh                      everything (of the sanitized stories half, and with the next commit the other half)
#   ./tests/run.sh unit                 cmocka tests of every layer, gcc with -Werror
#   ./tests/run.sh clang                the same build by clang, with -Werror
#   ./tests/run.sh fuzz                 libFuzzer targets, some seconds each
#   ./tests/run.sh e2e [PYTEST ARGS]    stories on real servers (build-test: with failpoints)
#   ./tests/run.sh failpoints           before and after every statement of a migration: a crash, an error, a cut; e2e walks some
#   ./tests/run.sh tls [PYTEST ARGS]    the same stories with TLS wherever it can be; not part of everything
#   ./tests/run.sh attribution          the corpus of statements, each sent through pgshunt to two stores (tests/attribution)
#   ./tests/run.sh presets              clients and statements of real event stores, through their presets (tests/presets)
#   ./tests/run.sh compat               drivers, libpq_pipeline, part of PostgreSQL's own regression suite (tests/compat)
#   ./tests/run.sh asan [PYTEST ARGS]   unit tests and stories under ASan + UBSan + LSan
# The last line is "N passed, N failed"; exit code 0 only if nothing failed.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
# shellcheck source=lib/packages.sh
. tests/lib/packages.sh
# shellcheck source=lib/build.sh
. tests/lib/build.sh

python=/usr/bin/python3                 # the distribution's: it has the drivers
export PYTHONDONTWRITEBYTECODE=1
workers=${PYTEST_WORKERS:-3}
results=$(mktemp -d "${TMPDIR:-/tmp}/pgshunt-tests-XXXXXX") || exit 1
tally=$results/tally
: >"$tally"
trap 'rm -rf "$results"' EXIT
trap 'exit 130' INT TERM HUP

count() { "$python" tests/lib/tally.py "$@"; }
headline() { printf '\n=== %s\n' "$*"; }

build() { # folder, options: a build that fails is a failure of its own
  local name=$1 log=$results/$1.log
  headline "building $name"
  if build_pgshunt "$@" >"$log" 2>&1; then
    grep -E 'warning:|Warning' "$log" | sort -u | head -n 20
    count add "$tally" "build of $name" 1 0
  else
    tail -n 80 "$log"
    count add "$tally" "build of $name" 0 1
    return 1
  fi
}

unit_tests() { # folder, name of the suite
  headline "$2"
  rm -f "$1/meson-logs/testlog.json"
  CMOCKA_MESSAGE_OUTPUT=TAP ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    meson test -C "$1" --no-rebuild --print-errorlogs </dev/null
  count meson "$tally" "$2" "$1"
}

stories() { # build folder, folder of the stories, name of the suite, pytest arguments...
  local folder=$1 tests=$2 name=$3 junit
  junit=$results/junit-$1-$(basename "$2").xml
  shift 3
  headline "$name"
  # A machine of two cores that runs three stories at once now and then starves one: it gets one more try, and the run
  # says so ("rerun").
  PGSHUNT_PROGRAM=$top/$folder/pgshunt MIGRATE_DATA=$top/$folder/tests/integration/migrate_data \
    "$python" -m pytest -p no:cacheprovider -n "$workers" --reruns 1 --junitxml="$junit" -q -rR "$@" "$tests" </dev/null
  count pytest "$tally" "$name" "$junit" $?
}

suite_unit() {
  build build -Dwerror=true && unit_tests build "unit tests"
}

suite_clang() {
  packages_need clang || { count add "$tally" "packages for clang" 0 1; return; }
  CC=clang build build-clang -Dwerror=true
}

suite_fuzz() { # some seconds each, from the seeds in the tree: meson.build there says how to run them for longer
  packages_need clang || { count add "$tally" "packages for the fuzzers" 0 1; return; }
  CC=clang build build-fuzz -Dfuzzers=true -Dtests=false && unit_tests build-fuzz "fuzzers"
}

suite_e2e() {
  build build-test -Dfailpoints=true || return
  stories build-test tests/integration "stories of the copy and the mirror"
  stories build-test tests/e2e "stories" "$@"
}

suite_failpoints() {
  build build-test -Dfailpoints=true || return
  PGSHUNT_WALK=all stories build-test tests/e2e/test_dies_at_every_statement.py "every statement" "$@"
  PGSHUNT_WALK=all stories build-test tests/e2e/test_survives_kill.py "every place" "$@"
}

suite_tls() {
  build build-test -Dfailpoints=true || return
  PGSHUNT_TLS=1 stories build-test tests/e2e "stories, over TLS" "$@"
}

suite_attribution() {
  local log=$results/attribution.log line status
  build build-test -Dfailpoints=true || return
  headline "attribution: statements at two stores"
  BUILD=$top/build-test PGSHUNT_PROGRAM=$top/build-test/pgshunt bash tests/attribution/run.sh </dev/null 2>&1 | tee "$log" | tail -n 40
  status=${PIPESTATUS[0]}
  line=$(grep -E '^[0-9]+ statements, [0-9]+ elsewhere' "$log" | tail -n 1)
  if [[ $line =~ ^([0-9]+)\ statements,\ ([0-9]+)\ elsewhere ]] && [[ $status = 0 || ${BASH_REMATCH[2]} -gt 0 ]]; then
    count add "$tally" "statements at two stores" $((BASH_REMATCH[1] - BASH_REMATCH[2])) "${BASH_REMATCH[2]}"
  else
    count add "$tally" "statements at two stores" 0 1
  fi
}

suite_presets() {
  build build-test -Dfailpoints=true || return
  if bash tests/presets/install.sh >"$results/presets.log" 2>&1; then
    count add "$tally" "clients of event stores from npm" 1 0
  else
    tail -n 40 "$results/presets.log"
    count add "$tally" "clients of event stores from npm" 0 1
  fi
  stories build-test tests/presets "stories of the presets" "$@"
}

compare() { # part, arguments...: the last line of it counts
  local part=$1 log=$results/compat-$1.log line status
  headline "compat: $*"
  PGSHUNT_PROGRAM=$top/build-test/pgshunt bash tests/compat/run.sh "$@" </dev/null 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  line=$(grep -E "^$part: [0-9]+ passed, [0-9]+ failed$" "$log" | tail -n 1)
  if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]] && [[ $status = 0 || ${BASH_REMATCH[2]} -gt 0 ]]; then
    count add "$tally" "compat: $*" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  else
    count add "$tally" "compat: $*" 0 1
  fi
}

suite_compat() {
  build build-test -Dfailpoints=true || return
  compare drivers
  compare pipeline
  compare regress --quick
}

suite_asan() {
  build build-asan -Dfailpoints=true -Db_sanitize=address,undefined -Db_lundef=false || return
  unit_tests build-asan "unit tests, sanitized"
  # Those that end in kill -9 have nothing to tell a leak checker; they have run in the plain build.
  stories build-asan tests/e2e "stories, sanitized" -m "not undisturbed" --ignore=tests/e2e/test_survives_kill.py \
    --ignore=tests/e2e/test_dies_on_the_way_back.py --ignore=tests/e2e/test_dies_at_every_statement.py "$@"
}

packages_need build run test || exit 1
suite=${1:-all}
[ $# -gt 0 ] && shift
case $suite in
  unit)  suite_unit ;;
  clang) suite_clang ;;
  fuzz)  suite_fuzz ;;
  e2e)   suite_e2e "$@" ;;
  failpoints) suite_failpoints "$@" ;;
  tls)   suite_tls "$@" ;;
  attribution) suite_attribution ;;
  presets) suite_presets "$@" ;;
  compat) suite_compat ;;
  asan)  suite_asan "$@" ;;
  all)   suite_unit; suite_clang; suite_fuzz; suite_e2e "$@"; suite_attribution; suite_presets; suite_compat
         # Sanitized stories take as long as all the rest: half of them, and with the next commit the other half.
         PGSHUNT_SHARE=${PGSHUNT_SHARE-$(($(git rev-list --count HEAD 2>/dev/null || echo 0) % 2))/2} suite_asan "$@" ;;
  *)     sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
echo
count sum "$tally"
