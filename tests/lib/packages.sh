# packages.sh - the Debian packages that building, testing and showing pgshunt need; installs what is missing.
# Sourced by demo/run.sh, tests/run.sh and bench/*.sh:  packages_need build run test
# shellcheck shell=bash

packages_in_group() {
  case $1 in
    build) echo build-essential meson ninja-build pkg-config libuv1-dev libssl-dev libpq-dev libpg-query-dev \
                libprotobuf-c-dev libinih-dev uthash-dev uuid-dev libmicrohttpd-dev zlib1g-dev libcmocka-dev ;;
    run)   echo postgresql-15 postgresql-client-15 util-linux python3 python3-psycopg python3-asyncpg ;;
    test)  echo openssl python3-pytest python3-pytest-xdist python3-pytest-timeout python3-pytest-rerunfailures ;;
    clang) echo clang libclang-rt-dev ;;
    bench) echo pgbouncer ;;
    compat) echo bzip2 ;;
    drivers) echo python3-psycopg2 libpostgresql-jdbc-java default-jdk-headless libpqxx-dev libdbd-pg-perl ruby-pg php-cli \
                  php-pgsql ;;
    node)  echo nodejs npm ;;
    *)     echo "packages.sh: no group \"$1\"" >&2; return 1 ;;
  esac
}

packages_missing() { # names... -> those not installed
  local name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null)" = "ii " ] || echo "$name"
  done
}

packages_as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "these packages have to be installed first, by root: $packages_wanted" >&2
    return 1
  fi
}

# No PostgreSQL cluster of the distribution is made and no service started: what we start, we stop.
packages_install() (
  packages_wanted="$*"
  policy=/usr/sbin/policy-rc.d
  conf=/etc/postgresql-common/createcluster.conf

  if [ ! -e $conf ]; then
    # Neither dpkg nor ucf replaces a configuration file that is already there (CONFFOLD below).
    packages_as_root install -d -m 755 /etc/postgresql-common || return 1
    echo 'create_main_cluster = false' | packages_as_root tee $conf >/dev/null || return 1
  elif ! grep -Eq '^[[:space:]]*create_main_cluster[[:space:]]*=[[:space:]]*false' $conf; then
    echo 'create_main_cluster = false' | packages_as_root tee -a $conf >/dev/null || return 1
  fi
  if [ ! -e $policy ]; then
    trap 'packages_as_root rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | packages_as_root tee $policy >/dev/null || return 1
    packages_as_root chmod 755 $policy || return 1
  fi
  packages_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update || return 1
  packages_as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get -q -y -o Dpkg::Options::=--force-confold \
    install --no-install-recommends "$@" </dev/null
)

packages_need() { # groups...
  local group names missing
  names=
  for group in "$@"; do
    names="$names $(packages_in_group "$group")" || return 1
  done
  # shellcheck disable=SC2086
  missing=$(packages_missing $names)
  [ -z "$missing" ] && return 0
  # shellcheck disable=SC2086
  { echo installing: $missing; packages_install $missing; }
}
