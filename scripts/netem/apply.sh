#!/usr/bin/env bash
# Makes one device of this host as bad as a link of a profile, with real tc netem.
#
# usage: apply.sh [FLAGS] DEVICE PROFILE [LINK FLAGS]
#        apply.sh [--dry-run] DEVICE off
#
#   --direction up|down  whose properties to take (default up: from host A to B)
#   --ingress            for what DEVICE receives, instead of what it sends
#   --for SECONDS        undo it after that time, or when interrupted: for a host
#                        that you reach over DEVICE
#   --dry-run            print the commands and run none
#
#   PROFILE     a name out of profiles.toml ("totg lab --list" shows them)
#   LINK FLAGS  as of "totg lab", written with "=": --loss=10 --rate=20mbit
#   off         puts back what was there
#
#   apply.sh --dry-run eth0 lossy-50
#   apply.sh --for 60 eth0 geo --loss=5     # and --ingress for the other direction
#   apply.sh eth0 off
#
# Best on a router between the hosts. On the sender's own device, netem pushes back
# on the sender's sockets, which no real link does: use --ingress on both hosts
# instead. Queue and rate come first and loss and delay second, as two queues one
# inside the other. The direction's offloads are switched off meanwhile, so that a
# drop is one packet. A schedule is not played: two-hosts.sh does that. Needs root; a
# queue that somebody configured on DEVICE is not replaced.

set -euo pipefail
# shellcheck source=scripts/netem/link.sh
. "$(dirname "${BASH_SOURCE[0]}")/link.sh"

direction=up ingress='' seconds='' dry=''
while :; do
	case ${1:-} in
	--direction) direction=${2?--direction needs up or down} && shift ;;
	--ingress) ingress=yes ;;
	--for) seconds=${2?--for needs seconds} && shift ;;
	--dry-run) dry=yes ;;
	-h | --help) help && exit ;;
	-*) wrong "unknown flag $1" ;;
	*) break ;;
	esac
	shift
done
[ $# -ge 2 ] || wrong 'which device, and which profile or "off"?'
[[ $direction == up || $direction == down ]] || wrong "the direction \"$direction\" is neither up nor down"
[[ -z $seconds || $seconds =~ ^[0-9]+$ ]] || wrong "--for $seconds: write a number of seconds"
device=$1 profile=$2
shift
state=/run/totg-netem/device-$device

run() {
	if [ -n "$dry" ]; then
		printf '%s\n' "$*"
	else
		"$@"
	fi
}

# ifb is the device through which what DEVICE receives goes; names have 15 letters
# at most.
ifb=ifb-${device:0:11}

# undo puts back what apply changed, as far as it came.
undo() {
	local what
	while read -r what; do
		case $what in
		egress) run tc qdisc del dev "$device" root || true ;;
		ingress) run tc qdisc del dev "$device" ingress || true ;;
		ifb) run ip link del "$ifb" || true ;;
		offload\ *) run ethtool -K "$device" "${what#offload }" on || true ;;
		esac
	done < <([ ! -f "$state" ] || tac "$state")
	run rm -f "$state"
	[ -n "$dry" ] || rmdir /run/totg-netem 2>/dev/null || true
}

# note remembers what has to be undone.
note() { [ -n "$dry" ] || printf '%s\n' "$1" >>"$state"; }

# The kernel's own queues have the handle 0.
configured() { tc qdisc show dev "$device" | grep -Eq "^qdisc $1"; }

offloads_off() {
	local f short
	for f in "$@"; do
		short=${f#*=}
		ethtool -k "$device" 2>/dev/null | grep -q "^${f%=*}: on\$" || continue
		note "offload $short"
		run ethtool -K "$device" "$short" off
	done
}

queues() { # queues DEVICE
	local first=$up_nested second=$up_second
	[ "$direction" = up ] || { first=$down_nested second=$down_second; }
	# The arguments are several words on purpose.
	# shellcheck disable=SC2086
	if [ -n "$first" ]; then
		run tc qdisc add dev "$1" root handle 1: netem $first
		run tc qdisc add dev "$1" parent 1:1 handle 2: netem $second
	else
		run tc qdisc add dev "$1" root handle 1: netem $second
	fi
}

apply() {
	if [ -n "$ingress" ]; then
		! configured 'ingress|clsact' || configured_error
		offloads_off generic-receive-offload=gro large-receive-offload=lro
		note ifb
		run ip link add name "$ifb" type ifb
		run ip link set "$ifb" up
		queues "$ifb"
		note ingress
		run tc qdisc add dev "$device" ingress
		run tc filter add dev "$device" ingress matchall action mirred egress redirect dev "$ifb"
	else
		! configured '[a-z_]+ [1-9a-f][0-9a-f]*: .*root' || configured_error
		offloads_off tx-udp-segmentation=tx-udp-segmentation tcp-segmentation-offload=tso generic-segmentation-offload=gso
		note egress
		queues "$device"
	fi
}

configured_error() { die "$device has a queue already: $(tc qdisc show dev "$device" | head -n 1)"; }

need ip tc ethtool
[ -n "$dry" ] || need_root
ip link show dev "$device" >/dev/null 2>&1 || die "there is no device $device"
if [ "$profile" = off ]; then
	[ $# = 1 ] || wrong '"off" takes no flags'
	[ -f "$state" ] || die "nothing was applied to $device"
	undo
	exit
fi
read_link "$@"
[ -n "$dry" ] || need_netem
steps=$up_steps
[ "$direction" = up ] || steps=$down_steps
[ -z "$steps" ] || echo "${0##*/}: the schedule of $profile is left out" >&2
[ ! -f "$state" ] || die "something is applied to $device already: $0 $device off"
if [ -z "$dry" ]; then
	mkdir -p /run/totg-netem
	trap undo EXIT
	trap 'exit 130' INT TERM HUP
fi
apply
if [ -n "$seconds" ]; then
	run sleep "$seconds"
else
	trap - EXIT
fi
