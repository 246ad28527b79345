package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// snapshot is everything that a tunnel could change on a host.
func (h *host) snapshot() map[string]string {
	h.t.Helper()
	all := map[string]string{}
	for _, what := range []string{
		"-details link show", "address show", "-4 route show table all", "-6 route show table all", "-4 rule show", "-6 rule show",
	} {
		all["ip "+what] = h.ip(strings.Fields(what)...)
	}
	err := h.do(func() error {
		return filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if text, err := os.ReadFile(path); err == nil { // some are write-only
				all[path] = string(text)
			}
			return nil
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	run, err := os.ReadDir(filepath.Join(h.dir, "run"))
	if err != nil {
		h.t.Fatal(err)
	}
	all["control sockets"] = fmt.Sprint(run)
	return all
}

// unchanged compares the host with an earlier snapshot.
func (h *host) unchanged(before map[string]string) {
	h.t.Helper()
	after := h.snapshot()
	for what, was := range before {
		if is := after[what]; is != was {
			h.t.Errorf("host %s: %s was\n%s\nand is\n%s", h.name, what, was, is)
		}
	}
	for what, is := range after {
		if _, was := before[what]; !was {
			h.t.Errorf("host %s: %s is new: %s", h.name, what, is)
		}
	}
}

// T-4: nothing stays, neither after a normal end nor, once the tunnel was started and
// ended again, after a kill. With a default route there is the most to clean up:
// rules, a table, a sysctl.
func TestLeftovers(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		allowed      []string
	}{
		{"plain", "", []string{inside(2) + "/32", inside6(2) + "/128", "203.0.113.0/24", "2001:db8::/32"}},
		{"default routes", "", []string{"0.0.0.0/0", "::/0"}},
		{"default routes, any port", "0.0.0.0:0", []string{"0.0.0.0/0", "::/0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newHost(t, "a"), newHost(t, "b")
			connect(a, b, 1)
			ca, cb := pairConfigs(a, b, outside(1, 2))
			ca.listen, ca.peers[0].allowed = c.listen, c.allowed
			b.up(cb)
			before := a.snapshot()

			d := a.up(ca)
			a.reaches(inside(2), inside6(2))
			during := a.snapshot()
			if before["ip address show"] == during["ip address show"] {
				t.Error("the snapshot does not see the tunnel's addresses")
			}
			d.stop()
			a.unchanged(before)

			d = a.up(ca)
			a.reaches(inside(2), inside6(2))
			a.totg("down", "totg0")
			a.unchanged(before)
			if code := d.end(); code != 0 {
				t.Errorf("totg up ended with code %d after totg down", code)
			}

			d = a.up(ca)
			a.reaches(inside(2), inside6(2))
			d.kill()
			d = a.up(ca)
			a.reaches(inside(2), inside6(2))
			d.stop()
			a.unchanged(before)
		})
	}
}
