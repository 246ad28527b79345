package lab

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each runs in hosts of its own; the exit code is the worst.
func TestCompareRunsEach(t *testing.T) {
	controls := congestionControls()
	o := job{
		Settings: map[string]string{"rate": "10mbit"}, Quiet: true, Compare: []string{"tcp-cubic", "tcp-bbr", "tcp-cubic"},
		Command: []string{"/bin/sh", "-c", `echo "$TOTG_THROUGH $0"; [ $TOTG_THROUGH != tcp-bbr ] || exit 3`, "$TOTG_PEER"},
	}.run(t)
	var want string
	code := 0
	if slices.Contains(controls, "cubic") {
		want += "tcp-cubic 10.99.0.2\n"
	}
	if slices.Contains(controls, "bbr") {
		want, code = want+"tcp-bbr 10.99.0.2\n", 3
	}
	if want == "" {
		t.Skipf("THE COMPARISON IS NOT TESTED: this kernel's TCP has only %v", controls)
	}
	if o.stdout != want || o.code != code || strings.Count(o.stderr, "== ") != 2 {
		t.Errorf("%+v", o)
	}
}

// What is not installed is named, with the way to get it.
func TestCompareSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	o := job{Quiet: true, Compare: []string{"wireguard", "kcptun", "openvpn"}, Command: []string{"/bin/true"}}.run(t)
	for _, want := range []string{"wireguard is left out: there is no wireguard-go (apt-get install wireguard-go)", "install kcptun", "install openvpn", "none of them can run"} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("no %q in %q", want, o.stderr)
		}
	}
	if o.code != 1 {
		t.Errorf("exit code %d", o.code)
	}
}

// The congestion control that is asked for is what a connection has, although the
// kernel does not let a namespace choose its default.
func TestRoutesChooseCongestionControl(t *testing.T) {
	for _, name := range congestionControls() {
		o := job{Kind: "congestion", Congestion: name}.run(t)
		if o.code != 0 || o.stdout != name+" "+name+"\n" {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestCarriers(t *testing.T) {
	for _, c := range []struct {
		opt  Options
		want string
	}{
		{Options{}, "totg"},
		{Options{NoTunnel: true}, "direct"},
		{Options{Compare: []string{"openvpn", "kcptun"}}, "totg openvpn kcptun"},
		{Options{NoTunnel: true, Compare: []string{"tcp-bbr"}}, "tcp-bbr"},
	} {
		kinds, err := c.opt.carriers()
		var names []string
		for _, k := range kinds {
			names = append(names, k.name)
		}
		if err != nil || strings.Join(names, " ") != c.want {
			t.Errorf("%+v: %v, %v", c.opt, names, err)
		}
	}
	if _, err := (&Options{Compare: []string{"ipsec"}}).carriers(); !IsUsage(err) {
		t.Error(err)
	}
	if c, err := direct(context.Background(), nil, carrierConfig{}); err != nil || c.counters() != nil {
		t.Error(c, err)
	}
}

// Each peer that is installed carries a TCP connection from A to B.
func TestPeersCarryTCP(t *testing.T) {
	for _, name := range []string{"wireguard", "kcptun", "openvpn"} {
		t.Run(name, func(t *testing.T) {
			k, err := findCarrier(name)
			if err != nil {
				t.Fatal(err)
			}
			if why := k.missing(); why != "" {
				t.Skipf("%s IS NOT TESTED: %s", name, why)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			o := job{
				Settings: map[string]string{"rate": "20mbit", "rtt": "10ms"}, Quiet: true, Compare: []string{name},
				B: portEnv + "=listen exec " + self, Command: []string{"/bin/sh", "-c", portEnv + "=$TOTG_PEER exec " + self},
			}.run(t)
			if o.code != 0 || o.stdout != "hello from B\n" {
				t.Errorf("%+v", o)
			}
		})
	}
}

// A cable has neither rate nor delay, and the report says nothing of a link.
func TestCable(t *testing.T) {
	report := filepath.Join(t.TempDir(), "x.json")
	o := job{
		Settings: map[string]string{"rate": "8kbit"}, Cable: true, Report: report,
		Command: []string{"/bin/sh", "-c", "ping -q -c 3 -i 0.01 -s 1400 $TOTG_DIRECT >/dev/null"},
	}.run(t)
	b, err := os.ReadFile(report)
	if err != nil || o.code != 0 || !strings.Contains(o.stderr, "link: a plain cable\n") || !strings.Contains(string(b), `"sent": 0,`) {
		t.Errorf("%+v, %v\n%s", o, err, b)
	}
}

// FuzzChange: a change of the schedule comes from the user's command line. Whatever
// it says, the link is valid or refused.
func FuzzChange(f *testing.F) {
	for _, text := range []string{
		"at=5s every=15s outage=100ms-300ms direction=up", "at=1s rate=5mbit loss=3 burst=4", "at=1s jitter=9h", "at=", "=", "at=1s at=2s", "at=0s every=1ns outage=1h",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Spec
		if err := s.Change(text); err != nil {
			if !IsUsage(err) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		path, err := s.Resolve()
		if err != nil && !IsUsage(err) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && len(path.Up.Schedule)+len(path.Down.Schedule) == 0 {
			t.Errorf("%q was accepted and did nothing", text)
		}
	})
}
