#!/usr/bin/env bash
# Installs the clients that tests/presets runs from npm, as package-lock.json says, into build-compat/presets.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"
# shellcheck source=../lib/packages.sh
. tests/lib/packages.sh
made=$top/build-compat/presets
command -v npm >/dev/null || packages_need node
cmp -s tests/presets/node/package-lock.json "$made/installed.json" && exit 0
rm -rf "$made"
mkdir -p "$made"
cp tests/presets/node/package*.json "$made/"
(cd "$made" && npm ci --ignore-scripts --no-audit --no-fund) </dev/null
cp tests/presets/node/package-lock.json "$made/installed.json"
