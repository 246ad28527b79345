package link

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidateNamesTheMistake(t *testing.T) {
	rate, loss, jitter := int64(-1), 0.95, 5*time.Second
	for _, c := range []struct {
		cfg  Config
		want string // empty: valid
	}{
		{Config{}, ""},
		{everything(), ""},
		{Config{Loss: 1, Burst: 5}, ""},
		{Config{Rate: -1}, "rate"},
		{Config{Rate: MaxRate + 1}, "rate"},
		{Config{Queue: -1}, "queue"},
		{Config{MTU: MaxMTU + 1}, "mtu"},
		{Config{Delay: -1}, "delay"},
		{Config{Delay: time.Hour}, "delay"},
		{Config{Delay: time.Second, Jitter: 2 * time.Second}, "jitter"},
		{Config{Delay: time.Second, Jitter: -1}, "jitter"},
		{Config{Loss: -0.1}, "loss"},
		{Config{Loss: math.NaN()}, "loss"},
		{Config{Loss: 0.2, Burst: 0.5}, "burst"},
		{Config{Loss: 0.2, Burst: math.Inf(1)}, "burst"},
		{Config{Loss: 0.9, Burst: 5}, "burst 5 is too short for a loss of 0.9: bursts have 9 packets at least"},
		{Config{Duplicate: 1.1}, "duplicate"},
		{Config{Reorder: -1}, "reorder"},
		{Config{ReorderDelay: -1}, "reorder delay"},
		{Config{Corrupt: math.NaN()}, "corrupt"},
		{Config{Policer: Policer{Rate: 1}}, "policer burst"},
		{Config{Policer: Policer{Burst: 1}}, "policer burst without"},
		{Config{Policer: Policer{Rate: -1}}, "policer rate"},
		{Config{Schedule: make([]Change, MaxChanges+1)}, "schedule"},
		{Config{Schedule: []Change{{At: -1}}}, "at -1ns is not between 0 and 8760h0m0s (change 1"},
		{Config{Schedule: []Change{{}, {Every: 1}}}, "every 1ns is not 0 (once) or between 10ms and 8760h0m0s (change 2"},
		{Config{Schedule: []Change{{Outage: -1}}}, "outage"},
		{Config{Schedule: []Change{{Outage: 2, OutageMax: 1}}}, "ends before it starts"},
		{Config{Schedule: []Change{{Rate: &rate}}}, "rate"},
		{Config{Burst: 4, Schedule: []Change{{Loss: &loss}}}, "burst"},
		{Config{Delay: time.Second, Schedule: []Change{{Jitter: &jitter}}}, "jitter"},
	} {
		err := c.cfg.Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c.cfg, err)
		case c.want != "" && (err == nil || !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}

func TestDefaultQueueIsOneBDP(t *testing.T) {
	l := mustNew(t, Config{Rate: 50e6, Delay: 20 * time.Millisecond}, 1)
	if got := l.Config().Queue; got != 250_000 {
		t.Errorf("%d bytes", got)
	}
	if got := DefaultQueue(1e6, 0); got != MinQueue {
		t.Errorf("%d bytes without delay", got)
	}
	if got := BDP(MaxRate, time.Hour); got != MaxQueue {
		t.Errorf("%d bytes at the most", got)
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]int64{
		"50mbit": 50e6, "50Mbit": 50e6, "50 Mbit/s": 50e6, "50Mbps": 50e6, "50M": 50e6, "50Mb": 50e6, "50MBIT": 50e6,
		"1.5gbit": 15e8, "800k": 800e3, "9600": 9600, "0": 0, "300bit": 300, "1000gbit": MaxRate,
	} {
		if got, err := ParseRate(s); err != nil || got != want {
			t.Errorf("rate %q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "mbit", "-1mbit", "50MB", "50MBps", "50B", "fast", "1e9", "50mbitt", "2000gbit", "1.2.3k", "NaN", "Inf"} {
		if got, err := ParseRate(s); !errors.Is(err, ErrParse) {
			t.Errorf("rate %q: %d, %v", s, got, err)
		}
	}
	for s, want := range map[string]int{"250KB": 250_000, "250kB": 250_000, "64KiB": 65536, "1.5MB": 15e5, "1500": 1500, "1500B": 1500, "2MiB": 1 << 21, "1k": 1000} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("size %q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "KB", "-1", "1TB", "2000GB", "iB"} {
		if got, err := ParseSize(s); !errors.Is(err, ErrParse) {
			t.Errorf("size %q: %d, %v", s, got, err)
		}
	}
	for s, want := range map[string]float64{"20": 0.2, "20%": 0.2, "0.1 %": 0.001, "100": 1, "0": 0} {
		if got, err := ParsePercent(s); err != nil || got != want {
			t.Errorf("percentage %q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "%", "-1", "101", "NaN", "x"} {
		if got, err := ParsePercent(s); !errors.Is(err, ErrParse) {
			t.Errorf("percentage %q: %v, %v", s, got, err)
		}
	}
}

func TestParseQueue(t *testing.T) {
	for s, want := range map[string]int{"1BDP": 250_000, "4 bdp": 1_000_000, "0.5BDP": 125_000, "250KB": 250_000, "0.001BDP": MinQueue, "2000": 2000} {
		q, err := ParseQueue(s)
		if got := q.Resolve(50e6, 40*time.Millisecond); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "BDP", "0BDP", "0", "-1BDP", "1e9BDP", "5000BDP", "many"} {
		if q, err := ParseQueue(s); !errors.Is(err, ErrParse) {
			t.Errorf("%q: %v, %v", s, q, err)
		}
	}
	if got := (QueueSize{}).Resolve(50e6, 40*time.Millisecond); got != 250_000 {
		t.Errorf("zero value: %d", got)
	}
}

func TestFormatRateParsesBack(t *testing.T) {
	for rate, want := range map[int64]string{50e6: "50Mbit", 1500: "1.5kbit", 0: "unlimited", 999: "999bit", 15e8: "1.5Gbit", 1234567: "1.234567Mbit"} {
		got := FormatRate(rate)
		if got != want {
			t.Errorf("%d: %q", rate, got)
		}
		if back, err := ParseRate(got); rate != 0 && (err != nil || back != rate) {
			t.Errorf("%q read back as %d, %v", got, back, err)
		}
	}
}
