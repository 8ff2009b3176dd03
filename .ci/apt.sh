#!/bin/sh
# apt.sh PROGRAM:PACKAGE…: installs the Debian package of each program (or file, by
# its whole path) that is missing, quietly, and says what it installs. Does nothing when all are there.
set -eu

missing=
for pair in "$@"; do
	[ -e "${pair%%:*}" ] || PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "the tests need these Debian packages, or what your system calls them:$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $missing >/dev/null
