package route

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }

// Values that the tests share.
const (
	testMark  = 0x7467
	testTable = 29799
	testPort  = 4430
)

// createTUN makes a TUN interface in the calling thread's namespace, which lives as
// long as the file.
func createTUN(name string) (*os.File, error) { return create(name, unix.IFF_TUN) }

func create(name string, kind uint16) (*os.File, error) {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(kind | unix.IFF_NO_PI)
	return f, unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, ifr)
}

// newHost makes a namespace with a TUN interface totg0 and, as the way outside, an
// interface eth0 with a default route.
func newHost(t *testing.T) *netnstest.NS {
	t.Helper()
	host := netnstest.New(t)
	// A link-local address, which nobody asked for, would change by itself while
	// the kernel looks for duplicates of it.
	host.Run(t, "sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
	host.Do(t, func() {
		f, err := createTUN("totg0")
		if err != nil {
			t.Fatalf("create a TUN interface: %v", err)
		}
		t.Cleanup(func() { _ = f.Close() })
		out, err := createTUN("eth0")
		if err != nil {
			t.Fatalf("create a TUN interface: %v", err)
		}
		t.Cleanup(func() { _ = out.Close() })
	})
	// The first time an interface is up, the kernel gives it a queue that it keeps.
	host.Run(t, "ip", "link", "set", "totg0", "up")
	host.Run(t, "ip", "link", "set", "totg0", "down")
	for _, args := range []string{
		"addr add 198.51.100.1/24 dev eth0", "addr add 2001:db8::1/64 dev eth0 nodad", "link set eth0 up",
		"route add default via 198.51.100.254 dev eth0", "-6 route add default via 2001:db8::fe dev eth0",
		"route add 192.0.2.0/24 via 198.51.100.253 dev eth0",
	} {
		host.Run(t, "ip", strings.Fields(args)...)
	}
	return host
}

// state is all that this package could change in a namespace. The kernel's own IPv6
// routes to local addresses are left out: they come some time after the address.
func state(t *testing.T, ns *netnstest.NS) string {
	t.Helper()
	var b strings.Builder
	for _, args := range []string{
		"-d addr", "-d -4 route show table all", "-d -6 route show table all", "-d -4 rule", "-d -6 rule",
	} {
		fmt.Fprintf(&b, "# ip %s\n", args)
		for line := range strings.Lines(ns.Run(t, "ip", strings.Fields(args)...)) {
			own := strings.Contains(line, " table local proto kernel ") && strings.Contains(line, "::")
			if !own {
				b.WriteString(line)
			}
		}
	}
	b.WriteString("# " + sysctlName + "\n" + ns.Run(t, "cat", sysctlPath))
	return b.String()
}

// plan is a plan with everything in it but default routes.
func plan() Plan {
	return Plan{
		Interface: "totg0", MTU: 1400, Mark: testMark, Table: testTable, Port: testPort,
		Addresses: prefixes("10.77.0.1/24", "fd77::1/64"),
		Routes:    prefixes("10.77.0.2/32", "10.78.0.9/16", "fd77::2/128", "fd78::/32"),
	}
}

// full is plan with default routes.
func full() Plan {
	p := plan()
	p.Routes = append(p.Routes, prefixes("0.0.0.0/0", "::/0")...)
	return p
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// apply applies a plan in a namespace.
func apply(t *testing.T, ns *netnstest.NS, p Plan) *Applied {
	t.Helper()
	var a *Applied
	ns.Do(t, func() {
		var err error
		if a, err = Apply(p); err != nil {
			t.Errorf("Apply: %v", err)
		}
	})
	return a
}

// in calls a function that may fail in a namespace.
func in(t *testing.T, ns *netnstest.NS, what string, f func() error) {
	t.Helper()
	ns.Do(t, func() {
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// refused checks an error: its kind, and that it is one line that says something.
func refused(t *testing.T, err, is error, says string) {
	t.Helper()
	if !errors.Is(err, is) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want %v with %q on one line", err, is, says)
	}
}

// contains checks the output of a program line by line.
func contains(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// same compares states.
func same(t *testing.T, when, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	missing, extra := strings.Split(want, "\n"), strings.Split(got, "\n")
	t.Errorf("%s the host differs:\nlost: %q\nleft: %q", when, without(missing, extra), without(extra, missing))
}

func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		found := false
		for _, o := range b {
			found = found || s == o
		}
		if !found {
			out = append(out, s)
		}
	}
	return out
}
