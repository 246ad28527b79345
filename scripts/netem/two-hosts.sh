#!/usr/bin/env bash
# Two hosts and a lossy link between them, made of real tc netem.
#
# usage: two-hosts.sh up PROFILE [LINK FLAGS]
#        two-hosts.sh down
#        two-hosts.sh show
#        two-hosts.sh exec [--tunnel] [--b COMMAND] PROFILE [LINK FLAGS] [--] COMMAND...
#
#   up     makes the hosts, which are the network namespaces totg-a and totg-b
#   down   ends everything that runs in them, and removes them
#   show   prints the counters of the queues
#   exec   does "up", runs COMMAND in host A and then does "down", whatever happens
#
#   PROFILE      a name out of profiles.toml ("totg lab --list" shows them)
#   LINK FLAGS   as of "totg lab", written with "=": --rate=10mbit --loss-down=30
#   --tunnel     run "totg up" on both hosts, and COMMAND when it carries packets
#   --b COMMAND  a shell command to run in the background of host B
#
# COMMAND sees the variables of docs/lab.md, which are also replaced in its
# arguments: $TOTG_DIRECT (host B), $TOTG_PEER (host B through the tunnel) and so on.
#
#   two-hosts.sh exec lossy-50 --loss=5 ping -c 20 '$TOTG_DIRECT'
#   two-hosts.sh exec --tunnel --b 'iperf3 -s' lossy-50 iperf3 -R -c '$TOTG_PEER'
#   uml.sh two-hosts.sh exec leo ping -c 20 '$TOTG_DIRECT'    # a kernel without netem
#
# Between the hosts is a router, the namespace totg-r: two switches with a cable.
# A packet meets queue and rate where it enters the cable, and loss and delay where
# it leaves the router: never on the sender's own device, never both in one netem.
# Offloads are off, so that a drop is one packet. A schedule is played for an hour.
# Needs root, and the kernel's netem, veth and bridge. Nothing of the host's own
# network is touched.

set -euo pipefail
# shellcheck source=scripts/netem/link.sh
. "$(dirname "${BASH_SOURCE[0]}")/link.sh"

umask 077 # there are keys in the folder
state=/run/totg-netem/two-hosts
direct_a=10.99.0.1 direct_a6=fd99::1 direct_b=10.99.0.2 direct_b6=fd99::2
inner_a=10.77.0.1 inner_a6=fd77::1 inner_b=10.77.0.2 inner_b6=fd77::2
port=4430

in_ns() { # in_ns NAME COMMAND...
	local name=$1
	shift
	nsenter --net="/run/netns/totg-$name" -- "$@"
}

# quietly runs a command whose failure means no more than that the kernel has no
# such knob.
quietly() { "$@" >/dev/null 2>&1 || true; }

no_offloads() { # no_offloads NAME DEVICE
	local feature
	for feature in tso gso gro tx-udp-segmentation; do
		quietly in_ns "$1" ethtool -K "$2" "$feature" off
	done
}

make_host() { # make_host NAME ADDRESS ADDRESS6 MTU
	local name=$1 s
	in_ns "$name" ip link set lo up
	in_ns "$name" ip link set wire0 mtu "$4"
	for s in net.ipv6.conf.wire0.addr_gen_mode=1 net.ipv6.conf.wire0.router_solicitations=0 \
		net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_congestion_control=cubic \
		'net.ipv4.tcp_rmem=4096 262144 33554432' 'net.ipv4.tcp_wmem=4096 262144 33554432'; do
		quietly in_ns "$name" sysctl -qw "$s"
	done
	in_ns "$name" ip address add "$2/24" dev wire0
	quietly in_ns "$name" ip address add "$3/64" dev wire0 nodad
	no_offloads "$name" wire0
	in_ns "$name" ip link set wire0 up
}

# know tells a host the other's hardware address for good: a link that loses half of
# the packets loses the questions for it too, and then everything for a second.
know() { # know NAME OTHER ADDRESS ADDRESS6
	local mac
	read -r _ _ mac _ < <(in_ns "$2" ip -brief link show dev wire0)
	in_ns "$1" ip neighbour add "$3" lladdr "$mac" dev wire0 nud permanent
	quietly in_ns "$1" ip neighbour add "$4" lladdr "$mac" dev wire0 nud permanent
}

make_router() { # make_router MTU
	local side d
	in_ns r ip link add cable-a mtu "$1" type veth peer name cable-b mtu "$1"
	for side in a b; do
		ip link add "to-$side" mtu "$1" netns totg-r type veth peer name wire0 mtu "$1" netns "totg-$side"
		in_ns r ip link add "side-$side" type bridge stp_state 0 forward_delay 0 mcast_snooping 0
		for d in "to-$side" "cable-$side" "side-$side"; do
			quietly in_ns r sysctl -qw "net.ipv6.conf.$d.disable_ipv6=1"
			no_offloads r "$d"
			[ "$d" = "side-$side" ] || in_ns r ip link set "$d" master "side-$side"
			in_ns r ip link set "$d" up
		done
	done
}

# make_queues puts the two stages of one direction in place.
make_queues() { # make_queues FIRST-DEVICE FIRST SECOND-DEVICE SECOND
	# The arguments are several words on purpose.
	# shellcheck disable=SC2086
	[ -z "$2" ] || in_ns r tc qdisc add dev "$1" root netem $2
	# shellcheck disable=SC2086
	in_ns r tc qdisc add dev "$3" root netem $4
}

# play goes through a schedule. It ends with the namespace that it runs in.
play() { # play FILE FIRST-DEVICE SECOND-DEVICE
	local start=${EPOCHREALTIME/[.,]/} at args wait
	while read -r at args; do
		wait=$((at * 1000 - (${EPOCHREALTIME/[.,]/} - start)))
		[ "$wait" -le 0 ] || sleep "$((wait / 1000000)).$(printf '%06d' $((wait % 1000000)))"
		# shellcheck disable=SC2086
		[ -z "${args%%|*}" ] || tc qdisc change dev "$2" root netem ${args%%|*}
		# shellcheck disable=SC2086
		tc qdisc change dev "$3" root netem ${args#*|}
	done <"$1"
}

start_schedule() { # start_schedule DIRECTION STEPS FIRST-DEVICE SECOND-DEVICE
	[ -n "$2" ] || return 0
	printf '%s\n' "$2" >"$state/$1.steps"
	setsid nsenter --net=/run/netns/totg-r -- bash "$scripts/two-hosts.sh" play "$state/$1.steps" "$3" "$4" \
		</dev/null >"$state/$1.log" 2>&1 &
}

up() {
	need ip tc ethtool nsenter unshare setsid sysctl
	need_root
	need_netem
	[ $# -gt 0 ] || wrong 'which profile?'
	read_link "$@"
	[ ! -e /run/netns/totg-r ] || die 'the hosts are there already; "two-hosts.sh down" removes them'
	trap 'exit 130' INT TERM HUP
	trap down EXIT
	mkdir -p "$state"
	local name mtu=$up_mtu
	[ "$down_mtu" -ge "$mtu" ] || mtu=$down_mtu
	for name in a r b; do ip netns add "totg-$name"; done
	make_router "$mtu"
	make_host a "$direct_a" "$direct_a6" "$mtu"
	make_host b "$direct_b" "$direct_b6" "$mtu"
	know a b "$direct_b" "$direct_b6"
	know b a "$direct_a" "$direct_a6"
	make_queues cable-a "$up_first" to-b "$up_second"
	make_queues cable-b "$down_first" to-a "$down_second"
	start_schedule up "$up_steps" cable-a to-b
	start_schedule down "$down_steps" cable-b to-a
	trap - EXIT
}

down() {
	local name pids
	for name in a b r; do
		[ -e "/run/netns/totg-$name" ] || continue
		# What runs in these namespaces was started for them.
		pids=$(ip netns pids "totg-$name")
		# shellcheck disable=SC2086
		[ -z "$pids" ] || { quietly kill $pids; sleep 0.2; }
		pids=$(ip netns pids "totg-$name")
		# shellcheck disable=SC2086
		[ -z "$pids" ] || quietly kill -9 $pids
		ip netns delete "totg-$name"
	done
	rm -rf "$state"
	quietly rmdir /run/totg-netem
}

show() {
	local d
	[ -e /run/netns/totg-r ] || die 'there are no hosts; "two-hosts.sh up PROFILE" makes them'
	for d in 'cable-a A to B: queue and rate' 'to-b A to B: loss and delay' 'cable-b B to A: queue and rate' 'to-a B to A: loss and delay'; do
		printf '%s\n' "${d#* }"
		in_ns r tc -s qdisc show dev "${d%% *}" | sed 's/^/  /'
	done
}

# configuration writes the tunnel's configuration of one host.
configuration() { # configuration NAME PEER-PUBLIC-KEY BANDWIDTH
	local own=$inner_a own6=$inner_a6 peer=$inner_b peer6=$inner_b6 endpoint=$direct_b
	[ "$1" = a ] || { own=$inner_b own6=$inner_b6 peer=$inner_a peer6=$inner_a6 endpoint=$direct_a; }
	cat >"$state/$1.toml" <<-END
		[interface]
		name = "totg0"
		private_key = "$(cat "$state/$1.key")"
		addresses = ["$own/24", "$own6/64"]
		listen = "0.0.0.0:$port"
		bandwidth = "${3}bit"
		rate = "fixed"

		[[peer]]
		name = "other"
		public_key = "$2"
		endpoint = "$endpoint:$port"
		allowed_ips = ["$peer/32", "$peer6/128"]
	END
}

start_tunnel() {
	local name try daemons=()
	case " $up_rate $down_rate " in *' 0 '*) die 'a tunnel needs a rate: --rate=50mbit' ;; esac
	need ping
	for name in a b; do "$TOTG" keygen >"$state/$name.key"; done
	configuration a "$("$TOTG" pubkey <"$state/b.key")" "$up_rate"
	configuration b "$("$TOTG" pubkey <"$state/a.key")" "$down_rate"
	for name in a b; do
		mkdir -p "$state/$name.run"
		TOTG_RUN_DIR=$state/$name.run in_ns "$name" "$TOTG" up -c "$state/$name.toml" </dev/null >"$state/$name.log" 2>&1 &
		daemons+=($!)
	done
	for ((try = 0; try < 60; try++)); do
		! answered || return 0
		kill -0 "${daemons[@]}" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 "$state"/[ab].log >&2
	die 'nothing comes through the tunnel'
}

answered() { in_ns a ping -q -c 1 -W 1 "$inner_b" >/dev/null 2>&1; }

# expand replaces the variables of the lab in a word.
expand() {
	local word=$1 v
	for v in TOTG_NETNS_A TOTG_NETNS_B TOTG_DIRECT6 TOTG_DIRECT TOTG_PEER6 TOTG_PEER; do
		word=${word//\$\{$v\}/${!v}}
		word=${word//\$$v/${!v}}
	done
	printf '%s' "$word"
}

exec_() {
	local tunnel='' background='' link=() words=() word
	while :; do
		case ${1:-} in
		--tunnel) tunnel=yes ;;
		--b) background=${2?--b needs a command} && shift ;;
		*) break ;;
		esac
		shift
	done
	[ $# -gt 0 ] || wrong 'which profile?'
	link=("$1")
	shift
	while [[ ${1:-} == --?* ]]; do link+=("$1") && shift; done
	[ "${1:-}" != -- ] || shift
	[ $# -gt 0 ] || wrong 'which command?'
	up "${link[@]}"
	trap down EXIT
	export TOTG_LAB=1 TOTG_NETNS_A=/run/netns/totg-a TOTG_NETNS_B=/run/netns/totg-b TOTG
	export TOTG_DIRECT=$direct_b TOTG_DIRECT6=$direct_b6 TOTG_PEER=$direct_b TOTG_PEER6=$direct_b6
	[ -z "$tunnel" ] || export TOTG_PEER=$inner_b TOTG_PEER6=$inner_b6
	[ -z "$background" ] || in_ns b sh -c "$background" </dev/null >"$state/command-b.log" 2>&1 &
	[ -z "$tunnel" ] || start_tunnel
	[ -z "$background" ] || sleep 0.3
	for word; do words+=("$(expand "$word")"); done
	in_ns a "${words[@]}"
}

case ${1:-} in
up) shift && up "$@" ;;
down) need_root && down ;;
show) show ;;
exec) shift && exec_ "$@" ;;
play) shift && play "$@" ;;
-h | --help | help) help ;;
'') wrong 'what is to be done?' ;;
*) wrong "\"$1\" is none of up, down, show, exec" ;;
esac
