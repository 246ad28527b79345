package main

import (
	"strings"
	"testing"

	"github.com/totg/totg/internal/lab"
)

func TestLabMistakes(t *testing.T) {
	for _, c := range []struct {
		args, want string
	}{
		{"lab --loss 120", `--loss" flag: link: loss: cannot read percentage "120"; write a number from 0 to 100`},
		{"lab --rate-up fast", `cannot read rate "fast"`},
		{"lab --rtt-up 5ms", "unknown flag: --rtt-up"},
		{"lab --jitter 30ms", "jitter 30ms is not between 0 and the one-way delay of 20ms"},
		{"lab --mtu 500", "mtu: at least 1280"},
		{"lab --burst 5 --loss 90", "burst 5 is too short for a loss of 0.9"},
		{"lab --profile moon", `no profile "moon"; there are clean, geo,`},
		{"lab --profiles /no/such/file", "--profiles: open /no/such/file: no such file"},
		{"lab --rate-mode fast", `--rate-mode: "fast" is no rate mode`},
		{"lab --change at=5s", `change "at=5s": say when and what`},
		{"lab --change outage", `change "outage": write for example at=10s outage=2s`},
		{"lab --compare ipsec true", `--compare: there is no "ipsec"; there are tcp-cubic,`},
		{"lab --compare openvpn", "--compare: which command?"},
		{"lab --port 0 true", "--port 0: not between 1 and 65535"},
		{"lab --bandwidth all", `--bandwidth: cannot read rate "all"`},
		{"lab --redundancy some", `--redundancy: "some" is no redundancy: write "auto" or a number from 0 to 100`},
		{"lab --redundancy -1", `--redundancy: "-1" is out of range: write "auto" or a number from 0 to 100`},
		{"lab --arq=maybe", `invalid argument "maybe" for "--arq" flag`},
		{"demo --size 0", `--size "0": write for example 20MB`},
		{"demo --size much", `--size "much"`},
		{"demo --limit 1ms", "--limit 1ms: at least 1s"},
		{"demo --profile moon", "no profile"},
		{"theseus now", `theseus takes no argument "now"`},
		{"theseus --rule paper5", `--rule: unknown rule "paper5": vote-once, paper4 or paper6`},
		{"theseus --runs 0", "--runs 0: from 1 to 1000000"},
		{"theseus --deadline -1", "--deadline -1: from 0 to 100000 ticks"},
		{"theseus --horizon 100001", "--horizon 100001: from 0 to 100000 ticks"},
		{"theseus --deadline 9 --horizon 8", "--horizon 8: before the deadline of 9 ticks"},
		{"demo now", `demo takes no argument "now"`},
	} {
		r := run(t, "", strings.Fields(c.args)...)
		if r.code != codeUsage || !strings.Contains(r.errors, c.want) || strings.Count(r.errors, "\n") != 1 || !strings.HasPrefix(r.errors, "totg: ") {
			t.Errorf("totg %s: %+v, want %q", c.args, r, c.want)
		}
	}
}

func TestLabList(t *testing.T) {
	out := ok(t, "", "lab", "--list")
	for _, want := range []string{"PROFILE", "lossy-50", "50Mbit/50Mbit", "geo-storm"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// The flags reach the link, one direction or both, and the command's exit code
// and output are the program's.
func TestLabRuns(t *testing.T) {
	cmd := totg(t, "lab", "--no-tunnel", "--rate", "8mbit", "--rtt", "10ms", "--loss", "0", "--loss-down", "30", "--rate-up=2mbit",
		"sh", "-c", "echo $0; exit 9", "$TOTG_DIRECT6")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 9 || out.String() != "fd99::2\n" {
		t.Errorf("exit code %d, output %q", code, out.String())
	}
	want := "link: up 2Mbit, queue 15 KB, loss 0 %; down 8Mbit, queue 15 KB, loss 30 %; RTT 10ms\n"
	if !strings.HasPrefix(errs.String(), want) {
		t.Errorf("%s, want %s", errs.String(), want)
	}
}

// Changes on the command line come on top of the profile's.
func TestLabChanges(t *testing.T) {
	cmd := totg(t, "lab", "--tc", "--profile", "leo", "--change", "at=2s rate=5mbit direction=up", "--change", "at=1s every=1h outage=20ms")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"up_steps='1000 ", "\n1020 ", "\n2000 limit 151 rate 5000000bit", "\n15000 ", "down_steps='1000 "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in %.600s", want, out)
		}
	}
}

// The flags of the tunnel reach the lab; without them it decides.
func TestLabTunnelFlags(t *testing.T) {
	var opt lab.Options
	if err := (&labTunnel{"fair", "", "auto"}).apply(&opt); err != nil || opt.Bandwidth != 0 || opt.Redundancy != nil || opt.Fixed {
		t.Errorf("without flags: %+v, %v", opt, err)
	}
	err := (&labTunnel{"fixed", "20mbit", "0"}).apply(&opt)
	if err != nil || opt.Bandwidth != 20e6 || opt.Redundancy == nil || *opt.Redundancy != 0 || !opt.Fixed {
		t.Errorf("with flags: %+v, %v", opt, err)
	}
}
