#!/bin/sh
# patchwork.sh: a client for machines that have only a POSIX shell and curl.
# Settings: PATCHWORK_SERVER (http://localhost:8080), PATCHWORK_TOKEN,
# PATCHWORK_SECRET. Data goes to stdout, talk to stderr; exit 0 done, 1 failed,
# 2 usage. Every relay has this file at /patchwork.sh.
set -u

say() { printf 'patchwork.sh: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }
misused() { say "$*; see 'patchwork.sh help'"; exit 2; }

usage() {
	cat <<'END'
patchwork.sh send [-m queue|pubsub] [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-f FILE] [-T SECONDS] CHANNEL [DATA]
patchwork.sh receive [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-T SECONDS] [-k] CHANNEL
patchwork.sh listen [-m MAGIC] [-n p|h|r|u] [-s SECRET] [-t TOKEN] CHANNEL [-- COMMAND...]
patchwork.sh get-hook h|r
patchwork.sh share [-n p|h|r|u] [-s SECRET] [-t TOKEN] FILE [CHANNEL]
patchwork.sh download [-n p|h|r|u] [-s SECRET] [-t TOKEN] [--force] [-T SECONDS] CHANNEL [OUTPUT]

send sends DATA, FILE, or standard input. listen shows each message that begins
with MAGIC (default: notify), and gives it to COMMAND. share sends one file to one
receiver. share and download do not encrypt, compare no checksums and do not go on
after a cut. All of that, directories too, takes the patchwork binary.
END
}

server=${PATCHWORK_SERVER:-http://localhost:8080}
case $server in
http://* | https://*) ;;
*://*) misused "PATCHWORK_SERVER has to begin with http:// or https://" ;;
*) server=http://$server ;;
esac
server=${server%/}
token=${PATCHWORK_TOKEN-}
secret=${PATCHWORK_SECRET-}
nl='
'
mode=
space=p
file=
timeout=
keep=
force=
magic=notify
one=
two=
words=0
after=

temp=
part=
clean() {
	if [ -n "$temp" ]; then rm -rf "$temp"; fi
	if [ -n "$part" ] && [ ! -s "$part" ]; then rm -f -- "$part"; fi
}
trap clean EXIT
trap 'clean; trap - EXIT; exit 130' INT
trap 'clean; trap - EXIT; exit 143' TERM

# escaped NAME: as it is written in a URL. Slashes stay.
escaped() {
	printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed -e 's/../%&/g' \
		-e 's/%2f/\//g' -e 's/%2d/-/g' -e 's/%2e/./g' -e 's/%5f/_/g' -e 's/%7e/~/g'
}

# settings: what every request has, for 'curl --config'. A secret on a command
# line would be seen by all.
settings() {
	case $secret$token in
	*[\"\\]* | *"$nl"*) misused "secrets and tokens have no quotes, backslashes or line ends" ;;
	esac
	{
		echo 'silent'
		echo 'globoff'
		case $space in
		h | r) if [ -n "$secret" ]; then echo "header = \"X-Patch-Secret: $secret\""; fi ;;
		*) if [ -n "$token" ]; then echo "header = \"Authorization: Bearer $token\""; fi ;;
		esac
	} >"$temp/settings"
}

# address CHANNEL: the URL of a channel. It ends in no slash: to one that does, curl
# adds the name of the file that it sends.
address() {
	name=$1
	while :; do
		case $name in
		*/) name=${name%/} ;;
		*) break ;;
		esac
	done
	printf '%s/%s/%s' "$server" "$space" "$(escaped "$name")"
}

# judge CURL_EXIT STATUS ANSWER_FILE: ends the program when a request failed.
judge() {
	case $1 in
	0 | 22) ;; # 22: the status says more
	6) fail "there is no such host: $server; look at PATCHWORK_SERVER" ;;
	7) fail "no relay answers at $server; start one, or set PATCHWORK_SERVER" ;;
	18 | 56) fail "the message was cut off before it was whole; ask its sender to send it again" ;;
	23) fail "the output takes no more; is the disk full?" ;;
	26) fail "the file cannot be read" ;;
	35 | 60) fail "$server does not speak https as it should; look at PATCHWORK_SERVER" ;;
	*) fail "the request failed (curl says $1); try again" ;;
	esac
	case $2 in
	2*) return ;;
	401) fail "not let in: give the right secret with -s, or token with -t" ;;
	408) fail "nobody came in time; try again, or wait longer with -T" ;;
	429) fail "too many requests; wait a second and try again" ;;
	3*) fail "$server answers with a redirect; set PATCHWORK_SERVER to where it leads" ;;
	*) fail "the relay says $2; $(head -c 300 "$3" | tr '\n' ' ')" ;;
	esac
}

# ask CURL_ARGUMENTS: a request whose answer is short.
ask() {
	settings
	status=$(curl --config "$temp/settings" -o "$temp/answer" -w '%{http_code}' "$@" 2>/dev/null)
	judge "$?" "$status" "$temp/answer"
}

# got URL CURL_ARGUMENTS: receives to stdout; sets code, and status, which is
# empty when there was no answer.
got() {
	rm -f "$temp/head"
	curl --config "$temp/settings" -N -f -D "$temp/head" "$@" 2>/dev/null
	code=$?
	status=$(sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$temp/head" 2>/dev/null | grep -v '^1' | tail -n 1)
	: >"$temp/answer"
}

word() {
	words=$((words + 1))
	case $words in
	1) one=${1%/} ;;
	2) two=$1 ;;
	*) misused "what is '$1'? quote text that has spaces" ;;
	esac
}

# Options as the binary has them, before or after the channel.
options() {
	while [ $# -gt 0 ]; do
		case $1 in
		-m | -n | -s | -t | -T) if [ $# -eq 1 ]; then misused "$1 needs a value"; fi ;;
		esac
		case $1 in
		-m) mode=$2 magic=$2; shift ;;
		-n) space=$2; shift ;;
		-s) secret=$2; shift ;;
		-t) token=$2; shift ;;
		-T) timeout=$2; shift ;;
		-f)
			if [ "$command" = download ]; then
				force=yes
			else
				if [ $# -eq 1 ]; then misused "-f needs a value"; fi
				file=$2
				shift
			fi
			;;
		--force)
			if [ "$command" != download ]; then misused "--force goes with download"; fi
			force=yes
			;;
		-k) keep=yes ;;
		--)
			shift
			after=$#
			if [ "$command" != listen ]; then
				for rest in "$@"; do word "$rest"; done
			fi
			break
			;;
		-?*) misused "unknown option $1" ;;
		*) word "$1" ;;
		esac
		shift
	done
	if [ -z "$one" ]; then misused "$command: an argument is missing"; fi
	case $space in
	p | h | r | u) ;;
	*) misused "-n '$space' is no namespace; there are p, h, r and u" ;;
	esac
	case $command:$mode in
	share:queue) ;;
	share:?* | download:?*) misused "$command knows no -m: that takes the patchwork binary" ;;
	esac
	case $command:$timeout in
	listen:?* | get-hook:?* | share:?*) misused "$command knows no -T" ;;
	esac
	case $timeout in
	*[!0-9]*) misused "-T '$timeout' is no number of seconds" ;;
	esac
}

send() {
	query=
	case $mode in
	'' | queue) ;;
	pubsub) query='?pubsub=true' ;;
	*) misused "-m '$mode' is no mode; there are queue and pubsub" ;;
	esac
	url=$(address "$one")$query
	if [ -n "$timeout" ]; then
		case $query in
		'') url="$url?timeout=$timeout" ;;
		*) url="$url&timeout=$timeout" ;;
		esac
	fi
	if [ "$words" -eq 2 ]; then
		if [ -n "$file" ]; then misused "send takes DATA or -f FILE, not both"; fi
		printf %s "$two" >"$temp/data"
		ask -X POST -H 'Content-Type:' --data-binary "@$temp/data" "$url"
	elif [ -n "$file" ] && [ "$file" != - ]; then
		if [ ! -r "$file" ] || [ -d "$file" ]; then fail "$file cannot be read"; fi
		ask -X POST -H 'Content-Type:' -T "$file" "$url"
	else
		ask -X POST -H 'Content-Type:' -T - "$url"
	fi
}

receive() {
	if [ "$words" -gt 1 ]; then misused "what is '$two'?"; fi
	url=$(address "$one")
	settings
	if [ -n "$keep" ]; then
		follow "$url?follow=true"
	fi
	if [ -n "$timeout" ]; then url="$url?timeout=$timeout"; fi
	got "$url"
	judge "$code" "$status" "$temp/answer"
}

# lost: ends the program when it makes no sense to go on, says once that the
# connection is lost, and waits. told is up, lost, or empty before the first
# answer.
lost() {
	case $status in
	400 | 401 | 403 | 404 | 405) judge 0 "$status" "$temp/answer" ;;
	'') if [ -z "$told" ]; then judge "$code" 200 /dev/null; fi ;;
	esac
	if [ "$told" != lost ]; then say "the connection is lost, trying again"; fi
	told=lost
	sleep "$wait"
	if [ "$wait" -lt 16 ]; then wait=$((wait * 2)); fi
}

# follow URL: message after message, for ever.
follow() {
	wait=1
	told=
	while :; do
		got "$1"
		case $status in
		2*) wait=1 told=up ;;
		esac
		lost
	done
}

listen() {
	if [ "$after" = 0 ]; then misused "listen: there is no command after the --"; fi
	url=$(address "$one")
	wait=1
	told=
	settings
	while :; do
		# 1 MiB in blocks of 512 bytes: a message that is shown is held whole.
		(
			trap '' XFSZ
			ulimit -f 2048
			got "$url" -o "$temp/message"
			printf '%s:%s' "$code" "$status" >"$temp/how"
		)
		how=$(cat "$temp/how" 2>/dev/null)
		code=${how%%:*}
		status=${how#*:}
		case $code:$status in
		23:2*) say "left out a message that is longer than 1 MiB" ;;
		0:2*)
			wait=1
			told=up
			text=$(cat "$temp/message")
			case $text in
			"$magic"*) ;;
			*) continue ;;
			esac
			text=${text#"$magic"}
			text=${text# }
			printf '%s\n' "$text"
			if [ -n "$after" ]; then
				printf '%s\n' "$text" | "$@" || say "$1 failed"
			elif command -v notify-send >/dev/null 2>&1; then
				notify-send -- "$text" || say "notify-send failed"
			fi
			;;
		*:408) ;;
		*) lost ;;
		esac
	done
}

get_hook() {
	case $one in
	h | r) ;;
	*) misused "get-hook: '$one' is no sort of hook; there are h and r" ;;
	esac
	ask "$server/$one"
	for name in channel secret; do
		value=$(sed -n 's/.*"'$name'" *: *"\([0-9A-Za-z-]*\)".*/\1/p' "$temp/answer")
		if [ -z "$value" ]; then fail "$server does not answer as a relay does; look at PATCHWORK_SERVER"; fi
		echo "$name=$value"
	done
}

share() {
	if [ -d "$one" ]; then fail "$one is a directory; 'patchwork share' sends those, this script only files"; fi
	if [ ! -r "$one" ] || [ ! -f "$one" ]; then fail "$one is no file that can be read"; fi
	if [ "$words" -eq 2 ]; then
		url=$(address "$two")
	else
		url=$(address "$(basename -- "$one")")
	fi
	ask -X POST -H 'Content-Type: application/octet-stream' -T "$one" "$url"
}

download() {
	output=${one##*/}
	if [ "$words" -eq 2 ]; then output=$two; fi
	if [ -d "$output" ]; then output=$output/${one##*/}; fi
	if [ -z "$output" ]; then misused "download: say OUTPUT"; fi
	if [ -e "$output" ] && [ -z "$force" ]; then fail "$output exists; say --force to replace it, or another OUTPUT"; fi
	if ! (: >"$output.part") 2>/dev/null; then fail "$output.part cannot be written"; fi
	part=$output.part
	settings
	url=$(address "$one")
	if [ -n "$timeout" ]; then url="$url?timeout=$timeout"; fi
	got "$url" >"$part"
	judge "$code" "$status" "$temp/answer"
	size=$(sed -n 's/^[Pp]atchwork-[Ss]ize: *\([0-9]*\).*/\1/p' "$temp/head")
	if grep -qi '^Patchwork-Seal:' "$temp/head"; then
		say "$output is encrypted; 'age -d' opens it"
	elif [ -n "$size" ] && [ "$size" != "$(wc -c <"$part" | tr -d ' ')" ]; then
		fail "$part has not the size that its sender says; download it again"
	fi
	mv -f -- "$part" "$output" || fail "$part cannot be renamed"
	part=
}

command=${1-help}
if [ $# -gt 0 ]; then shift; fi
case $command in
send | pub | publish) command=send ;;
receive | sub | get) command=receive ;;
listen | share | download | get-hook) ;;
help | -h | --help) usage; exit 0 ;;
*) misused "unknown command '$command'" ;;
esac
options "$@"
command -v curl >/dev/null 2>&1 || fail "curl is missing; install it"
temp=$(mktemp -d "${TMPDIR:-/tmp}/patchwork.XXXXXX") || fail "there is no room for temporary files; set TMPDIR"
case $command in
get-hook) get_hook ;;
listen)
	if [ "$words" -ne 1 ]; then misused "listen: the command comes after --"; fi
	if [ -n "$after" ]; then
		shift $(($# - after))
	else
		shift $#
	fi
	listen "$@"
	;;
*) "$command" ;;
esac
