package lab

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/scripts/netem"
)

func mustSpec(t *testing.T, settings ...string) Path {
	t.Helper()
	var s Spec
	for _, kv := range settings {
		key, value, _ := strings.Cut(kv, "=")
		d := Both
		if k, ok := strings.CutSuffix(key, "-up"); ok {
			key, d = k, Up
		} else if k, ok := strings.CutSuffix(key, "-down"); ok {
			key, d = k, Down
		}
		if err := s.Set(d, key, value); err != nil {
			t.Fatal(err)
		}
	}
	p, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSpecResolves(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		settings []string
		want     Path
	}{
		{
			nil, Path{
				Up:   link.Config{Queue: link.MinQueue, MTU: 1500},
				Down: link.Config{Queue: link.MinQueue, MTU: 1500},
			},
		},
		{
			[]string{"rate=50mbit", "rtt=40ms", "loss=20"}, Path{
				Up:   link.Config{Rate: 50e6, Delay: 20 * ms, Loss: 0.2, Queue: 250_000, MTU: 1500},
				Down: link.Config{Rate: 50e6, Delay: 20 * ms, Loss: 0.2, Queue: 250_000, MTU: 1500},
			},
		},
		{ // the queue counts the delays of both directions
			[]string{"rate=8mbit", "delay-up=30ms", "delay-down=70ms", "queue=2BDP", "rate-up=2mbit", "loss-down=5", "burst-down=4", "mtu=1400"}, Path{
				Up:   link.Config{Rate: 2e6, Delay: 30 * ms, Queue: 50_000, MTU: 1400},
				Down: link.Config{Rate: 8e6, Delay: 70 * ms, Loss: 0.05, Burst: 4, Queue: 200_000, MTU: 1400},
			},
		},
		{ // a later rtt replaces earlier delays
			[]string{"delay=5ms", "rtt=20ms", "jitter=3ms", "jitter_reorders=true", "queue=9KB"}, Path{
				Up:   link.Config{Delay: 10 * ms, Jitter: 3 * ms, JitterReorders: true, Queue: 9000, MTU: 1500},
				Down: link.Config{Delay: 10 * ms, Jitter: 3 * ms, JitterReorders: true, Queue: 9000, MTU: 1500},
			},
		},
		{
			[]string{"duplicate=1", "reorder=2", "reorder_delay=7ms", "corrupt=0.5", "policer_rate=1mbit", "policer_burst=10KB", "loss-up=3"}, Path{
				Up: link.Config{
					Duplicate: 0.01, Reorder: 0.02, ReorderDelay: 7 * ms, Corrupt: 0.005, Loss: 0.03,
					Policer: link.Policer{Rate: 1e6, Burst: 10_000}, Queue: link.MinQueue, MTU: 1500,
				},
				Down: link.Config{
					Duplicate: 0.01, Reorder: 0.02, ReorderDelay: 7 * ms, Corrupt: 0.005,
					Policer: link.Policer{Rate: 1e6, Burst: 10_000}, Queue: link.MinQueue, MTU: 1500,
				},
			},
		},
	} {
		if diff := cmp.Diff(c.want, mustSpec(t, c.settings...)); diff != "" {
			t.Errorf("%v: %s", c.settings, diff)
		}
	}
}

func TestSpecNamesTheKeyOfAMistake(t *testing.T) {
	for _, key := range Keys() {
		var s Spec
		if err := s.Set(Both, key, "bogus"); err == nil || !IsUsage(err) || !strings.Contains(err.Error(), key) || !strings.Contains(err.Error(), "bogus") {
			t.Errorf("%s: %v", key, err)
		}
	}
	var s Spec
	if err := s.Set(Both, "color", "red"); !errors.Is(err, ErrSpec) {
		t.Error(err)
	}
	if err := s.Set(Up, "rtt", "10ms"); !errors.Is(err, ErrSpec) {
		t.Error(err)
	}
	for _, bad := range [][2]string{{"mtu", "1000"}, {"jitter", "5ms"}} { // jitter above the delay
		var s Spec
		if err := s.Set(Both, bad[0], bad[1]); err != nil {
			t.Error(err)
		}
		if _, err := s.Resolve(); !IsUsage(err) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// The profiles are a reference that figures are compared against: a change must
// be meant.
func TestProfiles(t *testing.T) {
	all, err := Profiles()
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		Down, Up    float64 // Mbit/s
		RTT, Jitter float64 // ms
		Loss, Burst float64 // percent, packets
		BDP         float64
	}
	want := map[string]row{
		"clean":     {100, 100, 10, 0, 0, 0, 1},
		"lte-good":  {50, 20, 50, 10, 0.1, 0, 4},
		"lte-edge":  {8, 2, 90, 30, 5, 4, 4},
		"lossy-50":  {50, 50, 40, 0, 20, 0, 1},
		"leo":       {150, 20, 45, 8, 1, 8, 2},
		"geo":       {20, 5, 600, 5, 1, 6, 1},
		"geo-storm": {20, 5, 600, 20, 20, 10, 1},
		"jammed":    {10, 10, 100, 10, 90, 0, 1},
	}
	got := map[string]row{}
	for _, p := range all {
		path, err := p.Spec.Resolve()
		if err != nil {
			t.Fatal(err)
		}
		d, u := path.Down, path.Up
		got[p.Name] = row{
			float64(d.Rate) / 1e6, float64(u.Rate) / 1e6, path.RTT().Seconds() * 1e3, d.Jitter.Seconds() * 1e3,
			d.Loss * 100, d.Burst, p.Spec.down.queue.BDP,
		}
		if p.About == "" || u.Loss != d.Loss || u.Jitter != d.Jitter {
			t.Errorf("%s: %+v", p.Name, path)
		}
		if outages := len(u.Schedule) + len(d.Schedule); (p.Name == "leo") != (outages == 2) {
			t.Errorf("%s: %d outages", p.Name, outages)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	leo, err := FindProfile(all, "leo")
	if err != nil {
		t.Fatal(err)
	}
	change := link.Change{At: 15 * time.Second, Every: 15 * time.Second, Outage: 100 * time.Millisecond, OutageMax: 300 * time.Millisecond}
	if diff := cmp.Diff([]link.Change{change}, leo.Spec.up.cfg.Schedule); diff != "" {
		t.Error(diff)
	}
	if _, err := FindProfile(all, "moon"); !IsUsage(err) || !strings.Contains(err.Error(), "lossy-50") {
		t.Error(err)
	}
	var table bytes.Buffer
	if err := WriteProfiles(&table, all); err != nil || strings.Count(table.String(), "\n") != len(all)+1 {
		t.Errorf("%v\n%s", err, table.String())
	}
}

func TestProfileMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"profile = 1":                                              "profiles",
		"[other]":                                                  "profiles",
		"[profile.x]\ncolour = 1":                                  `profile "x": link: unknown key "colour"`,
		"[profile.x]\nloss = 101":                                  "loss",
		"[profile.x]\nloss = [1]":                                  "loss",
		"[profile.x]\nup = 1":                                      "up is not a table",
		"[profile.x.up]\nrtt = '1ms'":                              "rtt",
		"[profile.x]\nschedule = 1":                                "schedule is not an array",
		"[profile.x]\njitter = '1ms'":                              "jitter",
		"[[profile.x.schedule]]\nat=1":                             "at: ",
		"[[profile.x.schedule]]\nwhy=1":                            "why: unknown key (entry 1 of the schedule)",
		"[[profile.x.schedule]]\ndirection='left'":                 "direction",
		"[[profile.x.schedule]]\nat='1s'\nevery='1ms'":             "every",
		"[[profile.x.schedule]]\nat='1s'\noutage='300ms-x'":        "outage",
		"[[profile.x.schedule]]\ndelay='x'":                        "delay",
		"[[profile.x.schedule]]\nrate='x'":                         "rate",
		"[[profile.x.schedule]]\nloss='x'":                         "loss",
		"[[profile.x.schedule]]\nburst='x'":                        "burst",
		"[[profile.x.schedule]]\njitter='1ms'\ndirection='up'\n\n": "jitter",
	} {
		_, err := ParseProfiles([]byte(text))
		if !errors.Is(err, ErrProfiles) || !IsUsage(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestProfileScheduleOfOneDirection(t *testing.T) {
	all, err := ParseProfiles([]byte(`
[profile.x]
rate = "10mbit"
rtt = "20ms"
[[profile.x.schedule]]
direction = "down"
at = "1s"
rate = "1mbit"
loss = 50
burst = 2.5
delay = "30ms"
jitter = "1ms"
outage = "200ms"`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := all[0].Spec.Resolve()
	if err != nil || len(p.Up.Schedule) != 0 || len(p.Down.Schedule) != 1 {
		t.Fatalf("%v %+v", err, p)
	}
	ch := p.Down.Schedule[0]
	if *ch.Rate != 1e6 || *ch.Loss != 0.5 || *ch.Burst != 2.5 || *ch.Delay != 30*time.Millisecond || *ch.Jitter != time.Millisecond || ch.Outage != 200*time.Millisecond {
		t.Errorf("%+v", ch)
	}
}

// FuzzParseProfiles: a profile file comes from the user. Any text is either a set
// of valid links or a mistake of the user's, told in one line.
func FuzzParseProfiles(f *testing.F) {
	f.Add(netem.Profiles)
	f.Add([]byte("[profile.x]\nloss = 5\nup = {rate = 1}\n[[profile.x.schedule]]\nat = '1s'"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := ParseProfiles(text)
		if err != nil && !IsUsage(err) {
			t.Fatalf("%v is not the user's mistake", err)
		}
		for _, p := range all {
			if _, err := p.Spec.Resolve(); err != nil {
				t.Fatalf("accepted and yet invalid: %v", err)
			}
		}
	})
}

func TestDescribe(t *testing.T) {
	for want, p := range map[string]Path{
		"50Mbit, queue 250 KB, loss 20 %, RTT 40ms":                                             mustSpec(t, "rate=50mbit", "rtt=40ms", "loss=20"),
		"up 2Mbit, queue 2.5 MB, loss 0.1 %; down unlimited, loss 5 % in bursts of 4; RTT 10ms": mustSpec(t, "rate-up=2mbit", "queue=2.5MB", "rtt=10ms", "loss-up=0.1", "loss-down=5", "burst-down=4"),
		"up 1Mbit, queue 900 B, loss 0 %; down 2Mbit, queue 900 B, loss 0 %; RTT 0s":            mustSpec(t, "rate-up=1mbit", "rate-down=2mbit", "queue=900"),
	} {
		if got := describe(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTailKeepsTheEndAndShowsLines(t *testing.T) {
	var live bytes.Buffer
	l := &tail{prefix: "a: ", live: &live}
	for _, s := range []string{"one\ntw", "o\n", strings.Repeat("x", 2*tailSize), "\nlast\nunfinished"} {
		if n, err := io.WriteString(l, s); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := l.last(2); got != "last\nunfinished" {
		t.Errorf("%q", got)
	}
	if len(l.kept) > tailSize || len(l.line) > tailSize {
		t.Errorf("%d and %d bytes kept", len(l.kept), len(l.line))
	}
	if !strings.HasPrefix(live.String(), "a: one\na: two\na: xxx") || !strings.HasSuffix(live.String(), "\na: last\n") {
		t.Errorf("%q", live.String())
	}
}

func TestExpand(t *testing.T) {
	vars := map[string]string{"TOTG_PEER": "1.2.3.4", "TOTG_PEER6": "::1"}
	got := expand([]string{"$TOTG_PEER:80", "[${TOTG_PEER6}]", "$HOME", "$TOTG_PEERS", "100$"}, vars)
	if diff := cmp.Diff([]string{"1.2.3.4:80", "[::1]", "$HOME", "$TOTG_PEERS", "100$"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestExitCodes(t *testing.T) {
	for script, want := range map[string]int{"true": 0, "exit 3": 3, "kill -TERM $$": 143} {
		if code, err := exitCode(exec.Command("/bin/sh", "-c", script).Run()); code != want || err != nil {
			t.Errorf("%q: %d, %v", script, code, err)
		}
	}
	if _, err := exitCode(io.EOF); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestPrivilegeSaysWhatToDo(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{syscall.EPERM: "unprivileged_userns_clone", syscall.ENOSPC: "max_user_namespaces"} {
		if err := privilege("make namespaces", errno); !errors.Is(err, ErrPrivilege) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", errno, err)
		}
	}
	if err := privilege("x", syscall.EIO); errors.Is(err, ErrPrivilege) || !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

func TestEchoFigures(t *testing.T) {
	const ms = time.Millisecond
	e := Echo{Sent: 8, RTT: []time.Duration{1 * ms, 2 * ms, 3 * ms, 4 * ms}}
	if e.Loss() != 0.5 || e.Quantile(0) != ms || e.Quantile(0.5) != 3*ms || e.Quantile(1) != 4*ms {
		t.Errorf("%v %v %v %v", e.Loss(), e.Quantile(0), e.Quantile(0.5), e.Quantile(1))
	}
	if (Echo{}).Loss() != 0 || (Echo{Sent: 1}).Quantile(1) != 0 {
		t.Error("empty series")
	}
}

func TestChecksumOfAPacketWithItsChecksumIsZero(t *testing.T) {
	b := []byte{8, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe, 0x12, 0x34}
	sum := checksum(b)
	b[2], b[3] = byte(sum>>8), byte(sum)
	if checksum(b) != 0 {
		t.Errorf("%#x", checksum(b))
	}
}

func TestVerdicts(t *testing.T) {
	d := &demo{opt: DemoOptions{Link: mustSpec(t, "rate=50mbit", "loss=20"), Size: 20e6, Limit: 25 * time.Second}}
	slow := Download{Bytes: 1e6, Took: 25 * time.Second}
	fast := Download{Bytes: 20e6, Took: 5 * time.Second, Complete: true}
	for want, got := range map[string]string{
		"100 times slower":              d.verdict(slow, fast),
		"did not end":                   d.verdict(slow, slow),
		"took 5.0 s directly and 5.0 s": d.verdict(fast, fast),
		"nothing arrived":               d.verdict(Download{Took: time.Second}, fast),
		"80.0 %":                        d.shareText(fast),
		"cut off":                       d.loadText(slow),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}
