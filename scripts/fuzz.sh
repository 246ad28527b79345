#!/usr/bin/env bash
# Runs every fuzz target of the module for some seconds each, as many at once
# as there are processors (each target itself is held to one worker).
#
# usage: scripts/fuzz.sh [SECONDS]
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-10}
jobs=$(nproc 2>/dev/null || echo 2)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# One line per target: package and name.
targets() {
	grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . |
		grep -v '/testdata/' |
		sed -E 's|^(.*)/[^/]*:func (.*)$|\1 \2|' | sort
}

one() {
	local pkg=$1 name=$2 log="$logs/${1//\//_}.$2"
	if go test "$pkg" -run='^$' -fuzz="^$name\$" -fuzztime="${seconds}s" -fuzzminimizetime=20x -parallel=1 >"$log" 2>&1 ||
		ended_late "$pkg" "$name" "$log"; then
		printf 'ok    %s %s  %s\n' "$pkg" "$name" "$(grep -Eo 'execs: [0-9]+' "$log" | tail -1)"
	else
		printf 'FAIL  %s %s\n' "$pkg" "$name"
		cat "$log"
		return 1
	fi
}

# Before Go 1.27 the fuzzer sometimes reports its own end of time as a failure
# (go.dev/issue/75804). It is that, and no finding, if the log names no other
# error and no input, and the corpus passes when it is run again.
ended_late() {
	local pkg=$1 name=$2 log=$3
	[ "$(grep -A1 "^--- FAIL: $name " "$log" | tail -1)" = '    context deadline exceeded' ] &&
		! grep -Eq 'Failing input|panic:|hung or terminated' "$log" &&
		go test "$pkg" -run="^$name\$" -count=1 >>"$log" 2>&1
}
export -f one ended_late
export logs seconds

list=$(targets)
[ -n "$list" ] || { echo 'fuzz: no targets found' >&2; exit 1; }
# xargs ends with an error if any target fails, after all have run.
# shellcheck disable=SC2016  # the words are for the inner shell
xargs -P "$jobs" -L 1 bash -c 'one "$1" "$2"' fuzz <<<"$list"
