# build.sh - one function that builds pgshunt into a folder of its own. Sourced by the scripts that need a program.
#   build_pgshunt build                                              the program as it is shipped
#   build_pgshunt build-test -Dfailpoints=true                       with the places where tests make it fail
#   build_pgshunt build-asan -Dfailpoints=true -Db_sanitize=address,undefined
# shellcheck shell=bash

build_pgshunt() { # folder relative to the top, meson options...
  local top folder
  top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || return 1
  folder=$top/$1
  shift
  if [ -e "$folder/build.ninja" ]; then
    # A folder from an earlier run keeps its objects; options may have changed since.
    meson setup --reconfigure "$folder" "$top" "$@" >/dev/null || return 1   # SQL files may have come, too
  else
    meson setup "$folder" "$top" "$@" || return 1
  fi
  ninja -C "$folder" ${BUILD_JOBS:+-j "$BUILD_JOBS"}
}
