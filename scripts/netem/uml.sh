#!/usr/bin/env bash
# Runs a command on a kernel that has netem, whatever this machine's kernel has.
#
# usage: uml.sh [--mem SIZE] [--write FOLDER] [--timeout SECONDS] [--] [COMMAND...]
#
#   --mem SIZE         memory of the kernel (default 1G; taken as it is used)
#   --write FOLDER     let COMMAND write to FOLDER; it sees all other files as they
#                      are, and can change none
#   --timeout SECONDS  end it after that time (exit code 124)
#
# COMMAND runs as root on a user-mode Linux: a kernel that is a program, and boots
# from this machine's own files in some seconds. It has its own processes, network
# and devices; standard output, standard error and the exit code are passed on,
# standard input is not. Without a COMMAND it is a shell, on a terminal.
#
#   uml.sh tc qdisc add dev lo root netem loss 10%
#   uml.sh two-hosts.sh exec lossy-50 --rate=10mbit ping -c 20 '$TOTG_DIRECT'
#   uml.sh                                                # look around
#
# It has one processor, computes at native speed and is slow at system calls: links
# of up to 20 Mbit/s are well emulated. Needs the Debian packages user-mode-linux and
# kmod, and neither root nor kernel features; /run, /dev and /var/tmp are its own.

set -euo pipefail
# shellcheck source=scripts/netem/link.sh
. "$(dirname "${BASH_SOURCE[0]}")/link.sh"

mem=1G write='' limit=''
while :; do
	case ${1:-} in
	--mem) mem=${2?--mem needs a size} && shift ;;
	--write) write=$(cd "${2?--write needs a folder}" && pwd) && shift ;;
	--timeout) limit=${2?--timeout needs seconds} && shift ;;
	-h | --help) help && exit ;;
	--) shift && break ;;
	-*) wrong "unknown flag $1" ;;
	*) break ;;
	esac
	shift
done

uml=$(command -v linux.uml || command -v linux) || die 'user-mode-linux is missing: apt-get install user-mode-linux kmod'
modprobe=$(PATH=$PATH:/sbin:/usr/sbin command -v modprobe) || die 'modprobe is missing: apt-get install kmod'
[ -d /usr/lib/uml/modules ] || die 'there are no modules in /usr/lib/uml/modules: apt-get install user-mode-linux'
if [ $# -eq 0 ]; then
	[ -t 0 ] || wrong 'which command? (a shell needs a terminal)'
	set -- "${SHELL:-/bin/sh}"
	input=fd:0
else
	input=null
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/totg-uml.XXXXXX")
kernel=''
# The kernel is a program with several processes of its own group.
# shellcheck disable=SC2317
clean() {
	[ -z "$kernel" ] || kill -9 -- "-$kernel" 2>/dev/null || true
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$dir/out" "$dir/uml"

# What the first process does. Its output is the command's, on lines of their own:
# tty1 is standard output (and input), tty2 standard error.
cat >"$dir/init" <<END
#!/bin/bash
exec >/dev/tty1 2>/dev/tty2
stty raw -echo </dev/tty2; [ $input = fd:0 ] || stty raw -echo </dev/tty1
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t tmpfs run /run; mount -t tmpfs tmp /var/tmp
mkdir -p /dev/pts /dev/shm /run/modules/lib /run/totg-uml; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd; for n in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/\${n%:*} /dev/\${n#*:}; done
mount -t hostfs -o '$dir/out' out /run/totg-uml
$([ -z "$write" ] || printf 'mount -t hostfs -o %q write %q\n' "$write" "$write")
ln -s /usr/lib/uml/modules /run/modules/lib/modules
printf '#!/bin/sh\nexec $modprobe -d /run/modules "\$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe -a tun tcp_bbr
[ -c /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
# Else the loss that is seen is the socket's, or the loopback's.
sysctl -qw net.core.rmem_max=16777216 net.core.wmem_max=16777216 net.core.netdev_max_backlog=100000 kernel.printk='1 4 1 7'
ip link set lo up
. '$dir/command'
echo \$? >/run/totg-uml/code
sync
echo o >/proc/sysrq-trigger
sleep 10
END
chmod 0755 "$dir/init"
# In a file of its own, as quoting for two shells at once is hard to get right.
{
	export -p | grep -Ev ' (TMPDIR|OLDPWD)='
	printf 'export TMPDIR=/run\ncd %q\n' "$PWD"
	if [ "$input" = null ]; then
		printf '(exec setsid -w %s </dev/null)\n' "$(printf '%q ' "$@")"
	else
		printf '(exec setsid -c -w %s </dev/tty1)\n' "$(printf '%q ' "$@")"
	fi
} >"$dir/command"

boot=("$uml" "mem=$mem" rootfstype=hostfs rootflags=/ ro "init=$dir/init" "uml_dir=$dir/uml/" umid=totg quiet
	con=null con0=null "con1=$input,fd:1" "con2=null,fd:2")
status=0
if [ "$input" = null ]; then
	set -m # a process group of its own
	${limit:+timeout --foreground -k 2 "$limit"} "${boot[@]}" </dev/null &
	kernel=$!
	set +m
	wait "$kernel" || status=$?
else
	"${boot[@]}" || status=$? # the terminal's own group
fi
[ "$status" != 124 ] || { printf '%s: not done after %s s\n' "${0##*/}" "$limit" >&2 && exit 124; }
[ -s "$dir/out/code" ] || die "the kernel ended before the command did (status $status); with too little memory? --mem"
exit "$(cat "$dir/out/code")"
