package lab

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tcLines(t *testing.T, p Path) (lines, missing []string) {
	t.Helper()
	var b strings.Builder
	missing, err := WriteTC(&b, p, 1)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(b.String()), "\n"), missing
}

func TestLinkAsNetem(t *testing.T) {
	lines, missing := tcLines(t, mustSpec(t, "rate=50mbit", "rtt=40ms", "loss-up=20", "loss-down=50", "burst-down=4", "rate-down=0",
		"jitter-down=3ms", "duplicate-down=1", "corrupt-down=0.5", "mtu-up=1400", "reorder=1", "policer_rate=1mbit", "policer_burst=9KB"))
	want := []string{
		"rtt_us=40000",
		"up_rate=50000000",
		"up_mtu=1400",
		"up_first='limit 180 rate 50000000bit -14'", // 250 KB are 178.6 packets, one is in service
		"up_nested='limit 270 rate 50000000bit -14'",
		"up_second='limit 131072 delay 20000us loss random 20%'",
		"up_steps=''",
		"down_rate=0",
		"down_mtu=1500",
		"down_first=''",
		"down_nested=''",
		"down_second='limit 131072 delay 20000us 3000us loss gemodel 25% 25% 100% 0% duplicate 1% corrupt 0.5% rate 1000000000000bit'",
		"down_steps=''",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"policer_rate", "reorder"}, missing); d != "" {
		t.Error(d)
	}
}

// An hour of the schedule is written out: outages with their end, in order.
func TestScheduleAsNetem(t *testing.T) {
	all, err := ParseProfiles([]byte(`
[profile.x]
rate = "10mbit"
rtt = "20ms"
schedule = [
  { at = "5s", every = "15s", outage = "100ms-300ms", direction = "up" },
  { at = "7s", rate = "5mbit", loss = 2, direction = "up" },
]
`))
	if err != nil {
		t.Fatal(err)
	}
	path, err := all[0].Spec.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	lines, _ := tcLines(t, path)
	text := strings.Join(lines, "\n")
	_, text, _ = strings.Cut(text, "up_steps='")
	text, _, _ = strings.Cut(text, "'")
	steps := strings.Split(text, "\n")
	if want := 2*240 + 1; len(steps) != want {
		t.Fatalf("%d steps, want %d:\n%s", len(steps), want, text)
	}
	last := -1
	for i, s := range steps {
		at, args, _ := strings.Cut(s, " ")
		ms, err := strconv.Atoi(at)
		if err != nil || ms <= last {
			t.Fatalf("step %d: %q after %d: %v", i, s, last, err)
		}
		last = ms
		if i == 2 {
			if s != "7000 limit 18 rate 5000000bit -14|limit 131072 delay 10000us loss random 2%" {
				t.Errorf("the change of rate and loss: %q", s)
			}
			continue
		}
		begins := ms%1000 == 0
		if begins != strings.HasSuffix(args, "loss random 100%") {
			t.Errorf("step %d: %q", i, s)
		}
	}
	if !strings.Contains(strings.Join(lines, "\n"), "down_steps=''") {
		t.Error("the other direction has steps")
	}
}
