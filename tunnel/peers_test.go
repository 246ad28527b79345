package tunnel

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/tunnel/config"
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, s := range texts {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

func named(name string) *tunnelPeer { return &tunnelPeer{config: config.Peer{Name: name}} }

// newKey is a key pair from a seed.
func newKey(t *testing.T, seed byte) handshake.PrivateKey {
	t.Helper()
	key, err := handshake.GenerateKey(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// T-1: the longest prefix decides, each family for itself.
func TestAllowedIPs(t *testing.T) {
	all, net, host, six, host6 := named("all"), named("net"), named("host"), named("six"), named("host6")
	var table allowedIPs
	table.add(prefixes("10.77.0.7/32"), host)
	table.add(prefixes("0.0.0.0/0"), all)
	table.add(prefixes("10.77.0.99/24", "192.168.0.0/16"), net) // bits after the prefix do not matter
	table.add(prefixes("fd77::/64"), six)
	table.add(prefixes("fd77::7/128"), host6)
	for addr, want := range map[string]*tunnelPeer{
		"10.77.0.7": host, "10.77.0.8": net, "10.77.1.7": all, "192.168.255.1": net, "203.0.113.1": all,
		"fd77::7": host6, "fd77::8": six, "fd78::7": nil, "::1": nil,
		"::ffff:10.77.0.7": nil, // an IPv6 address on the wire, whatever it looks like
	} {
		if got := table.lookup(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s belongs to %+v, want %+v", addr, got, want)
		}
	}
	if got := table.lookup(netip.Addr{}); got != nil {
		t.Errorf("no address belongs to %+v", got)
	}
	if got := (&allowedIPs{}).lookup(netip.MustParseAddr("10.0.0.1")); got != nil {
		t.Errorf("an empty table has %+v", got)
	}
}

// FuzzAllowedIPs compares the table with a search through all prefixes. The prefixes
// are the user's; the addresses come from inner packets, which hosts behind this one or
// an authenticated peer write.
func FuzzAllowedIPs(f *testing.F) {
	f.Add(uint64(1), 5)
	f.Add(uint64(2), 200)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		rng := rand.New(rand.NewPCG(seed, 0))
		n = min(max(n, 0), 300)
		random := func() netip.Addr { // few bits that differ, so that prefixes meet
			if rng.IntN(2) == 0 {
				return netip.AddrFrom4([4]byte{10, byte(rng.IntN(2)), byte(rng.IntN(4)), byte(rng.IntN(8))})
			}
			return netip.AddrFrom16([16]byte{0: 0xfd, 7: byte(rng.IntN(2)), 15: byte(rng.IntN(8))})
		}
		var table allowedIPs
		model := map[netip.Prefix]*tunnelPeer{}
		for range n {
			a := random()
			p := netip.PrefixFrom(a, rng.IntN(a.BitLen()+1))
			to := &tunnelPeer{}
			table.add([]netip.Prefix{p}, to)
			model[p.Masked()] = to
		}
		for range 50 {
			a := random()
			var want *tunnelPeer
			longest := -1
			for p, to := range model {
				if p.Contains(a) && p.Bits() > longest {
					want, longest = to, p.Bits()
				}
			}
			if got := table.lookup(a); got != want {
				t.Fatalf("seed %d: %v: got %p, want %p (/%d)", seed, a, got, want, longest)
			}
		}
	})
}

func TestAllowedIPsAllocateNothing(t *testing.T) {
	var table allowedIPs
	table.add(prefixes("10.0.0.0/8", "10.77.0.0/24", "10.77.0.2/32", "::/0", "fd77::2/128"), named("x"))
	a4, a6 := netip.MustParseAddr("10.77.0.9"), netip.MustParseAddr("fd77::9")
	if n := testing.AllocsPerRun(100, func() { table.lookup(a4); table.lookup(a6) }); n != 0 {
		t.Errorf("%v allocations for each lookup", n)
	}
}

func TestNextDeadline(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for _, c := range []struct{ deadlines, want []time.Time }{
		{nil, []time.Time{{}}},
		{[]time.Time{{}, {}}, []time.Time{{}}},
		{[]time.Time{{}, at(5), {}, at(3), at(9)}, []time.Time{at(3)}},
		{[]time.Time{at(7), {}}, []time.Time{at(7)}},
	} {
		var table peerTable
		for _, d := range c.deadlines {
			table.peers = append(table.peers, &tunnelPeer{deadline: d})
		}
		if got := table.nextDeadline(); !got.Equal(c.want[0]) {
			t.Errorf("of %v: %v, want %v", c.deadlines, got, c.want[0])
		}
	}
}

func TestHasDefault(t *testing.T) {
	for text, want := range map[string]bool{"0.0.0.0/0": true, "::/0": true, "0.0.0.0/1": false, "10.0.0.0/8": false} {
		if got := hasDefault(prefixes("192.0.2.0/24", text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// T-4: the same at every start, so that what a killed run left is found; not the same
// for two tunnels; and a table that the kernel takes.
func TestMark(t *testing.T) {
	seen := map[uint32]string{}
	for _, name := range []string{"totg0", "totg1", "totg2", "office", "home", "a", "b"} {
		m := mark(name)
		if m != mark(name) || m>>16 != markBase>>16 || int32(m) <= 0 {
			t.Errorf("%s: %#x", name, m)
		}
		if other, twice := seen[m]; twice {
			t.Errorf("%s and %s have the same mark", name, other)
		}
		seen[m] = name
	}
}
