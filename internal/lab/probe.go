package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// Echo is the outcome of a series of ICMP echo requests.
type Echo struct {
	Sent int
	RTT  []time.Duration // of those that were answered, ascending
}

// Loss is the share that was not answered.
func (e Echo) Loss() float64 {
	if e.Sent == 0 {
		return 0
	}
	return 1 - float64(len(e.RTT))/float64(e.Sent)
}

// Quantile is the round-trip time that a share q of the answers did not exceed,
// zero without answers.
func (e Echo) Quantile(q float64) time.Duration {
	if len(e.RTT) == 0 {
		return 0
	}
	i := int(q * float64(len(e.RTT)))
	return e.RTT[min(max(i, 0), len(e.RTT)-1)]
}

// echoSize is the ICMP header and what ping sends by default, in bytes.
const echoSize = 8 + 56

// pinger sends ICMP echo requests over a raw socket of a host's namespace. The lab
// has its own so that it needs no program that a small system lacks.
type pinger struct {
	conn *net.IPConn
	to   *net.IPAddr
	id   uint16
}

func newPinger(h *host, to string) (*pinger, error) {
	addr, err := netip.ParseAddr(to)
	if err != nil || !addr.Is4() {
		return nil, fmt.Errorf("ping %q: not an IPv4 address", to)
	}
	p := &pinger{to: &net.IPAddr{IP: addr.AsSlice()}, id: uint16(rand.Uint32())}
	err = h.ns.do(func() error {
		p.conn, err = net.ListenIP("ip4:icmp", nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping: %w", err)
	}
	return p, nil
}

func (p *pinger) close() { _ = p.conn.Close() } // nothing is buffered

// send sends request number seq. A packet that the host cannot send (the tunnel
// may not be there yet) is lost like any other.
func (p *pinger) send(seq uint16) {
	b := make([]byte, echoSize)
	b[0] = 8 // echo request
	binary.BigEndian.PutUint16(b[4:], p.id)
	binary.BigEndian.PutUint16(b[6:], seq)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	_, _ = p.conn.WriteToIP(b, p.to)
}

// receive waits until deadline for an answer and returns its number.
func (p *pinger) receive(deadline time.Time) (uint16, error) {
	buf := make([]byte, 1500)
	if err := p.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	for {
		n, from, err := p.conn.ReadFromIP(buf)
		if err != nil {
			return 0, err
		}
		b := buf[:n]
		if n >= echoSize && b[0] == 0 && from.IP.Equal(p.to.IP) && binary.BigEndian.Uint16(b[4:]) == p.id && checksum(b) == 0 {
			return binary.BigEndian.Uint16(b[6:]), nil
		}
	}
}

// checksum is the Internet checksum of b, whose length is even.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// series is how ping asks: count requests, one every interval, and a wait of up to
// patience after the last one.
type series struct {
	count              int
	interval, patience time.Duration
}

// ping sends a series of requests from h.
func ping(ctx context.Context, h *host, to string, s series) (Echo, error) {
	p, err := newPinger(h, to)
	if err != nil {
		return Echo{}, err
	}
	defer p.close()
	var mu sync.Mutex // guards sent
	sent := make([]time.Time, 0, s.count)
	start := wallClock()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for i := range s.count {
			mu.Lock()
			sent = append(sent, wallClock())
			mu.Unlock()
			p.send(uint16(i))
			if !sleep(ctx, start.Add(time.Duration(i+1)*s.interval).Sub(wallClock())) {
				return
			}
		}
	}()
	e := Echo{}
	seen := make(map[uint16]bool)
	deadline := start.Add(time.Duration(s.count)*s.interval + s.patience)
	for len(seen) < s.count && ctx.Err() == nil {
		seq, err := p.receive(soonest(deadline, wallClock().Add(200*time.Millisecond)))
		now := wallClock()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) || now.After(deadline) {
				break
			}
			continue
		}
		mu.Lock()
		known := int(seq) < len(sent) && !seen[seq]
		if known {
			seen[seq] = true
			e.RTT = append(e.RTT, now.Sub(sent[seq]))
		}
		mu.Unlock()
	}
	<-finished
	e.Sent = len(sent)
	slices.Sort(e.RTT)
	return e, ctx.Err()
}

func soonest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
