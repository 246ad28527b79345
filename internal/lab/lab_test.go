package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twice runs a test as root and as an unprivileged user, as far as this process
// may become either.
func twice(t *testing.T, f func(t *testing.T, user bool)) {
	t.Helper()
	if os.Getuid() == 0 {
		t.Run("root", func(t *testing.T) { f(t, false) })
	}
	t.Run("user", func(t *testing.T) { f(t, true) })
}

func TestLinkCarriesPingAndDownload(t *testing.T) {
	twice(t, func(t *testing.T, user bool) {
		t.Helper()
		o := job{Kind: "measure", User: user, Settings: map[string]string{"rtt": "20ms", "rate": "100mbit"}}.run(t)
		var m measured
		if err := json.Unmarshal([]byte(o.stdout), &m); err != nil || o.code != 0 {
			t.Fatalf("code %d, %v\n%s%s", o.code, err, o.stdout, o.stderr)
		}
		// The lower bound is exact whatever the machine does; the upper is not.
		if m.Echo.Sent != 20 || m.Echo.Loss() != 0 || m.Echo.Quantile(0) < 20*time.Millisecond {
			t.Errorf("%+v", m.Echo)
		}
		if !m.Load.Complete || m.Load.Bytes != 1<<20 || m.Load.Rate() > 100e6 {
			t.Errorf("%+v", m.Load)
		}
		if m.Cut.Complete || m.Cut.Bytes != 0 {
			t.Errorf("%+v", m.Cut)
		}
		if !m.Closed || m.Up.Delivered == 0 || m.Up.Lost != 0 {
			t.Errorf("%+v", m)
		}
	})
}

func TestCommandSeesTheLab(t *testing.T) {
	twice(t, func(t *testing.T, user bool) {
		t.Helper()
		o := job{
			User: user, Quiet: true, Settings: map[string]string{"rate": "10mbit"},
			Command: []string{"/bin/sh", "-c", `echo "$0 $1 $TOTG_LAB $TOTG_PEER6"; exit 7`, "$TOTG_DIRECT", "${TOTG_PEER}x$TOTG_NONE"},
		}.run(t)
		if o.code != 7 || o.stdout != "10.99.0.2 10.99.0.2x$TOTG_NONE 1 fd99::2\n" || o.stderr != "" {
			t.Errorf("%+v", o)
		}
	})
}

func TestBackgroundCommandsRunInTheirHosts(t *testing.T) {
	out := t.TempDir()
	show := func(host string) string { return "cat /proc/net/if_inet6 > " + filepath.Join(out, host) }
	o := job{A: show("a"), B: show("b"), Command: []string{"true"}, Quiet: true}.run(t)
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	for host, address := range map[string]string{"a": "fd990000000000000000000000000001", "b": "fd990000000000000000000000000002"} {
		b, err := os.ReadFile(filepath.Join(out, host))
		if err != nil || !strings.Contains(string(b), address) {
			t.Errorf("host %s: %v\n%s", host, err, b)
		}
	}
}

func TestFailureOfABackgroundCommandIsTold(t *testing.T) {
	o := job{B: "echo no such luck; exit 3", Command: []string{"true"}, Quiet: true}.run(t)
	if o.code != 0 || !strings.Contains(o.stderr, "host B ended early (exit status 3)\nno such luck") {
		t.Errorf("%+v", o)
	}
}

func TestSummaryCounts(t *testing.T) {
	o := job{Settings: map[string]string{"loss": "100"}, Command: []string{"/bin/sh", "-c", "echo hello > /dev/udp/x 2>/dev/null; true"}}.run(t)
	for _, want := range []string{"link: unlimited, loss 100 %, RTT 0s", "TCP congestion control: ", "A to B", "B to A", "no tunnel"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("no %q in\n%s", want, o.stderr)
		}
	}
}

func TestCommandsThatCannotRun(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]outcome{
		"totg-no-such-program": {code: 127, stderr: "lab: totg-no-such-program: command not found\n"},
		plain:                  {code: 126, stderr: "lab: " + plain + ": not allowed to run it\n"},
	} {
		if o := (job{Command: []string{name}, Quiet: true}).run(t); o != want {
			t.Errorf("%s: %+v", name, o)
		}
	}
	if o := (job{Command: []string{"/bin/sh", "-c", "kill -9 $$"}, Quiet: true}).run(t); o.code != 137 {
		t.Errorf("killed: %+v", o)
	}
}

// However the lab ends, nothing that it started is left.
func TestNothingIsLeftBehind(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			seconds := unlikely()
			ready := filepath.Join(tmp, "ready")
			cmd, wait := job{
				Quiet:   true,
				B:       "setsid sleep " + seconds + " & setsid sleep " + seconds + " &",
				Command: []string{"/bin/sh", "-c", "touch " + ready + "; exec sleep " + seconds},
			}.start(t)
			until(t, func() bool { return alive(t, "sleep", seconds) == 3 })
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			o := wait()
			if sig != syscall.SIGKILL && (o.code != interrupted || o.stderr != "") {
				t.Errorf("%+v", o)
			}
			until(t, func() bool { return alive(t, "sleep", seconds) == 0 })
			left, err := filepath.Glob(filepath.Join(tmp, "totg-lab-*", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// until waits for a condition of the environment.
func until(t *testing.T, f func() bool) {
	t.Helper()
	for range 1000 {
		if f() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("not in time")
}

func TestUnlimitedLinkNeedsABandwidthForTheTunnel(t *testing.T) {
	if _, err := newTunnel(t.Context(), &world{}, tunnelConfig{fixed: true}); !IsUsage(err) || !strings.Contains(err.Error(), "--bandwidth") {
		t.Error(err)
	}
}
