package session

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/totg/totg/channel"
	"github.com/totg/totg/handshake"
	"github.com/totg/totg/reliability/rate"
	"github.com/totg/totg/tunnel/peer"
)

// newPair opens two sessions with each other, which find their rate so.
func newPair(t *testing.T, r rate.Config) (ctx context.Context, s [2]*Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	var keys [2]handshake.PrivateKey
	for i := range keys {
		k, err := handshake.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
	}
	var endpoint netip.AddrPort
	for i := range s {
		x, err := Open(Config{
			Private: keys[i], Peer: keys[1-i].Public(), Listen: netip.MustParseAddrPort("127.0.0.1:0"), Endpoint: endpoint, Rate: r,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = x.Close() })
		s[i], endpoint = x, x.Addr()
	}
	return ctx, s
}

// channels opens a channel and returns both ends.
func channels(ctx context.Context, t *testing.T, s [2]*Session, o Options) (a, b *Channel) {
	t.Helper()
	a, err := s[0].OpenChannel(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Send(ctx, []byte("first"), 0); err != nil {
		t.Fatal(err)
	}
	if b, err = s[1].Accept(ctx); err != nil {
		t.Fatal(err)
	}
	if unit, err := b.Receive(ctx); err != nil || string(unit) != "first" {
		t.Fatalf("%q, %v", unit, err)
	}
	return a, b
}

// TestEveryMode: units of all sizes, whole, both ways, in every mode, whether the
// rate is found or given. // C-4, G-4
func TestEveryMode(t *testing.T) {
	for _, r := range []rate.Config{{}, {Mode: rate.Scavenger, Ceiling: 50e6}, {Mode: rate.Fixed, Ceiling: 100e6}} {
		t.Run(r.Mode.String(), func(t *testing.T) {
			t.Parallel()
			everyMode(t, r)
		})
	}
}

func everyMode(t *testing.T, r rate.Config) {
	t.Helper()
	ctx, s := newPair(t, r)
	for mode := range Mode(8) {
		a, b := channels(ctx, t, s, Options{Mode: mode})
		if b.Mode() != mode {
			t.Errorf("%v became %v", mode, b.Mode())
		}
		for _, n := range []int{1, 1000, 5000, MaxUnit} {
			unit := bytes.Repeat([]byte{byte(n)}, n)
			for _, x := range [][2]*Channel{{a, b}, {b, a}} {
				if err := x[0].Send(ctx, unit, 0); err != nil {
					t.Fatalf("%v: %v", mode, err)
				}
				if got, err := x[1].Receive(ctx); err != nil || !bytes.Equal(got, unit) {
					t.Fatalf("%v: %d bytes, %v", mode, len(got), err)
				}
			}
		}
		if err := a.Flush(ctx); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
	}
}

// TestRate: a mode without the rate that it needs is refused. // G-4
func TestRate(t *testing.T) {
	k, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Private: k, Peer: k.Public(), Listen: netip.MustParseAddrPort("127.0.0.1:0"), Rate: rate.Config{Mode: rate.Fixed}}
	if s, err := Open(cfg); err == nil {
		_ = s.Close()
		t.Error("a fixed rate of nothing")
	}
}

// TestErrors: what a caller does wrong, and what ends.
func TestErrors(t *testing.T) {
	ctx, s := newPair(t, rate.Config{})
	a, b := channels(ctx, t, s, Options{Mode: TCP})
	if err := a.Send(ctx, nil, 0); !errors.Is(err, ErrUnit) {
		t.Errorf("an empty unit: %v", err)
	}
	if err := a.Send(ctx, make([]byte, MaxUnit+1), 0); !errors.Is(err, ErrUnit) {
		t.Errorf("a large unit: %v", err)
	}
	if err := a.Send(ctx, []byte{1}, time.Second); !errors.Is(err, ErrDeadline) {
		t.Errorf("a deadline in mode TCP: %v", err)
	}
	if _, err := s[0].OpenChannel(ctx, Options{Mode: 8}); !errors.Is(err, ErrMode) {
		t.Errorf("mode 8: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := b.Receive(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing to receive: %v", err)
	}
	if _, _, closed := a.Reason(); closed {
		t.Error("closed")
	}
	_ = a.Close()
	_ = a.Close()
	if _, err := b.Receive(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("after a close: %v", err)
	}
	if why, byPeer, closed := b.Reason(); why != channel.ReasonNone || !byPeer || !closed {
		t.Errorf("%v %v %v", why, byPeer, closed)
	}
	if err := a.Send(ctx, []byte{1}, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("send on a closed channel: %v", err)
	}
	if err := a.Flush(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("flush of a closed channel: %v", err)
	}
}

// TestSessionEnds: when one end closes, the channels of the other do too, with an
// event, and its own calls return.
func TestSessionEnds(t *testing.T) {
	ctx, s := newPair(t, rate.Config{})
	a, b := channels(ctx, t, s, Options{Mode: Z})
	waits := make(chan error, 1)
	go func() {
		_, err := a.Receive(ctx)
		waits <- err
	}()
	if err := s[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, ErrClosed) {
		t.Errorf("at the other end: %v", err)
	}
	if _, err := b.Receive(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("here: %v", err)
	}
	if err := b.Send(ctx, []byte{1}, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("send here: %v", err)
	}
	if _, err := s[1].OpenChannel(ctx, Options{}); !errors.Is(err, ErrClosed) {
		t.Errorf("open here: %v", err)
	}
	var kinds []EventKind
	for len(kinds) == 0 || kinds[len(kinds)-1] != EventDown && len(kinds) < 9 {
		e, err := s[0].NextEvent(ctx)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
	}
	if len(kinds) < 2 || kinds[0] != EventUp {
		t.Errorf("events %v", kinds)
	}
	if err := s[1].Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// TestInboxFull: units that nobody takes are bounded: a reliable channel closes,
// another loses the oldest.
func TestInboxFull(t *testing.T) {
	for mode, closes := range map[Mode]bool{TCP: true, Z: false} {
		c := newChannel(nil, peer.ChannelID{}, mode)
		unit := make([]byte, 60_000)
		for i := range 2 * maxInbox / len(unit) {
			unit[0], unit[1] = byte(i>>8), byte(i)
			if !c.deliver(unit) && !closes {
				t.Fatal("the channel must close")
			}
		}
		got, err := c.Receive(t.Context())
		if first := int(got[0])<<8 | int(got[1]); err != nil || closes != (first == 0) {
			t.Errorf("%v: the oldest is %d, %v", mode, first, err)
		}
		if c.bytes > maxInbox+len(unit) && !closes {
			t.Errorf("%v: %d bytes wait", mode, c.bytes)
		}
	}
}
