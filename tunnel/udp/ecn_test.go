package udp

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

// TestECN checks the congestion mark in both families (T-2).
func TestECN(t *testing.T) {
	ns := netnstest.New(t)
	for _, tt := range []struct {
		server, client, ip string
		level, option      int
	}{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1", unix.IPPROTO_IP, unix.IP_TOS},
		{"[::]:0", "127.0.0.1:0", "127.0.0.1", unix.IPPROTO_IP, unix.IP_TOS},
		{"[::]:0", "[::1]:0", "::1", unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
		{"[::1]:0", "[::1]:0", "::1", unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
	} {
		server, client := listen(t, ns, tt.server, 0), listen(t, ns, tt.client, 0)
		for _, tos := range []int{0, 1, 2, 3, 0xb8 | 3, 0xb8} {
			setOption(t, client, tt.level, tt.option, tos)
			if err := client.Send(make([]byte, 3000), 1000, to(server, tt.ip)); err != nil {
				t.Fatal(err)
			}
			run, err := server.Receive(make([]byte, MaxRun))
			if err != nil {
				t.Fatal(err)
			}
			if want := tos&3 == 3; run.CE != want {
				t.Errorf("%s: TOS %#x: ce = %v, want %v", tt.server, tos, run.CE, want)
			}
			receive(t, server, 3000-run.N)
		}
	}
}

// TestECNCapable checks that a socket says so in both families, also of runs that
// the kernel cuts, and not before it was told to (T-2).
func TestECNCapable(t *testing.T) {
	ns := netnstest.New(t)
	for _, tt := range [][3]string{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"127.0.0.1:0", "[::]:0", "127.0.0.1"},
		{"[::1]:0", "[::]:0", "::1"},
		{"[::1]:0", "[::1]:0", "::1"},
	} {
		server, client := listen(t, ns, tt[0], 0), listen(t, ns, tt[1], 0)
		for _, want := range []byte{0, ecnECT0} {
			if err := client.Send(make([]byte, 3000), 1000, to(server, tt[2])); err != nil {
				t.Fatal(err)
			}
			for n := 0; n < 3000; {
				got, tos := receiveTOS(t, server)
				if n += got; tos != want {
					t.Errorf("%s to %s: TOS %#x, want %#x", tt[1], tt[0], tos, want)
				}
			}
			if err := client.SetECN(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// receiveTOS receives as Receive does, and returns the TOS byte.
func receiveTOS(t *testing.T, s *Socket) (n int, tos byte) {
	t.Helper()
	oob := make([]byte, oobLen)
	if err := s.wait(unix.POLLIN); err != nil {
		t.Fatal(err)
	}
	fd, err := s.fd.Use()
	if err != nil {
		t.Fatal(err)
	}
	defer s.fd.Release()
	n, oobn, _, _, err := unix.Recvmsg(fd, make([]byte, MaxRun), oob, 0)
	if err != nil {
		t.Fatal(err)
	}
	list, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if h := m.Header; h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS || h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS {
			return n, m.Data[0]
		}
	}
	t.Fatal("no TOS byte")
	return 0, 0
}
