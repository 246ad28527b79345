#!/usr/bin/env bash
# Checks docs/model/ladder.pml with Spin: every execution of the vote-once rule,
# with loss, repetition, reordering, deadlines at any moment and restarts, and
# the two rules of the paper, for which it prints the counter-example. Then the
# vote-once rule with one condition left out at a time, which must fail, too.
#
# usage: scripts/model.sh        needs spin and gcc
set -eu
cd "$(dirname "$0")/.."
for tool in spin gcc; do
	command -v "$tool" >/dev/null || { echo "model: $tool is not installed" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp docs/model/ladder.pml "$work"
cd "$work"
failed=0

# check NAME WANT DEFINES...: WANT is safe or unsafe.
check() {
	local name=$1 want=$2 got errors states
	shift 2
	rm -f pan* ./*.trail
	spin -a "$@" ladder.pml >spin.log || { cat spin.log; exit 1; }
	gcc -O2 -DSAFETY -DNOFAIR -DCOLLAPSE -DBFS -w -o pan pan.c
	./pan -m1000000 -w24 >pan.log 2>&1 || true
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log | head -1)
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log | head -1)
	if [ -z "$errors" ] || grep -q 'out of memory\|max search depth\|truncated' pan.log; then
		cat pan.log
		echo "FAILED  $name: the search did not end"
		failed=1
		return
	fi
	got=safe
	[ "$errors" = 0 ] || got=unsafe
	printf '%-8s%s: %s states\n' "$got" "$name" "$states"
	if [ "$got" != "$want" ]; then
		echo "FAILED  $name: want $want"
		failed=1
	fi
	if [ "$got" = unsafe ]; then
		trail "$@"
	fi
}

# trail prints the steps of a counter-example.
trail() {
	spin -t "$@" ladder.pml 2>&1 | sed -n 's/^ *STEP \([01]\) /\1 /p' | awk '
		BEGIN { split("C D T Q+QC V", level)
			 split("COMMITTED ABORTED", outcome)
			split("voted refused joined overruled", stage) }
		{
			who = $1 == 0 ? "A" : "B"
			sub(/^[01] /, "")
			if ($1 == "tells") $2 = outcome[$2]
			else if ($1 == "has") $NF = "\"" stage[$NF] "\""
			else if ($1 == "signs" && $2 == "up") $4 = level[$4]
			else if (($1 == "sends" || $1 == "receives") && $2 != "ABORT") $2 = level[$2]
			printf "        %2d. %s: %s\n", NR, who, $0
		}'
}

check 'vote once' safe
check 'vote once, up to 2 restarts of each' safe -DRESTARTS=2
check 'paper, four phases (section 3)' unsafe -DRULE=PAPER4
check 'paper, six phases (section 5, Full Solve)' unsafe -DRULE=PAPER6
check 'vote once, but the vote leaves before it is stable' unsafe -DMISTAKE=1 -DRESTARTS=1
check 'vote once, but who is in doubt gives up' unsafe -DMISTAKE=2
check 'vote once, but commit on the own vote' unsafe -DMISTAKE=3
check 'vote once, but a restart forgets the refusal' unsafe -DMISTAKE=4 -DRESTARTS=1
exit $failed
