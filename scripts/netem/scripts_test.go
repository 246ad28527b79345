package netem_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the scripts do to a machine, on one of its own. Each line that begins with
// "=" is compared.
const onAMachine = `
set -u
state() { tc qdisc show | grep -v noqueue; ip -o link | grep -Ev ': (lo|d0|e0)' | cut -d: -f2; find /run/totg-netem /run/netns ! -path /run/netns 2>/dev/null; ethtool -k d0 | grep -E '^(tcp|generic)-'; }
quiet() { "$@" >/dev/null 2>&1; }
quiet ./probe.sh; echo "= probe $?"
ip link add name d0 type veth peer name e0; ip link set d0 up; ip link set e0 up
state >/run/before
same() { state | cmp -s - /run/before && echo "= $1: as before" || { echo "= $1: changed"; state | diff /run/before - | sed 's/^/= /'; }; }

quiet ./apply.sh d0 lossy-50; echo "= apply $?"
tc qdisc show dev d0 | sed 's/^/= /; s/ refcnt [0-9]*//'
quiet ./apply.sh d0 clean; echo "= twice $?"
./apply.sh --dry-run d0 off >/run/dry; quiet ./apply.sh d0 off; echo "= off $?"
same off
quiet ./apply.sh --ingress --for 0 d0 leo; echo "= for a while $?"
same 'for a while'
tc qdisc add dev d0 root handle 5: pfifo; quiet ./apply.sh d0 clean; echo "= configured $?"; tc qdisc del dev d0 root
quiet ./apply.sh d0 moon; echo "= unknown $?"
./apply.sh --dry-run d0 clean >/dev/null; same 'dry run'

quiet ./two-hosts.sh exec leo --rtt=30ms sh -c 'sleep 1000 & exit 7'; echo "= exec $?"
same exec
quiet ./two-hosts.sh up clean && quiet ./two-hosts.sh up clean; echo "= up twice $?"
quiet nsenter --net=/run/netns/totg-a ping -c 1 -W 5 10.99.0.2; echo "= ping $?"
./two-hosts.sh show | grep -c netem | sed 's/^/= queues /'
./two-hosts.sh down; same down
quiet ./two-hosts.sh exec clean; echo "= no command $?"
same 'no command'
quiet ./two-hosts.sh exec --tunnel clean --rate=0 true; echo "= no rate $?"
same 'no rate'
`

func TestScriptsLeaveNothingBehind(t *testing.T) {
	needUML(t)
	t.Parallel() // no timing in it
	out := run(t, program(t), "", 5*time.Minute, "./uml.sh", "bash", "-c", onAMachine)
	var got []string
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, "= "); ok {
			got = append(got, strings.TrimSpace(text))
		}
	}
	want := []string{
		"probe 0",
		"apply 0",
		"qdisc netem 1: root limit 252 rate 50Mbit packetoverhead -14",
		"qdisc netem 2: parent 1:1 limit 131072 delay 20ms loss 20%",
		"twice 1", "off 0", "off: as before",
		"for a while 0", "for a while: as before",
		"configured 1", "unknown 2", "dry run: as before",
		"exec 7", "exec: as before",
		"up twice 1", "ping 0", "queues 4", "down: as before",
		"no command 2", "no command: as before",
		"no rate 1", "no rate: as before",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, out)
	}
}

// Every script explains itself, and says what is wrong with its command line.
func TestScriptsHelp(t *testing.T) {
	for _, name := range []string{"probe.sh", "two-hosts.sh", "apply.sh", "uml.sh"} {
		out, err := exec.Command("./"+name, "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "usage: "+name) || strings.Count(string(out), name) < 3 || strings.Contains(string(out), "set -") {
			t.Errorf("%s --help: %v\n%s", name, err, out)
		}
		var exit *exec.ExitError
		out, err = exec.Command("./"+name, "--nonsense").CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s --nonsense: %v\n%s", name, err, out)
		}
	}
}
