package udp

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// a socket of all addresses tells which one it was asked at, and answers from
// there, run or single, whether the kernel segments or not. Without a source the
// routes choose.
func TestSource(t *testing.T) {
	for _, c := range []struct{ name, server, client, at, plain string }{
		{"IPv4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.2", "127.0.0.1"},
		{"IPv4 on both", "[::]:0", "127.0.0.1:0", "127.0.0.2", "127.0.0.1"},
		{"IPv6", "[::]:0", "[::1]:0", "::1", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, err := Listen(netip.MustParseAddrPort(c.server), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close() //nolint:errcheck // a test's
			client, err := Listen(netip.MustParseAddrPort(c.client), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close() //nolint:errcheck // a test's
			at := netip.AddrPortFrom(netip.MustParseAddr(c.at), server.LocalAddr().Port())
			buf := make([]byte, MaxRun)
			if err := client.Send(make([]byte, 100), 0, at); err != nil {
				t.Fatal(err)
			}
			asked, err := server.Receive(buf)
			if err != nil || asked.To != at.Addr() {
				t.Fatalf("%+v, %v", asked, err)
			}
			for _, refuse := range []error{nil, unix.EIO} {
				server.refuseGSO = refuse
				for _, size := range []int{100, 3000} {
					for _, x := range []struct {
						source netip.Addr
						want   string
					}{{asked.To, c.at}, {netip.Addr{}, c.plain}} {
						if err := server.SendFrom(make([]byte, size), 1000, x.source, asked.From); err != nil {
							t.Fatal(err)
						}
						for got := 0; got < size; {
							r, err := client.Receive(buf)
							if err != nil || r.From.Addr() != netip.MustParseAddr(x.want) {
								t.Fatalf("source %v: from %v, %v", x.source, r.From, err)
							}
							got += r.N
						}
					}
				}
			}
		})
	}
}

// A source that is no address of this host is an error, and the next run leaves as
// ever.
func TestForeignSource(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	if err := s.SendFrom(make([]byte, 3000), 1000, netip.MustParseAddr("192.0.2.1"), s.LocalAddr()); err == nil {
		t.Error("it was sent")
	}
	if err := s.Send(make([]byte, 3000), 1000, s.LocalAddr()); err != nil {
		t.Error(err)
	}
}
