#!/bin/sh
# web.sh [OUT]: builds the scripts and styles of the pages from httpfront/web/src
# into OUT, which is httpfront/web/assets unless said otherwise. The packages of the
# lock file are laid into .cache/web first, if they are not there.
set -eu
cd "$(dirname "$0")/.."

src=httpfront/web/src
packages=.cache/web
if ! cmp -s "$src/package-lock.json" "$packages/installed"; then
	echo "installing: what the pages are built from, from npm" >&2
	mkdir -p "$packages"
	cp "$src/package.json" "$src/package-lock.json" "$packages"
	npm ci --prefix "$packages" --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
	cp "$src/package-lock.json" "$packages/installed"
fi
node "$src/build.mjs" "$packages/node_modules" "${1:-httpfront/web/assets}"
