package e2e

import (
	"errors"
	"syscall"
	"testing"
)

// Addresses behind b alone: the router would refuse them.
const third, third6 = "203.0.113.7", "2001:db8::7"

// routed is a and b with a router between them, which is a's way to everywhere.
func routed(t *testing.T) (a, router, b *host) {
	t.Helper()
	a, router, b = newHost(t, "a"), newHost(t, "r"), newHost(t, "b")
	connect(a, router, 1)
	connect(router, b, 2)
	router.sysctl("net.ipv4.ip_forward", "1")
	router.sysctl("net.ipv6.conf.all.forwarding", "1")
	a.ip("route", "add", "default", "via", outside(1, 2))
	a.ip("-6", "route", "add", "default", "via", outside6(1, 2))
	b.ip("route", "add", outside(1, 0)+"/24", "via", outside(2, 1))
	b.ip("-6", "route", "add", "fd99:1::/64", "via", outside6(2, 1))
	b.ip("address", "add", third+"/32", "dev", "lo")
	b.ip("address", "add", third6+"/128", "dev", "lo")
	a.reaches(outside(2, 2), outside6(2, 2))
	return a, router, b
}

// T-1: with 0.0.0.0/0 and ::/0 everything goes through the tunnel but the tunnel
// itself and the local network, also under strict reverse path filtering.
func TestDefaultRoute(t *testing.T) {
	a, _, b := routed(t)
	a.sysctl("net.ipv4.conf.all.rp_filter", "1")
	b.web()
	for _, endpoint := range []string{outside(2, 2), outside6(2, 2)} {
		ca, cb := pairConfigs(a, b, endpoint)
		ca.peers[0].allowed = []string{"0.0.0.0/0", "::/0"}
		before := a.snapshot()
		db := b.up(cb)
		if a.ping(third) == nil || a.ping(third6) == nil {
			t.Fatal("the third address answers without the tunnel: this test shows nothing")
		}
		da := a.up(ca)
		a.reaches(third, third6, inside(2), inside6(2))
		for _, server := range []string{third, third6} {
			if err := fetch(a, server, 500_000); err != nil {
				t.Error(err)
			}
		}
		s, err := a.peerStatus("b")
		if err != nil || s.State != "up" || s.RxBytes < 1_000_000 {
			t.Errorf("the tunnel did not carry it: %+v, %v", s, err)
		}
		a.reaches(outside(1, 2), outside6(1, 2)) // the local network: b would not pass it on
		da.stop()
		db.stop()
		a.unchanged(before)
	}
}

// A reload that brings default routes, or takes them away, keeps the tunnel's own
// datagrams outside all the time.
func TestReloadDefaultRoute(t *testing.T) {
	a, _, b := routed(t)
	for _, endpoint := range []string{outside(2, 2), outside6(2, 2)} {
		narrow, cb := pairConfigs(a, b, endpoint)
		wide := narrow
		wide.peers = []peer{narrow.peers[0]}
		wide.peers[0].allowed = []string{"0.0.0.0/0", "::/0"}
		db, da := b.up(cb), a.up(narrow)
		a.reaches(inside(2))
		before := a.snapshot()
		c := a.converse(b.echoServer())
		for range 2 {
			a.write(wide.toml())
			da.signal(syscall.SIGHUP)
			a.reaches(third, third6)
			c.goesOn()
			a.write(narrow.toml())
			da.signal(syscall.SIGHUP)
			eventually(t, patience, func() error {
				if a.ping(third) == nil {
					return errors.New("the default route is still there")
				}
				return nil
			})
			c.goesOn()
			a.unchanged(before)
		}
		c.close()
		da.stop()
		db.stop()
	}
}
