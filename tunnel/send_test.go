package tunnel

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/totg/totg/tunnel/peer"
	"github.com/totg/totg/tunnel/udp"
)

// sender is a sendBuffer on a real socket, and sinks that it sends to.
type sender struct {
	t      *testing.T
	socket *udp.Socket
	out    sendBuffer
	sinks  []*net.UDPConn
	want   [][][]byte // by sink
}

func newSender(t *testing.T, sinks int) *sender {
	t.Helper()
	s := &sender{t: t, want: make([][][]byte, sinks)}
	var err error
	if s.socket, err = udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.socket.Close() })
	for range sinks {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadBuffer(1 << 20) // else the kernel's limit
		s.sinks = append(s.sinks, c)
	}
	return s
}

func (s *sender) addr(sink int) netip.AddrPort {
	a, ok := s.sinks[sink].LocalAddr().(*net.UDPAddr)
	if !ok {
		s.t.Fatal("no UDP address")
	}
	return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
}

// add puts a datagram of n random bytes into the buffer.
func (s *sender) add(rng *rand.Rand, n, sink int) {
	s.t.Helper()
	buf := s.out.next()
	if len(buf) < peer.DefaultMaxDatagram {
		s.t.Fatalf("room of %d bytes for the next datagram", len(buf))
	}
	for i := range n {
		buf[i] = byte(rng.Uint32())
	}
	s.want[sink] = append(s.want[sink], bytes.Clone(buf[:n]))
	if failed := s.out.add(s.socket, n, netip.Addr{}, s.addr(sink)); failed != 0 {
		s.t.Fatalf("%d datagrams failed", failed)
	}
}

// arrived compares what the sinks got, in order, with what was added.
func (s *sender) arrived() {
	s.t.Helper()
	buf := make([]byte, 65536)
	for i, c := range s.sinks {
		for j, want := range s.want[i] {
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, err := c.Read(buf)
			if err != nil {
				s.t.Fatalf("sink %d, datagram %d of %d: %v", i, j, len(s.want[i]), err)
			}
			if !bytes.Equal(buf[:n], want) {
				s.t.Fatalf("sink %d: datagram %d has %d bytes, want %d, or they differ", i, j, n, len(want))
			}
		}
		s.want[i] = nil
	}
}

// G-5: datagrams of one size to one destination leave together; whatever else comes
// ends the batch.
func TestSendBufferBatches(t *testing.T) {
	type add struct{ n, sink, waiting int } // waiting: datagrams in the buffer afterwards
	for _, c := range []struct {
		name string
		adds []add
	}{
		{"equal sizes gather", []add{{1000, 0, 1}, {1000, 0, 2}, {1000, 0, 3}}},
		{"a shorter one is the last", []add{{1000, 0, 1}, {900, 0, 2}, {900, 0, 1}, {900, 0, 2}}},
		{"not even one of the first size follows it", []add{{1000, 0, 1}, {900, 0, 2}, {1000, 0, 1}}},
		{"a longer one begins anew", []add{{900, 0, 1}, {900, 0, 2}, {1000, 0, 1}, {1000, 0, 2}}},
		{"another destination begins anew", []add{{900, 0, 1}, {900, 1, 1}, {900, 1, 2}, {900, 0, 1}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSender(t, 2)
			rng := rand.New(rand.NewPCG(1, 0))
			for i, a := range c.adds {
				s.add(rng, a.n, a.sink)
				if s.out.count != a.waiting {
					t.Fatalf("after datagram %d: %d wait, want %d", i, s.out.count, a.waiting)
				}
			}
			if failed := s.out.flush(s.socket); failed != 0 || s.out.count != 0 || s.out.used != 0 {
				t.Errorf("flush: %d failed, %d left", failed, s.out.count)
			}
			s.arrived()
		})
	}
}

// A full batch leaves by itself, in time for the next datagram to have room.
func TestSendBufferFull(t *testing.T) {
	for _, size := range []int{peer.DefaultMaxDatagram, 1452, 1200, 60, 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newSender(t, 1)
			rng := rand.New(rand.NewPCG(2, 0))
			full := 0
			for range 2*maxBatch + 1 {
				s.add(rng, size, 0)
				if s.out.count == 0 {
					full++
				}
			}
			if full != 2 || s.out.count != 1 {
				t.Errorf("%d full batches left, %d datagrams wait; want 2 and 1", full, s.out.count)
			}
			s.out.flush(s.socket)
			s.arrived()
		})
	}
}

// FuzzSendBuffer: whatever sizes and destinations the cores choose, every datagram
// arrives, whole and in order.
func FuzzSendBuffer(f *testing.F) {
	f.Add(uint64(1), 100)
	f.Add(uint64(7), 30)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		s := newSender(t, 2)
		rng := rand.New(rand.NewPCG(seed, 0))
		sizes := []int{1, 300, 1200, 1472}
		size, sink := 1200, 0
		for range min(max(n, 0), 120) {
			if rng.IntN(4) == 0 {
				size = sizes[rng.IntN(len(sizes))]
			}
			if rng.IntN(8) == 0 {
				sink = rng.IntN(2)
			}
			s.add(rng, size, sink)
		}
		s.out.flush(s.socket)
		s.arrived()
	})
}

// An error of the kernel is counted, and the buffer goes on.
func TestSendBufferFails(t *testing.T) {
	s := newSender(t, 1)
	s.out.next()[0] = 1
	failed := s.out.add(s.socket, 1000, netip.Addr{}, netip.MustParseAddrPort("[2001:db8::1]:9")) // not from an IPv4 socket
	failed += s.out.flush(s.socket)
	if failed == 0 {
		t.Error("a datagram that could not be sent was not counted")
	}
	s.add(rand.New(rand.NewPCG(3, 0)), 1000, 0)
	if failed := s.out.flush(s.socket); failed != 0 {
		t.Errorf("%d failed afterwards", failed)
	}
	s.arrived()
	if failed := s.out.flush(s.socket); failed != 0 {
		t.Error("an empty buffer failed")
	}
}

func TestSendBufferAllocatesNothing(t *testing.T) {
	s := newSender(t, 1)
	to := s.addr(0)
	n := testing.AllocsPerRun(50, func() {
		s.out.add(s.socket, 1200, netip.Addr{}, to)
		s.out.add(s.socket, 1200, netip.Addr{}, to)
		s.out.add(s.socket, 800, netip.Addr{}, to)
		s.out.flush(s.socket)
	})
	if n != 0 {
		t.Errorf("%v allocations for each batch", n)
	}
}
