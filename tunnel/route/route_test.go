package route

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

// TestApplyT1 checks what a plan makes (T-1).
func TestApplyT1(t *testing.T) {
	host := newHost(t)
	a := apply(t, host, plan())
	contains(t, host.Run(t, "ip", "addr", "show", "totg0"), "UP", "mtu 1400", "inet 10.77.0.1/24", "inet6 fd77::1/64")
	contains(t, host.Run(t, "ip", "-4", "route"), "10.77.0.2 dev totg0", "10.78.0.0/16 dev totg0", "default via 198.51.100.254 dev eth0")
	contains(t, host.Run(t, "ip", "-6", "route"), "fd77::2 dev totg0", "fd78::/32 dev totg0", "default via 2001:db8::fe dev eth0")
	if out := host.Run(t, "ip", "addr", "show", "totg0"); strings.Contains(out, "tentative") || strings.Contains(out, "brd 10.") {
		t.Errorf("an address waits for duplicates, or has a broadcast address:\n%s", out)
	}
	if out := host.Run(t, "ip", "rule"); strings.Contains(out, "suppress") {
		t.Errorf("rules without a default route:\n%s", out)
	}
	in(t, host, "Remove", a.Remove)
}

// TestEthernet checks a TAP interface: addresses are of use at once, with no wait for
// duplicates, and have a broadcast address.
func TestEthernet(t *testing.T) {
	host := netnstest.New(t)
	host.Do(t, func() {
		f, err := create("totg0", unix.IFF_TAP)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
	})
	a := apply(t, host, plan())
	out := host.Run(t, "ip", "addr", "show", "totg0", "to", "fd77::/64")
	contains(t, out, "inet6 fd77::1/64")
	if strings.Contains(out, "tentative") {
		t.Errorf("the address waits for duplicates:\n%s", out)
	}
	contains(t, host.Run(t, "ip", "addr", "show", "totg0"), "brd 10.77.0.255")
	in(t, host, "Remove", a.Remove)
}

// TestRemoveT4 compares the host before and after, for every way to end (T-4).
func TestRemoveT4(t *testing.T) {
	tests := []struct {
		name string
		plan Plan
		then func(t *testing.T, host *netnstest.NS, a *Applied)
	}{
		{"simple", plan(), nil},
		{"with default routes", full(), nil},
		{"nothing but the interface", Plan{Interface: "totg0"}, nil},
		{"after updates", plan(), func(t *testing.T, host *netnstest.NS, a *Applied) {
			t.Helper()
			in(t, host, "Update", func() error { return a.Update(full()) })
			in(t, host, "Update", func() error { return a.Update(plan()) })
			in(t, host, "Update", func() error { return a.Update(full()) })
		}},
		{"others took some away", full(), func(t *testing.T, host *netnstest.NS, _ *Applied) {
			t.Helper()
			for _, args := range []string{
				"addr del 10.77.0.1/24 dev totg0", "-6 route del fd78::/32 dev totg0",
				fmt.Sprintf("rule del priority %d", priorityTunnel), fmt.Sprintf("-6 rule del priority %d", prioritySuppress),
			} {
				host.Run(t, "ip", strings.Fields(args)...)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := newHost(t)
			before := state(t, host)
			a := apply(t, host, tt.plan)
			if tt.then != nil {
				tt.then(t, host, a)
			}
			in(t, host, "Remove", a.Remove)
			same(t, "after Remove", state(t, host), before)
			in(t, host, "second Remove", a.Remove)
			same(t, "after a second Remove", state(t, host), before)
		})
	}
}

// TestKeepsWhatWasThere checks that what the interface had before is neither adopted
// nor removed.
func TestKeepsWhatWasThere(t *testing.T) {
	host := newHost(t)
	for _, args := range []string{
		"link set totg0 up", "addr add 10.77.0.1/24 dev totg0", "route add 10.77.0.2/32 dev totg0",
		"addr add 10.99.0.1/24 dev totg0", "rule add not fwmark 9 table 99", "rule add table main suppress_prefixlength 0",
	} {
		host.Run(t, "ip", strings.Fields(args)...)
	}
	before := state(t, host)
	a := apply(t, host, full())
	in(t, host, "Update", func() error {
		return a.Update(Plan{Interface: "totg0", Mark: testMark, Table: testTable, Port: testPort})
	})
	// The rule of another needs the sysctl as well: it stays set, until here.
	contains(t, host.Run(t, "cat", sysctlPath), "1")
	host.Run(t, "sysctl", "-qw", sysctlName+"=0")
	same(t, "after an update to nothing", state(t, host), before)
	in(t, host, "Update", func() error { return a.Update(full()) })
	in(t, host, "Remove", a.Remove)
	host.Run(t, "sysctl", "-qw", sysctlName+"=0")
	same(t, "after Remove", state(t, host), before)
}

// TestDefaultRoute checks the ways that packets take with default routes: the
// tunnel's own outside, the neighbours' directly, all others into the tunnel.
func TestDefaultRoute(t *testing.T) {
	host := newHost(t)
	a := apply(t, host, full())
	get := func(args string) string {
		t.Helper()
		return host.Run(t, "ip", strings.Fields("route get "+args)...)
	}
	contains(t, get("203.0.113.5"), "dev totg0")
	contains(t, get(fmt.Sprintf("203.0.113.5 mark %d", testMark)), "via 198.51.100.254 dev eth0")
	contains(t, get("198.51.100.7"), "dev eth0")
	contains(t, get("192.0.2.1"), "via 198.51.100.253 dev eth0")
	contains(t, get("10.78.3.4"), "dev totg0")
	contains(t, get("2606:4700::1"), "dev totg0")
	contains(t, get(fmt.Sprintf("2606:4700::1 mark %d", testMark)), "via 2001:db8::fe dev eth0")
	contains(t, get("2001:db8::77"), "dev eth0")
	contains(t, host.Run(t, "ip", "rule"),
		fmt.Sprintf("not from all fwmark %#x lookup %d", testMark, testTable), "lookup main suppress_prefixlength 0")
	contains(t, host.Run(t, "cat", sysctlPath), "1")
	in(t, host, "Remove", a.Remove)
	contains(t, get("203.0.113.5"), "dev eth0")
	contains(t, get("2606:4700::1"), "dev eth0")
}

// TestOneFamily checks that a default route of one family leaves the other alone.
func TestOneFamily(t *testing.T) {
	host := newHost(t)
	p := plan()
	p.Routes = prefixes("::/0")
	a := apply(t, host, p)
	contains(t, host.Run(t, "ip", "route", "get", "203.0.113.5"), "dev eth0")
	contains(t, host.Run(t, "ip", "route", "get", "2606:4700::1"), "dev totg0")
	contains(t, host.Run(t, "cat", sysctlPath), "0")
	in(t, host, "Remove", a.Remove)
}

// TestStrictReversePath checks that datagrams to the tunnel's port pass the reverse
// path filter in its strict mode, and that it is the port's rule that lets them.
func TestStrictReversePath(t *testing.T) {
	host := newHost(t)
	host.Run(t, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
	// The kernel's answer to a datagram from the peer that comes in by eth0.
	arrives := func(port int) bool {
		var err error
		host.Do(t, func() {
			err = exec.Command("ip", strings.Fields(fmt.Sprintf(
				"route get 198.51.100.1 from 203.0.113.5 iif eth0 ipproto udp sport 9999 dport %d", port))...).Run()
		})
		return err == nil
	}
	if !arrives(testPort) || !arrives(testPort+1) {
		t.Fatal("without the tunnel datagrams do not arrive")
	}
	a := apply(t, host, full())
	if !arrives(testPort) {
		t.Error("a datagram to the tunnel's port is filtered")
	}
	if arrives(testPort + 1) {
		t.Error("a datagram to another port passes: this test shows nothing")
	}
	in(t, host, "Remove", a.Remove)
}

// TestUpdate checks that an update changes the difference alone.
func TestUpdate(t *testing.T) {
	host := newHost(t)
	a := apply(t, host, plan())
	kept := host.Run(t, "ip", "-d", "-6", "route", "show", "fd78::/32")
	p := plan()
	p.MTU = 1300
	// 10.77.0.1 is the primary address of its subnet: with it the kernel removes
	// 10.77.0.3 and what depends on it.
	p.Addresses = prefixes("10.77.0.3/24", "fd77::1/64", "fd77::5/64")
	p.Routes = prefixes("10.77.0.2/32", "10.79.0.0/16", "fd78::/32")
	in(t, host, "Update", func() error { return a.Update(p) })
	out := host.Run(t, "ip", "addr", "show", "totg0")
	contains(t, out, "mtu 1300", "inet 10.77.0.3/24", "inet6 fd77::1/64", "inet6 fd77::5/64")
	if strings.Contains(out, "10.77.0.1/") {
		t.Errorf("the old address is still there:\n%s", out)
	}
	out = host.Run(t, "ip", "-4", "route")
	contains(t, out, "10.77.0.2 dev totg0", "10.79.0.0/16 dev totg0", "10.77.0.0/24 dev totg0")
	if strings.Contains(out, "10.78.") {
		t.Errorf("the old route is still there:\n%s", out)
	}
	same(t, "the kept route:", host.Run(t, "ip", "-d", "-6", "route", "show", "fd78::/32"), kept)

	before := state(t, host)
	in(t, host, "Update", func() error { return a.Update(p) })
	same(t, "after the same plan again", state(t, host), before)

	// A plan that cannot be carried out leaves the old one in force.
	bad := p
	bad.Addresses = prefixes("10.55.0.1/24")
	bad.Routes = prefixes("10.56.0.0/16", "192.0.2.0/24", "0.0.0.0/0")
	host.Do(t, func() { refused(t, a.Update(bad), ErrConflict, `"eth0"`) })
	same(t, "after a refused plan", state(t, host), before)
	for _, edit := range []func(*Plan){
		func(p *Plan) { p.Mark++ }, func(p *Plan) { p.Table++ }, func(p *Plan) { p.Port++ }, func(p *Plan) { p.Interface = "eth0" },
	} {
		changed := p
		edit(&changed)
		refused(t, a.Update(changed), ErrPlan, "stop the tunnel")
	}
	refused(t, a.Update(Plan{}), ErrPlan, "no name")
	in(t, host, "Remove", a.Remove)
}

// TestUpdateWithoutAddresses checks that the routes survive when the last IPv4
// address goes: the kernel takes them with it.
func TestUpdateWithoutAddresses(t *testing.T) {
	host := newHost(t)
	a := apply(t, host, plan())
	p := plan()
	p.Addresses = prefixes("fd77::1/64")
	in(t, host, "Update", func() error { return a.Update(p) })
	contains(t, host.Run(t, "ip", "-4", "route"), "10.77.0.2 dev totg0", "10.78.0.0/16 dev totg0")
	in(t, host, "Remove", a.Remove)
}

// TestApplyErrors checks that what cannot be done is said in one line, and leaves the
// host as it was.
func TestApplyErrors(t *testing.T) {
	with := func(edit func(*Plan)) Plan {
		p := full()
		edit(&p)
		return p
	}
	tests := []struct {
		name   string
		before string // an ip command
		plan   Plan
		is     error
		says   string
	}{
		{"no interface", "", with(func(p *Plan) { p.Interface = "totg7" }), ErrInterface, `"totg7" does not exist`},
		{"no name", "", with(func(p *Plan) { p.Interface = "" }), ErrPlan, "no name"},
		{"invalid address", "", with(func(p *Plan) { p.Addresses = []netip.Prefix{{}} }), ErrPlan, "10.77.0.1/24"},
		{"unspecified address", "", with(func(p *Plan) { p.Addresses = prefixes("0.0.0.0/0") }), ErrPlan, "0.0.0.0/0"},
		{"multicast address", "", with(func(p *Plan) { p.Addresses = prefixes("ff02::1/64") }), ErrPlan, "ff02::1/64"},
		{"mapped address", "", with(func(p *Plan) { p.Addresses = prefixes("::ffff:10.0.0.1/120") }), ErrPlan, "::ffff"},
		{"invalid route", "", with(func(p *Plan) { p.Routes = []netip.Prefix{{}} }), ErrPlan, "destination"},
		{"large MTU", "", with(func(p *Plan) { p.MTU = 65536 }), ErrPlan, "65535"},
		{"IPv6 in a small MTU", "", with(func(p *Plan) { p.MTU = 1279 }), ErrPlan, "1280"},
		{"no mark", "", with(func(p *Plan) { p.Mark = 0 }), ErrPlan, "fwmark"},
		{"no table", "", with(func(p *Plan) { p.Table = 0 }), ErrPlan, "routing table"},
		{"main table", "", with(func(p *Plan) { p.Table = unix.RT_TABLE_MAIN }), ErrPlan, "routing table"},
		{"route elsewhere", "", with(func(p *Plan) { p.Routes = prefixes("10.1.0.0/16", "192.0.2.0/24") }), ErrConflict, `by interface "eth0" already`},
		{"route with another metric", "route add 10.78.0.0/16 dev eth0 metric 100", full(), ErrConflict, "10.78.0.0/16"},
		{"IPv6 route elsewhere", "-6 route add fd78::/32 dev eth0", full(), ErrConflict, "fd78::/32"},
		{"unreachable", "route add unreachable 10.78.0.0/16", full(), ErrConflict, "10.78.0.0/16"},
		{"the table is used", fmt.Sprintf("route add default dev eth0 table %d", testTable), full(), ErrConflict, "in table 29799"},
		{
			"stale rules", fmt.Sprintf("rule add not fwmark %d table %d protocol %d", testMark, testTable, protocolSysctl),
			full(), ErrConflict, "fwmark 0x7467",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := newHost(t)
			if tt.before != "" {
				host.Run(t, "ip", strings.Fields(tt.before)...)
			}
			before := state(t, host)
			host.Do(t, func() {
				_, err := Apply(tt.plan)
				refused(t, err, tt.is, tt.says)
			})
			same(t, "after the error", state(t, host), before)
		})
	}
}

func TestWithoutIPv6(t *testing.T) {
	host := newHost(t)
	host.Run(t, "sysctl", "-qw", "net.ipv6.conf.totg0.disable_ipv6=1")
	before := state(t, host)
	host.Do(t, func() {
		_, err := Apply(plan())
		refused(t, err, ErrNoIPv6, "disable_ipv6=0")
	})
	same(t, "after the error", state(t, host), before)
}

func TestWithoutPrivilege(t *testing.T) {
	host := newHost(t)
	host.Do(t, func() {
		// This thread alone gives its privileges up; it ends with this function.
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Fatal(err)
		}
		_, err := Apply(plan())
		refused(t, err, ErrPrivilege, "CAP_NET_ADMIN")
	})
}

// TestInterfaceGone checks Remove after the interface, and after another one took its
// name.
func TestInterfaceGone(t *testing.T) {
	for _, again := range []bool{false, true} {
		host := newHost(t)
		a := apply(t, host, full())
		host.Run(t, "ip", "link", "delete", "totg0")
		if again {
			host.Run(t, "ip", "link", "add", "totg0", "type", "veth", "peer", "name", "other0")
			host.Run(t, "ip", "addr", "add", "10.77.0.1/24", "dev", "totg0")
		}
		in(t, host, "Remove", a.Remove)
		if out := host.Run(t, "ip", "rule"); strings.Contains(out, "fwmark") {
			t.Errorf("rules are left:\n%s", out)
		}
		contains(t, host.Run(t, "cat", sysctlPath), "0")
		if again {
			contains(t, host.Run(t, "ip", "addr", "show", "totg0"), "10.77.0.1/24")
		}
	}
}

// helperName marks the process that TestCleanStaleT4 kills.
const helperName = "TOTG_TEST_ROUTE_HELPER"

// TestHelper is no test: it is what runs in that process.
func TestHelper(t *testing.T) {
	if os.Getenv(helperName) == "" {
		t.Skip("runs as a process of TestCleanStaleT4 only")
	}
	f, err := createTUN("totg1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p := full()
	p.Interface = "totg1"
	if _, err := Apply(p); err != nil {
		t.Fatal(err)
	}
	fmt.Println("applied")
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
}

// TestCleanStaleT4 kills a process that applied a plan and checks that CleanStale
// removes what the kernel did not (T-4); and that it lets a living one be.
func TestCleanStaleT4(t *testing.T) {
	host := newHost(t)
	host.Run(t, "ip", "rule", "add", "fwmark", "0x7468", "table", "77", "protocol", "84") // another tunnel's
	before := state(t, host)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelper$")
	cmd.Env = append(os.Environ(), helperName+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in(t, host, "start", cmd.Start)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "applied\n" {
		_ = cmd.Process.Kill()
		t.Fatalf("the process says %q, %v", line, err)
	}
	alive := state(t, host)
	clean := func() error { return CleanStale(testMark, testTable) }
	in(t, host, "CleanStale", clean)
	same(t, "with a living tunnel", state(t, host), alive)

	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	contains(t, host.Run(t, "ip", "rule"), "fwmark") // else this test shows nothing
	in(t, host, "CleanStale for another mark", func() error { return CleanStale(testMark+1, testTable) })
	contains(t, host.Run(t, "ip", "rule"), "fwmark")
	in(t, host, "CleanStale", clean)
	same(t, "after CleanStale", state(t, host), before)
	in(t, host, "second CleanStale", clean)
	same(t, "after a second CleanStale", state(t, host), before)
}

func TestDumpIsRepeated(t *testing.T) {
	calls := 0
	err := dump(func() error {
		if calls++; calls < 5 {
			return fmt.Errorf("list: %w", netlink.ErrDumpInterrupted)
		}
		return nil
	})
	if err != nil || calls != 5 {
		t.Errorf("dump = %v after %d calls, want success after 5", err, calls)
	}
	calls = 0
	err = dump(func() error { calls++; return netlink.ErrDumpInterrupted })
	if !errors.Is(err, netlink.ErrDumpInterrupted) || calls != maxDumps {
		t.Errorf("dump = %v after %d calls, want an end after %d", err, calls, maxDumps)
	}
}

// FuzzPlan checks what follows from a plan that passes: the configuration, and so a
// user, chooses it.
func FuzzPlan(f *testing.F) {
	f.Add("totg0", 1500, "10.0.0.1/24", "0.0.0.0/0", uint32(1), 1000)
	f.Add("", 0, "::/0", "ff00::/8", uint32(0), 254)
	f.Fuzz(func(t *testing.T, name string, mtu int, address, route string, mark uint32, table int) {
		a, _ := netip.ParsePrefix(address)
		r, _ := netip.ParsePrefix(route)
		p, err := Plan{
			Interface: name, MTU: mtu, Mark: mark, Table: table,
			Addresses: []netip.Prefix{a, a}, Routes: []netip.Prefix{r, r},
		}.normalise()
		if err != nil {
			if !errors.Is(err, ErrPlan) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if len(p.Addresses) != 1 || len(p.Routes) != 1 || p.Routes[0] != p.Routes[0].Masked() {
			t.Fatalf("not normal: %+v", p)
		}
		for _, d := range p.destinations() {
			if back := fromIPNet(*toIPNet(d.prefix)); back != d.prefix {
				t.Fatalf("%v became %v", d.prefix, back)
			}
			if d.prefix.Bits() == 0 && (d.table == unix.RT_TABLE_MAIN || p.Mark == 0) {
				t.Fatalf("default route in table %d, mark %d", d.table, p.Mark)
			}
		}
	})
}
