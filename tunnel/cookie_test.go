package tunnel

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/tunnel/udp"
)

// call is an INIT of one key to another, with an index of its own.
func call(t *testing.T, caller, called byte, index uint32, now time.Time) *handshake.Initiator {
	t.Helper()
	in, err := handshake.NewInit(now, handshake.InitConfig{
		Private: newKey(t, caller), Peer: newKey(t, called).Public(), Index: index, Random: rand.NewChaCha8([32]byte{byte(index)}),
		Ladder: commitment(t, caller, called),
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// hear hands a datagram from an address to the loop.
func (l *loop) hear(now time.Time, b []byte, from netip.AddrPort) {
	l.shed(now)
	l.handleRun(now, udp.Run{N: len(b), Seg: len(b), From: from}, b)
	l.finish(now)
}

// H-5: under a flood of INITs from changing addresses the loop answers some with
// COOKIEs, opens nothing and grows by nothing; a peer that puts its cookie into
// its INIT gets through.
func TestCookieUnderFlood(t *testing.T) {
	l, _ := newLoop(t, testConfig(t))
	caller, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Close() })
	now := time.Now()
	flood := call(t, 7, 0, 5, now).Datagram() // a stranger who knows our key
	spoofed := func(n int) netip.AddrPort {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0x7f000000|uint32(n)) // 127.0.0.0/8: nothing leaves this host
		return netip.AddrPortFrom(netip.AddrFrom4(a), 9)
	}
	n := 1
	for ; !l.cookies.Loaded(now); n++ {
		l.hear(now, flood, spoofed(n))
	}
	opened := l.drops.badInit
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const many = 50_000
	for range many { // in a second
		now = now.Add(time.Second / many)
		l.hear(now, flood, spoofed(n))
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if l.drops.cookie > many/5 || l.drops.cookie+l.drops.flooded != many || l.drops.badInit != opened || len(l.table.byIndex) != 0 {
		t.Errorf("drops %+v, %d opened before, %d sessions", l.drops, opened, len(l.table.byIndex))
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 10*many {
		t.Errorf("memory grew by %d bytes", grown)
	}

	now = now.Add(time.Second / 100) // room for a COOKIE
	in := call(t, 1, 0, 6, now)
	cookie := l.answer(t, now, caller, in, wire.TypeCookie)
	if len(l.table.byIndex) != 0 {
		t.Fatal("a session without a cookie")
	}
	if fresh, err := in.HandleCookie(cookie); !fresh || err != nil {
		t.Fatal(fresh, err)
	}
	l.answer(t, now, caller, in, wire.TypeResp)
	if len(l.table.byIndex) != 1 {
		t.Error("no session with the cookie")
	}
}

// answer lets the loop hear a call from the socket until it answers with a datagram
// of the kind. What is sent to a busy host may be lost, even inside it.
func (l *loop) answer(t *testing.T, now time.Time, from *udp.Socket, in *handshake.Initiator, kind byte) []byte {
	t.Helper()
	answers := make(chan []byte, 1)
	go func() {
		for {
			buf := make([]byte, udp.MaxRun)
			run, err := from.Receive(buf)
			if err != nil {
				return
			}
			if buf[0] == kind {
				answers <- buf[:min(run.N, run.Seg)]
				return
			}
		}
	}()
	for range 100 {
		l.hear(now, in.Datagram(), from.LocalAddr())
		select {
		case b := <-answers:
			return b
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("no answer of type %#x", kind)
	return nil
}
