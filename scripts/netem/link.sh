# shellcheck shell=bash
# Sourced by the scripts beside it: how they read a link, and how they complain.
# The one parser of profiles.toml is totg's, which also does the arithmetic.

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# wrong is for a mistake on the command line.
wrong() {
	printf '%s: %s; --help tells more\n' "${0##*/}" "$*" >&2
	exit 2
}

# help prints the comment at the top of the script.
help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# find_totg sets TOTG to the program: $TOTG, the one of this source tree (built
# if need be), or the installed one.
find_totg() {
	local root=$scripts/../..
	if [ -n "${TOTG:-}" ]; then
		[ -x "$TOTG" ] || die "TOTG=$TOTG is not a program"
	elif [ -x "$root/bin/totg" ]; then
		TOTG=$(cd "$root/bin" && pwd)/totg
	elif TOTG=$(command -v totg); then
		:
	elif [ -f "$root/Makefile" ] && command -v go >/dev/null; then
		make -s -C "$root" build >&2 || die 'totg was not built'
		TOTG=$(cd "$root/bin" && pwd)/totg
	else
		die 'there is no totg: run "make build", or set TOTG to the program'
	fi
}

# The link, as internal/lab/netem.go describes it: each direction's rate in bit/s,
# MTU in bytes, arguments of its netem queues and steps of its schedule.
rtt_us='' up_rate='' up_mtu='' up_first='' up_nested='' up_second='' up_steps=''
down_rate='' down_mtu='' down_first='' down_nested='' down_second='' down_steps=''

# read_link PROFILE [FLAG...] sets them; the flags are those of "totg lab" that
# describe the link.
read_link() {
	local text
	find_totg
	text=$("$TOTG" lab --tc --profile "$@") || exit
	eval "$text"
	[ -n "$rtt_us$up_rate$up_mtu$up_first$up_nested$up_second$up_steps$down_rate$down_mtu$down_first$down_nested$down_second$down_steps" ] || die "$TOTG is too old for these scripts"
}

need() {
	local c
	for c; do
		command -v "$c" >/dev/null || die "$c is missing (Debian packages: iproute2 ethtool util-linux)"
	done
}

need_root() { [ "$(id -u)" = 0 ] || die 'run it as root'; }

# has_qdisc KIND reports whether the kernel has it, in a network namespace that
# goes away again.
has_qdisc() { unshare --net tc qdisc add dev lo root handle 1: "$@" 2>/dev/null; }

need_netem() {
	has_qdisc netem limit 10 ||
		die "this kernel has no netem. In its stead: $scripts/uml.sh COMMAND (user-mode-linux has it), or \"totg lab\" (needs none). $scripts/probe.sh tells more"
}
