# SPDX-License-Identifier: Apache-2.0
# What the scripts share: where things are, progress on a terminal, one way to build.
# shellcheck shell=bash
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc)
# The distribution's Python: it has the distribution's packages, whatever else is on the PATH.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

# shellcheck disable=SC2034 # some scripts use some of them
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
	bold='' dim='' red='' green='' plain=''
fi

# say TEXT: a heading of what happens now.
say() { printf '%s==>%s %s%s%s\n' "$green" "$plain" "$bold" "$*" "$plain"; }
# die TEXT: what went wrong and what to do.
die() {
	printf '%s%s%s\n' "$red" "$*" "$plain" >&2
	exit 1
}

# help "$@": on -h or --help the words at the top of the script, and nothing else.
help() {
	case ${1:-} in
	-h | --help)
		sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	esac
}

# quietly LOG COMMAND...: run with its output in LOG; show the end of it when it fails.
quietly() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		printf '%sfailed:%s %s (all of it: %s)\n' "$red" "$plain" "$*" "$log" >&2
		return 1
	fi
}

# counted LOG TOTAL WHAT COMMAND...: the same; on a terminal the lines of LOG are counted meanwhile.
counted() {
	local log=$1 total=$2 what=$3 lines counter failed=0
	shift 3
	if [ -z "$green" ] || [ "$total" -eq 0 ]; then
		quietly "$log" "$@"
		return
	fi
	: >"$log"
	while sleep 0.2; do
		lines=$(wc -l <"$log")
		[ "$lines" -le "$total" ] || lines=$total
		printf '\r\e[K    %s %d of %d' "$what" "$lines" "$total"
	done &
	counter=$!
	quietly "$log" "$@" || failed=$?
	kill $counter
	wait $counter 2>/dev/null || true
	printf '\r\e[K'
	return $failed
}

# build FOLDER [CONFIGURE-ARGUMENT...]: configure once, make what is out of date.
build() {
	local dir=$1 steps
	shift
	mkdir -p "$dir"
	if [ ! -x "$top/configure" ] || [ "$top/configure.ac" -nt "$top/configure" ]; then
		[ -z "$green" ] || printf '\r\e[K    configuring'
		quietly "$dir/autoreconf.log" autoreconf -fi "$top"
	fi
	if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/arguments" 2>/dev/null)" != "$*" ]; then
		[ -z "$green" ] || printf '\r\e[K    configuring'
		(cd "$dir" && quietly "$dir/configure.log" "$top/configure" PYTHON="$python" "$@")
		printf '%s' "$*" >"$dir/arguments"
	fi
	steps=$(make -C "$dir" -n --no-print-directory 2>/dev/null | grep -c 'echo "  [A-Z]' || true)
	counted "$dir/make.log" "$steps" 'building' make -C "$dir" -j "$jobs" --no-print-directory
}
