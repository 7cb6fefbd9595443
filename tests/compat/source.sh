# source.sh - PostgreSQL's own source, of the distribution: what its regression suite and libpq_pipeline are built from.
# Sourced:  postgres_source FOLDER   fetches, configures and builds into FOLDER/postgresql; does nothing if it is there.
# The distribution's own sources file is copied with "Types: deb-src" into an apt configuration of its own: nothing of the
# machine's changes.
# shellcheck shell=bash

source_apt() { # folder: an apt configuration that knows the sources only
  mkdir -p "$1/parts" "$1/lists/partial" "$1/cache/archives/partial" || return 1
  local file found=
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] && grep -qE '^deb ' "$file" && sed -n 's/^deb /deb-src /p' "$file" >"$1/parts/$(basename "$file" .list).list" && found=1
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$1/parts/$(basename "$file")" && found=1
  done
  [ -n "$found" ] || { echo "source.sh: no sources of the distribution in /etc/apt" >&2; return 1; }
  cat >"$1/apt.conf" <<END
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$1/parts";
Dir::State::Lists "$1/lists";
Dir::Cache "$1/cache";
APT::Sandbox::User "root";
END
}

source_fetch() { # folder: the tarball in it; the installed server's version, else the nearest that can be had
  local installed versions version
  installed=$(dpkg-query -W -f '${Version}' postgresql-15)
  source_apt "$1/apt" || return 1
  export APT_CONFIG=$1/apt/apt.conf
  apt-get -qq update >&2
  versions=$(apt-cache showsrc --only-source postgresql-15 | sed -n 's/^Version: //p' | sort -rV)
  for version in $installed $versions; do
    # A minor version may have left the mirror, or not have reached it: the suite differs by a few lines only, and the
    # proxy is compared with the server, not with the expected files.
    if (cd "$1" && apt-get -q source --download-only "postgresql-15=$version" >fetch.log 2>&1); then
      echo "PostgreSQL's source: $version (the server is $installed)"
      unset APT_CONFIG
      return 0
    fi
  done
  unset APT_CONFIG
  cat "$1/fetch.log" >&2
  return 1
}

postgres_source() { # folder
  local top=$1 log=$1/build.log
  [ -e "$top/built" ] && return 0
  rm -rf "$top"
  mkdir -p "$top/postgresql" || return 1
  source_fetch "$top" || { echo "source.sh: PostgreSQL's source cannot be had" >&2; return 1; }
  (
    # Only the suite's driver and library, and a client program, are built: what the server itself needs can stay out.
    tar -xjf "$top"/postgresql-15_*.orig.tar.bz2 -C "$top/postgresql" --strip-components=1 &&
      cd "$top/postgresql" && ./configure --without-readline --without-zlib &&
      make -s -j"$(nproc)" -C src/test/regress all
  ) >"$log" 2>&1 </dev/null || { tail -n 40 "$log" >&2; return 1; }
  rm -rf "$top/apt" "$top"/postgresql-15_*
  touch "$top/built"
}
