package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/totg/totg/internal/wire"
)

// relay is a lossy and slow way for datagrams to a tunnel's port and back, for one
// caller at a time.
type relay struct {
	address string // where to send them
	loss    float64
	delay   time.Duration // one way

	mu     sync.Mutex
	rng    *rand.Rand
	caller net.Addr        // who sent the newest
	first  time.Time       // of the caller's datagrams since reset
	sealed map[uint64]bool // receiver index and packet number of all that came
	twice  int             // … of those that came more than once
}

// relay opens one on the host.
func (h *host) relay(to string, loss float64, delay time.Duration) *relay {
	h.t.Helper()
	in, out := h.listenUDP("127.0.0.1:0"), h.listenUDP("0.0.0.0:0")
	r := &relay{address: in.LocalAddr().String(), loss: loss, delay: delay, rng: rand.New(rand.NewPCG(1, 1)), sealed: map[uint64]bool{}}
	target := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(net.JoinHostPort(to, fmt.Sprint(port))))
	go r.pass(in, func(b []byte) { _, _ = out.WriteTo(b, target) }, true)
	go r.pass(out, func(b []byte) {
		r.mu.Lock()
		caller := r.caller
		r.mu.Unlock()
		_, _ = in.WriteTo(b, caller) // there is one, or nobody would answer
	}, false)
	return r
}

// pass takes datagrams of one direction until the socket is closed.
func (r *relay) pass(from net.PacketConn, forward func(b []byte), call bool) {
	for {
		buf := make([]byte, 1500)
		n, a, err := from.ReadFrom(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		if call {
			r.caller = a
			if r.first.IsZero() {
				r.first = time.Now()
			}
		}
		if b := buf[:n]; n > 9 && b[0] == wire.TypeData { // W-1: a receiver index stands for a key
			id := binary.BigEndian.Uint64(b[1:])
			if r.sealed[id] {
				r.twice++
			}
			r.sealed[id] = true
		}
		lost := r.rng.Float64() < r.loss
		r.mu.Unlock()
		if !lost {
			go func() {
				pause(r.delay)
				forward(buf[:n])
			}()
		}
	}
}

// pause is a sleep of the kernel's: the runtime's timers are late by up to a
// millisecond.
func pause(d time.Duration) {
	for left := unix.NsecToTimespec(d.Nanoseconds()); unix.Nanosleep(&left, &left) == unix.EINTR; {
	}
}

// reset forgets who called first.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = time.Time{}
}

// called is when the first datagram of the caller came since reset.
func (r *relay) called() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first
}

// keys is how many keys sealed datagrams, how many those were, and how many had the
// packet number of another under the same key.
func (r *relay) keys() (keys, datagrams, twice int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[uint32]bool{}
	for id := range r.sealed {
		seen[uint32(id>>32)] = true
	}
	return len(seen), len(r.sealed), r.twice
}
