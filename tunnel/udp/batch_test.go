package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/totg/totg/tunnel/poll"
	"github.com/totg/totg/tunnel/tun/netnstest"
)

// A batch takes what has arrived from several senders, each run with its own, and does
// not wait for more.
func TestBatch(t *testing.T) {
	ns := netnstest.New(t)
	for _, tt := range []struct{ server, client, ip string }{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "[::1]:0", "::1"},
	} {
		server := listen(t, ns, tt.server, 0)
		const space = 3
		b := NewBatch(space)
		if n, err := server.ReceiveBatch(b); n != 0 || err != nil {
			t.Errorf("%s: %d runs of nothing, %v", tt.server, n, err)
		}
		clients := [space + 1]*Socket{}
		for i := range clients {
			clients[i] = listen(t, ns, tt.client, 0)
			if err := clients[i].Send(bytes.Repeat([]byte{byte(i)}, 100+i), 0, to(server, tt.ip)); err != nil {
				t.Fatal(err)
			}
		}
		for first := 0; first < len(clients); {
			n, err := server.ReceiveBatch(b)
			if want := min(space, len(clients)-first); n != want || err != nil {
				t.Fatalf("%s: %d runs, %v, want %d", tt.server, n, err, want)
			}
			for i := range n {
				run, buf := b.Run(i)
				at := first + i
				if run.From != to(clients[at], tt.ip) || run.Seg != 100+at || !bytes.Equal(buf, bytes.Repeat([]byte{byte(at)}, 100+at)) {
					t.Errorf("%s: run %d: %+v %d bytes", tt.server, at, run, len(buf))
				}
			}
			first += n
		}
		_ = server.Close()
		if _, err := server.ReceiveBatch(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: closed: %v", tt.server, err)
		}
	}
}

// Steady state allocates nothing, in either direction.
func TestBatchAllocations(t *testing.T) {
	ns := netnstest.New(t)
	server, client := listen(t, ns, "[::]:0", 0), listen(t, ns, "127.0.0.1:0", 0)
	b, data, dst := NewBatch(4), make([]byte, 3000), to(server, "127.0.0.1")
	set := poll.NewSet(1)
	if err := set.Add(0, server.FD()); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := client.Send(data, 1000, dst); err != nil {
			t.Fatal(err)
		}
		if err := set.Wait(time.Minute); err != nil {
			t.Fatal(err)
		}
		if n, err := server.ReceiveBatch(b); n == 0 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An address of the other family is refused, and the next one is not.
func TestOtherFamily(t *testing.T) {
	ns := netnstest.New(t)
	server, client := listen(t, ns, "127.0.0.1:0", 0), listen(t, ns, "127.0.0.1:0", 0)
	for _, bad := range []netip.AddrPort{{}, netip.MustParseAddrPort("[::1]:9")} {
		if err := client.Send([]byte{1}, 0, bad); err == nil {
			t.Errorf("sent to %v", bad)
		}
	}
	if err := client.Send([]byte{1}, 0, to(server, "127.0.0.1")); err != nil {
		t.Error(err)
	}
	receive(t, server, 1)
}
