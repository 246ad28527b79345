package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
)

// path runs "totg path" and returns what it prints and its exit code.
func (h *host) path(args ...string) (out string, code int) {
	h.t.Helper()
	out, err := h.run(program(), append([]string{"path"}, args...)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strings.TrimSpace(out), exit.ExitCode()
	} else if err != nil {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(out), 0
}

// two hosts with two links between them move from one to the other, at both ends,
// in the middle of TCP connections and of a download; then the first link goes down. A
// path that is dead moves neither end. In the end they go to IPv6.
func TestPath(t *testing.T) {
	p := newPair(t)
	connect(p.a, p.b, 2)
	p.b.web()
	up := p.a.converse(p.b.echoServer())
	up.goesOn()
	before, err := p.a.peerStatus("b")
	if err != nil {
		t.Fatal(err)
	}
	download := make(chan error, 1)
	go func() { download <- fetch(p.a, inside(2), 5_000_000) }()
	at := func(a, b string) {
		t.Helper()
		eventually(t, patience, func() error {
			sa, err := p.a.peerStatus("b")
			if err != nil {
				return err
			}
			sb, err := p.b.peerStatus("a")
			if err != nil {
				return err
			}
			if sa.Endpoint != net.JoinHostPort(b, "4430") || sb.Endpoint != net.JoinHostPort(a, "4430") {
				return fmt.Errorf("a has b at %s, b has a at %s", sa.Endpoint, sb.Endpoint)
			}
			return nil
		})
	}
	if out, code := p.a.path("b", net.JoinHostPort(outside(2, 2), "4430")); out != "MOVED" || code != 0 {
		t.Fatalf("%q, code %d", out, code)
	}
	at(outside(2, 1), outside(2, 2))
	up.goesOn()
	if err := <-download; err != nil {
		t.Errorf("the download broke: %v", err)
	}
	if now, err := p.a.peerStatus("b"); err != nil || !now.LastHandshake.Equal(before.LastHandshake) {
		t.Errorf("another session, of %v: %v", now.LastHandshake, err)
	}
	p.a.ip("link", "set", "link1", "down")
	up.goesOn()
	if out, code := p.a.path("b", net.JoinHostPort(outside(1, 2), "4430"), "--deadline", "1s"); !strings.HasPrefix(out, "STAYED") || code != 1 {
		t.Errorf("to a dead link: %q, code %d", out, code)
	}
	at(outside(2, 1), outside(2, 2))
	if out, code := p.b.path("a", net.JoinHostPort(outside6(2, 1), "4430")); out != "MOVED" || code != 0 {
		t.Errorf("to IPv6, from the other end: %q, code %d", out, code)
	}
	at(outside6(2, 1), outside6(2, 2))
	up.goesOn()
	if out := p.a.totg("status"); !strings.Contains(out, "path switch, b  moved, to "+net.JoinHostPort(outside6(2, 2), "4430")) {
		t.Errorf("status:\n%s", out)
	}
}

// translator passes datagrams between a host's programs and an address, and back only
// what comes from just there, as translators of addresses on the way do.
func (h *host) translator(to string) (address string) {
	h.t.Helper()
	in, out := h.listenUDP("127.0.0.1:0"), h.listenUDP("0.0.0.0:0")
	target := netip.MustParseAddrPort(net.JoinHostPort(to, "4430"))
	caller := make(chan net.Addr, 1)
	go func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := in.ReadFrom(buf)
			if err != nil {
				return
			}
			select {
			case caller <- from:
			default: // it is known
			}
			_, _ = out.WriteTo(buf[:n], net.UDPAddrFromAddrPort(target))
		}
	}()
	go func() {
		back := <-caller
		for buf := make([]byte, 1500); ; {
			n, from, err := out.ReadFrom(buf)
			if err != nil {
				return
			}
			if from.String() == target.String() {
				_, _ = in.WriteTo(buf[:n], back)
			}
		}
	}()
	return in.LocalAddr().String()
}

// a host with two addresses on one link is asked at the one that its routes would
// not choose, through a translator that takes no answer from another: it answers from
// there, and stays there.
func TestPathThroughTranslator(t *testing.T) {
	p := newPair(t)
	p.b.ip("address", "add", outside(1, 22)+"/24", "dev", "link1")
	up := p.a.converse(p.b.echoServer())
	up.goesOn()
	if out, code := p.a.path("b", p.a.translator(outside(1, 22))); out != "MOVED" || code != 0 {
		t.Fatalf("%q, code %d", out, code)
	}
	up.goesOn()
	for range 5 {
		if err := p.a.exchangeUDP(net.JoinHostPort(inside(2), p.b.echo()), 1000); err != nil {
			t.Error(err)
		}
	}
}
