package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

// bound ends a test that hangs; nothing is measured against it.
const bound = 20 * time.Second

// listen opens a socket in a namespace for the length of a test.
func listen(t *testing.T, ns *netnstest.NS, addr string, mark uint32) *Socket {
	t.Helper()
	var s *Socket
	ns.Do(t, func() {
		var err error
		if s, err = Listen(netip.MustParseAddrPort(addr), mark); err != nil {
			t.Errorf("Listen(%s): %v", addr, err)
		}
	})
	t.Cleanup(func() { _ = s.Close() })
	late := time.AfterFunc(bound, func() { _ = s.Close() })
	t.Cleanup(func() { late.Stop() })
	return s
}

// to is the address of a socket as seen from the same host.
func to(s *Socket, ip string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(ip), s.LocalAddr().Port())
}

// pattern is a run of datagrams of seg bytes, each full of its number.
func pattern(n, seg int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i / seg)
	}
	return b
}

// receive collects datagrams until it has n bytes, and gives their sizes, the
// number of calls, and the last sender.
func receive(t *testing.T, s *Socket, n int) (data []byte, sizes []int, calls int, from netip.AddrPort) {
	t.Helper()
	buf := make([]byte, MaxRun)
	for len(data) < n {
		run, err := s.Receive(buf)
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", len(data), n, err)
		}
		data = append(data, buf[:run.N]...)
		for got := run.N; got > 0; got -= run.Seg {
			sizes = append(sizes, min(run.Seg, got))
		}
		calls, from = calls+1, run.From
	}
	return data, sizes, calls, from
}

func wantSizes(n, seg int) []int {
	var sizes []int
	for ; n > 0; n -= seg {
		sizes = append(sizes, min(n, seg))
	}
	return sizes
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestRuns sends runs between every kind of socket, with offload and with the
// fallback forced, and checks every datagram.
func TestRuns(t *testing.T) {
	ns := netnstest.New(t)
	families := []struct{ name, server, client, ip string }{
		{"IPv4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "[::1]:0", "[::1]:0", "::1"},
		{"IPv4 to both", "[::]:0", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6 to both", "[::]:0", "[::1]:0", "::1"},
		{"both to IPv4", "127.0.0.1:0", "[::]:0", "127.0.0.1"},
		{"mapped address", "127.0.0.1:0", "[::]:0", "::ffff:127.0.0.1"},
	}
	runs := []struct{ n, seg int }{
		{1, 1},
		{1400, 1400},
		{1400, 0},
		{2800, 1400},
		{3000, 1400},
		{65000, 1200},
		{300 * 100, 100}, // more than 64 datagrams
		{150_000, 1399},  // more than one call can take
		{131_000, 1310},  // as many bytes as one call can take
		{65487, 65487},   // one datagram, the largest with DF on a loopback of MTU 65,536
		{90_000, 40_000}, // one datagram per call
	}
	for _, f := range families {
		for _, refuse := range []error{nil, unix.EIO, unix.EINVAL, unix.EMSGSIZE} {
			name := f.name + ", GSO"
			if refuse != nil {
				name = f.name + ", " + refuse.Error()
			}
			t.Run(name, func(t *testing.T) {
				server, client := listen(t, ns, f.server, 0), listen(t, ns, f.client, 0)
				client.refuseGSO = refuse
				for _, r := range runs {
					b := pattern(r.n, max(r.seg, 1))
					if err := client.Send(b, r.seg, to(server, f.ip)); err != nil {
						t.Fatalf("send %+v: %v", r, err)
					}
					got, sizes, _, from := receive(t, server, r.n)
					if !bytes.Equal(got, b) {
						t.Fatalf("%+v: other bytes arrived", r)
					}
					if r.seg > 0 && !equal(sizes, wantSizes(r.n, r.seg)) {
						t.Fatalf("%+v: datagrams of %v", r, sizes)
					}
					if want := to(client, strings.TrimPrefix(f.ip, "::ffff:")); from != want {
						t.Fatalf("from %v, want %v", from, want)
					}
				}
				if got := len(client.noGSO) > 0; got != (refuse != nil) {
					t.Errorf("fallback remembered: %v", got)
				}
			})
		}
	}
}

// TestOffloadCoalesces checks that a run is one system call at both ends.
func TestOffloadCoalesces(t *testing.T) {
	ns := netnstest.New(t)
	server, client := listen(t, ns, "127.0.0.1:0", 0), listen(t, ns, "127.0.0.1:0", 0)
	if err := client.Send(pattern(30_000, 1000), 1000, to(server, "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	if _, _, calls, _ := receive(t, server, 30_000); calls != 1 {
		t.Errorf("30 datagrams took %d calls, want 1", calls)
	}
}

// TestTooLargeW4 checks that a datagram larger than the path is refused, not cut
// (W-4), that its neighbours leave, and that offload is not blamed for it.
func TestTooLargeW4(t *testing.T) {
	ns := netnstest.New(t)
	ns.Run(t, "ip", "link", "set", "lo", "mtu", "1500")
	for _, tt := range []struct {
		ip    string
		fits  int
		other string
	}{{"127.0.0.1", 1472, "127.0.0.1:0"}, {"::1", 1452, "[::1]:0"}, {"127.0.0.1", 1472, "[::]:0"}} {
		server, client := listen(t, ns, "[::]:0", 0), listen(t, ns, tt.other, 0)
		if err := client.Send(pattern(tt.fits, 1), 0, to(server, tt.ip)); err != nil {
			t.Errorf("%s: %d bytes: %v", tt.ip, tt.fits, err)
		}
		if err := client.Send(make([]byte, tt.fits+1), 0, to(server, tt.ip)); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: %d bytes: %v, want EMSGSIZE", tt.ip, tt.fits+1, err)
		}
		receive(t, server, tt.fits)
		// The last, shorter one of a run that is too large still leaves.
		if err := client.Send(make([]byte, 2*tt.fits+2+500), tt.fits+1, to(server, tt.ip)); !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: run: %v, want EMSGSIZE", tt.ip, err)
		}
		if _, sizes, _, _ := receive(t, server, 500); !equal(sizes, []int{500}) {
			t.Errorf("%s: datagrams of %v, want 500", tt.ip, sizes)
		}
		if len(client.noGSO) != 0 {
			t.Errorf("%s: offload is blamed", tt.ip)
		}
	}
}

// TestFallbackMemory checks that the memory of paths without offload is bounded
// and kept per destination.
func TestFallbackMemory(t *testing.T) {
	ns := netnstest.New(t)
	server, client := listen(t, ns, "0.0.0.0:0", 0), listen(t, ns, "0.0.0.0:0", 0)
	client.refuseGSO = unix.EIO
	for i := range 3 * maxNoGSO {
		ip := netip.AddrFrom4([4]byte{127, 0, 1, byte(i)})
		for range 2 {
			if err := client.Send(make([]byte, 20), 10, netip.AddrPortFrom(ip, server.LocalAddr().Port())); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(client.noGSO); n > maxNoGSO || n == 0 {
			t.Fatalf("%d destinations remembered", n)
		}
	}
	// A run to another destination is tried with offload: here it fails for good.
	client.refuseGSO = unix.ENETDOWN
	if err := client.Send(make([]byte, 20), 10, to(server, "127.0.0.1")); !errors.Is(err, unix.ENETDOWN) {
		t.Errorf("error that is none of the offload's: %v", err)
	}
}

func setOption(t *testing.T, s *Socket, level, option, value int) {
	t.Helper()
	fd, err := s.fd.Use()
	if err != nil {
		t.Fatal(err)
	}
	defer s.fd.Release()
	if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
		t.Fatal(err)
	}
}

func getOption(t *testing.T, s *Socket, level, option int) int {
	t.Helper()
	fd, err := s.fd.Use()
	if err != nil {
		t.Fatal(err)
	}
	defer s.fd.Release()
	value, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestOptions checks the options that no traffic of this test shows.
func TestOptions(t *testing.T) {
	ns := netnstest.New(t)
	s := listen(t, ns, "[::]:0", 0x7467)
	for _, tt := range []struct {
		name                string
		level, option, want int
	}{
		{"IPv4 DF (W-4)", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE},
		{"IPv6 DF (W-4)", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE},
		{"GRO", unix.SOL_UDP, unix.UDP_GRO, 1},
		{"mark", unix.SOL_SOCKET, unix.SO_MARK, 0x7467},
		{"receive buffer", unix.SOL_SOCKET, unix.SO_RCVBUF, 2 * receiveBuffer},
		{"send buffer", unix.SOL_SOCKET, unix.SO_SNDBUF, 2 * sendBuffer},
	} {
		if tt.level == unix.SOL_SOCKET && tt.option != unix.SO_MARK && !netnstest.RealRoot() {
			continue // buffers beyond the system's limit are for real root alone
		}
		if got := getOption(t, s, tt.level, tt.option); got != tt.want {
			t.Errorf("%s = %d, want %d", tt.name, got, tt.want)
		}
	}
	for _, mark := range []uint32{1 << 31, 0, 5} {
		if err := s.SetMark(mark); err != nil {
			t.Fatal(err)
		}
		if got := uint32(getOption(t, s, unix.SOL_SOCKET, unix.SO_MARK)); got != mark {
			t.Errorf("mark = %#x, want %#x", got, mark)
		}
	}
}

// TestTruncated checks that of a run too large for the buffer the whole datagrams
// are kept, and that a datagram too large for it is skipped.
func TestTruncated(t *testing.T) {
	ns := netnstest.New(t)
	server, client := listen(t, ns, "127.0.0.1:0", 0), listen(t, ns, "127.0.0.1:0", 0)
	dst := to(server, "127.0.0.1")
	buf := make([]byte, 2500)
	if err := client.Send(pattern(5000, 1000), 1000, dst); err != nil {
		t.Fatal(err)
	}
	run, err := server.Receive(buf)
	if err != nil || run.N != 2000 || run.Seg != 1000 || !bytes.Equal(buf[:run.N], pattern(2000, 1000)) {
		t.Errorf("Receive = %+v, %v; want 2000, 1000", run, err)
	}
	for _, size := range []int{4000, 0, 7} { // too large, empty, good
		if err := client.Send(make([]byte, size), 0, dst); err != nil {
			t.Fatal(err)
		}
	}
	if run, err := server.Receive(buf); err != nil || run.N != 7 || run.Seg != 7 {
		t.Errorf("Receive = %+v, %v; want 7, 7", run, err)
	}
}

func TestUsable(t *testing.T) {
	for _, tt := range []struct{ n, size, flags, run, seg int }{
		{100, 0, 0, 100, 100},
		{100, 40, 0, 100, 40},
		{100, 100, 0, 100, 100},
		{100, 200, 0, 100, 100},
		{0, 0, 0, 0, 0},
		{100, 40, unix.MSG_TRUNC, 80, 40},
		{100, 200, unix.MSG_TRUNC, 0, 0},
		{100, 0, unix.MSG_TRUNC, 0, 0},
		{100, 40, unix.MSG_CTRUNC, 0, 0},
		{100, -5, 0, 100, 100},
	} {
		run, seg := usable(tt.n, tt.size, tt.flags)
		if run != tt.run || run > 0 && seg != tt.seg {
			t.Errorf("usable(%d, %d, %#x) = %d, %d; want %d, %d", tt.n, tt.size, tt.flags, run, seg, tt.run, tt.seg)
		}
	}
}

// FuzzMessages feeds control messages: the kernel writes them, so this guards
// against our own reading, and against a run that is taken apart wrongly.
func FuzzMessages(f *testing.F) {
	message := segmentMessage()
	setSegment(message, 1400)
	f.Add(message, 3000, 0)
	f.Add([]byte{}, 0, unix.MSG_TRUNC)
	f.Fuzz(func(t *testing.T, oob []byte, n, flags int) {
		n &= 0xffff
		size := parseMessages(oob).seg
		run, seg := usable(n, size, flags)
		if run < 0 || run > n || run > 0 && (seg < 1 || seg > run) {
			t.Fatalf("run of %d bytes in datagrams of %d, %d received", run, seg, n)
		}
	})
}

func TestCloseUnblocksReceive(t *testing.T) {
	ns := netnstest.New(t)
	s := listen(t, ns, "127.0.0.1:0", 0)
	ended := make(chan error, 1)
	go func() {
		_, err := s.Receive(make([]byte, MaxRun))
		ended <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive after Close = %v, want net.ErrClosed", err)
	}
	if err := s.Send([]byte{1}, 1, s.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send after Close = %v, want net.ErrClosed", err)
	}
	if err := s.SetMark(1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetMark after Close = %v, want net.ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}

// TestListenErrors checks that every mistake gives one line that says what to do.
func TestListenErrors(t *testing.T) {
	ns := netnstest.New(t)
	taken := listen(t, ns, "0.0.0.0:4430", 0)
	drop := func() {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		addr   netip.AddrPort
		mark   uint32
		before func()
		is     error
		says   string
	}{
		{"taken", taken.LocalAddr(), 0, nil, ErrTaken, "port 4430"},
		{"taken for both", netip.MustParseAddrPort("[::]:4430"), 0, nil, ErrTaken, "choose another"},
		{"no address", netip.AddrPort{}, 0, nil, ErrAddress, "0.0.0.0:4430"},
		{"foreign address", netip.MustParseAddrPort("192.0.2.1:4431"), 0, nil, ErrAddress, "192.0.2.1 is not an address of this host"},
		{"privileged port", netip.MustParseAddrPort("0.0.0.0:443"), 0, drop, ErrPrivilege, "CAP_NET_BIND_SERVICE"},
		{"mark", netip.MustParseAddrPort("0.0.0.0:4431"), 7, drop, ErrPrivilege, "CAP_NET_ADMIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns.Do(t, func() {
				if tt.before != nil {
					tt.before() // changes this thread alone, which ends here
				}
				s, err := Listen(tt.addr, tt.mark)
				if err == nil {
					_ = s.Close()
					t.Fatal("no error")
				}
				if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %q, want %v with %q on one line", err, tt.is, tt.says)
				}
			})
		})
	}
	if err := explain(taken.LocalAddr(), unix.EAFNOSUPPORT); !errors.Is(err, ErrAddress) {
		t.Errorf("no IPv6: %v", err)
	}
	if err := explain(taken.LocalAddr(), unix.EMFILE); !errors.Is(err, unix.EMFILE) {
		t.Errorf("other error: %v", err)
	}
}

// TestListenWithoutPrivilege checks that an ordinary user gets a socket, with the
// buffers that the system grants.
func TestListenWithoutPrivilege(t *testing.T) {
	ns := netnstest.New(t)
	ns.Do(t, func() {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Fatal(err)
		}
		s, err := Listen(netip.MustParseAddrPort("[::]:0"), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		if err := s.SetMark(1); !errors.Is(err, ErrPrivilege) {
			t.Errorf("SetMark = %v, want ErrPrivilege", err)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	ns := netnstest.New(t)
	for _, family := range []struct{ server, client, ip string }{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"[::]:0", "[::]:0", "127.0.0.1"},
		{"[::]:0", "[::]:0", "::1"},
	} {
		server, client := listen(t, ns, family.server, 0), listen(t, ns, family.client, 0)
		dst, out, buf := to(server, family.ip), make([]byte, 3000), make([]byte, MaxRun)
		for _, refuse := range []error{nil, unix.EIO} {
			client.refuseGSO = refuse
			if n := testing.AllocsPerRun(100, func() {
				if err := client.Send(out, 1000, dst); err != nil {
					t.Fatal(err)
				}
				for got := 0; got < len(out); {
					run, err := server.Receive(buf)
					if err != nil {
						t.Fatal(err)
					}
					got += run.N
				}
			}); n != 0 {
				t.Errorf("%s, offload refused: %v: %v allocations", family.ip, refuse, n)
			}
		}
	}
}
