package e2e

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/handshake"
)

// H-5: under a flood of INITs from ever changing addresses, of a stranger who
// knows the hub's public key, the hub's memory does not follow the flood, a peer's
// connection goes on, and a new peer gets its session.
func TestHandshakeFlood(t *testing.T) {
	s := newStar(t)
	d := s.hub.up(s.config)
	s.hub.ip("route", "add", "198.18.0.0/15", "via", outside(2, 2)) // where the answers go
	s.s1.up(s.spoke(1))
	s.s1.reaches(inside(1))

	f := s.s2.flood(outside(2, 1), strangersInit(t, s.hub.public))
	sent := func() uint64 {
		st, err := s.hub.status("totg0")
		if err != nil {
			t.Fatal(err)
		}
		return st.Drops["cookie_sent"]
	}
	more := func(n uint64) { // until the hub has answered so many more
		t.Helper()
		from := sent()
		eventually(t, 2*patience, func() error {
			if got := sent() - from; got < n {
				return fmt.Errorf("the hub sent %d COOKIEs, want %d", got, n)
			}
			return nil
		})
	}
	more(5_000) // the collector has found its pace
	before, flooded, answered := d.memory(), f.sent.Load(), sent()
	more(40_000)
	grown := d.memory() - before
	t.Logf("%d INITs sent, %d COOKIEs, memory grew by %d KiB", f.sent.Load()-flooded, sent()-answered, grown)
	// The collector lets 4 MiB of garbage stand (Go's GC guide), which is made by
	// asking for the status; what a state of 150 bytes for each INIT takes is more.
	if grown > 5<<10 {
		t.Errorf("memory grew by %d KiB", grown)
	}
	c := s.s1.converse("10.77.0.1:" + s.hub.echo())
	s.s2.up(s.spoke(2))
	s.s2.reaches(inside(1))
	c.goesOn()
	if err := f.end(); err != nil {
		t.Error(err)
	}
}

// memory is the resident set of a daemon, in KiB.
func (d *daemon) memory() int {
	d.h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		d.h.t.Fatal(err)
	}
	return n
}

// strangersInit is an INIT to a public key, of a key that nobody knows.
func strangersInit(t *testing.T, to string) []byte {
	t.Helper()
	remote, err := handshake.ParsePublicKey(to)
	if err != nil {
		t.Fatal(err)
	}
	key, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	in, err := handshake.NewInit(time.Now(), handshake.InitConfig{Private: key, Peer: remote, Index: 1, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return in.Datagram()
}

// flooding is a flood of datagrams with forged source addresses.
type flooding struct {
	stop atomic.Bool
	sent atomic.Uint64
	done chan error
}

// flood sends a payload to the tunnel's port at an address again and again, each
// from another address and port of 198.18.0.0/15, some 10,000 a second.
func (h *host) flood(to string, payload []byte) *flooding {
	h.t.Helper()
	f := &flooding{done: make(chan error, 1)}
	var fd int
	err := h.do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	target := &unix.SockaddrInet4{Addr: addrPort(to + ":1").Addr().As4()}
	p := forged(target.Addr, payload)
	go func() {
		defer unix.Close(fd) //nolint:errcheck // nothing is buffered
		for n := uint32(1); !f.stop.Load(); n++ {
			binary.BigEndian.PutUint32(p[12:], 198<<24|18<<16|n&0x1ffff)
			binary.BigEndian.PutUint16(p[20:], uint16(1024+n%60000))
			if err := unix.Sendto(fd, p, 0, target); err != nil && !errors.Is(err, unix.ENOBUFS) {
				f.done <- err
				return
			}
			f.sent.Add(1)
			if n%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		f.done <- nil
	}()
	h.t.Cleanup(func() { f.stop.Store(true) })
	return f
}

func (f *flooding) end() error {
	f.stop.Store(true)
	return <-f.done
}

// forged is an IPv4 packet with a UDP datagram to the tunnel's port. The kernel
// fills in length and checksum of the header; UDP over IPv4 needs none.
func forged(to [4]byte, payload []byte) []byte {
	p := make([]byte, 28, 28+len(payload))
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_UDP
	copy(p[16:], to[:])
	binary.BigEndian.PutUint16(p[22:], uint16(port))
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	return append(p, payload...)
}
