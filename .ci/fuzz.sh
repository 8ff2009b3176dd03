#!/bin/sh
# fuzz.sh TIME: runs every fuzz test of the module for TIME. go test takes one
# at a time.
set -eu

for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "$package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package"
	done
done
