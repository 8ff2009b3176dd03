#!/bin/sh
# npm.sh: lays the clients of .ci/npm/package.json, at the versions of its lock
# file, into .cache/npm, quietly, and says so. Does nothing when they are there.
set -eu
cd "$(dirname "$0")"

to=../.cache/npm
cmp -s npm/package-lock.json "$to/installed" && exit 0

echo "installing: clients from npm"
mkdir -p "$to"
cp npm/package.json npm/package-lock.json "$to"
npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
cp npm/package-lock.json "$to/installed"
