#!/usr/bin/env bash
# Says what this machine can do for the lab, and which way to take.
#
# usage: probe.sh
#
# Tries things in a network namespace that goes away again; the kernel may load
# modules for that. Nothing else changes. As a user without root it needs user
# namespaces. The exit code is 0 if real tc netem works here, 3 if it does in
# user-mode Linux, 4 if only "totg lab" is left.
#
#   probe.sh
#   probe.sh >/dev/null && two-hosts.sh up lossy-50

set -uo pipefail
# shellcheck source=scripts/netem/link.sh
. "$(dirname "${BASH_SOURCE[0]}")/link.sh"

case ${1:-} in
-h | --help) help && exit ;;
'') ;;
*) wrong "unknown argument $1" ;;
esac

say() { printf '%-22s %-4s %s\n' "$1" "$2" "$3"; }

# A user becomes root of a user namespace, to try what root may.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(unshare --user --map-root-user)
inside() { "${as_root[@]}" unshare --net --mount sh -c "$1" >/dev/null 2>&1; }

# try NAME COMMAND MEANING-IF-NOT prints one line, and fails if the command does.
try() {
	if inside "$2"; then
		say "$1" yes ''
	else
		say "$1" no "$3"
		return 1
	fi
}

echo "kernel $(uname -r), $(nproc) processors"
netem=yes lab=yes
for program in tc ip unshare nsenter ethtool; do
	command -v "$program" >/dev/null || { say "$program" no 'missing: apt-get install iproute2 util-linux ethtool' && netem=''; }
done
try namespaces true 'no right to make them: run as root, or allow user namespaces' || netem='' lab=''
if [ -w /dev/net/tun ]; then
	say '/dev/net/tun' yes ''
else
	say '/dev/net/tun' no 'modprobe tun, or chmod 0666 /dev/net/tun for users; no tunnel and no "totg lab" without it'
	lab=''
fi
try netem 'tc qdisc add dev lo root netem delay 1ms' 'no real loss and delay' || netem=''
try veth 'ip link add x type veth peer name y' 'no cable between two namespaces' || netem=''
try bridge 'ip link add x type bridge' 'no switch; two-hosts.sh needs it' || netem=''
try ifb 'ip link add x type ifb' 'apply.sh --ingress needs it'
try fq 'tc qdisc add dev lo root fq' 'a kernel BBR paces by itself; fine'
try fq_codel 'tc qdisc add dev lo root fq_codel' 'not needed'
try tbf 'tc qdisc add dev lo root tbf rate 1mbit burst 10k limit 10k' 'not needed'
say 'TCP algorithms' '' "$(cat /proc/sys/net/ipv4/tcp_available_congestion_control 2>/dev/null || echo unknown); the default is $(cat /proc/sys/net/ipv4/tcp_congestion_control 2>/dev/null)"
rmem=$(cat /proc/sys/net/core/rmem_max 2>/dev/null || echo 0)
if [ "$rmem" -ge 4194304 ]; then
	say 'socket buffers' yes "net.core.rmem_max is $rmem bytes"
else
	say 'socket buffers' no "net.core.rmem_max is $rmem bytes: on fast links programs without root lose datagrams in the socket; sysctl -w net.core.rmem_max=16777216"
fi
if command -v linux.uml >/dev/null && [ -d /usr/lib/uml/modules ] && PATH=$PATH:/sbin:/usr/sbin command -v modprobe >/dev/null; then
	say 'user-mode Linux' yes ''
	uml=yes
else
	say 'user-mode Linux' no 'apt-get install user-mode-linux kmod (Debian)'
	uml=''
fi
echo
way='totg lab, which needs no netem'
[ -n "$lab" ] || way='totg lab, once what it lacks is there'
if [ -n "$netem" ]; then
	[ "$(id -u)" = 0 ] && echo 'Use: two-hosts.sh (real tc netem), or totg lab' || echo 'Use: two-hosts.sh as root (real tc netem), or totg lab'
	exit 0
elif [ -n "$uml" ]; then
	echo "Use: $way; or uml.sh two-hosts.sh (real tc netem, up to 20 Mbit/s)"
	exit 3
fi
echo "Use: $way"
exit 4
