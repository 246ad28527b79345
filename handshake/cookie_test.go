package handshake

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/netip"
	"testing"
	"time"
)

var cookieFrom = netip.MustParseAddrPort("192.0.2.7:4430")

func newCookies(tb testing.TB, now time.Time) *Cookies {
	tb.Helper()
	c, err := NewCookies(now, newPair(tb).identity, testRandom(9))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// H-5: an INIT without a cookie, or with one of another address, another INIT
// or another time, is not valid; with its own it is, for one to two steps.
func TestCookie(t *testing.T) {
	now := testTime()
	p := newPair(t)
	c, in, other := newCookies(t, now), p.newInit(), p.newInit()
	plain := bytes.Clone(in.Datagram())
	if c.Valid(now, cookieFrom, plain) {
		t.Fatal("an INIT without a cookie is valid")
	}
	reply := c.AppendCookie(nil, now, cookieFrom, plain)
	if len(reply) != cookieDatagram || len(reply) >= len(plain) {
		t.Errorf("a COOKIE of %d bytes", len(reply))
	}
	if fresh, err := in.HandleCookie(reply); !fresh || err != nil {
		t.Fatal(fresh, err)
	}
	with := in.Datagram()
	if c.Check(with) != nil || !SameInit(plain, with) || bytes.Equal(plain, with) {
		t.Fatal("the INIT with its cookie is not the same INIT")
	}
	elsewhere := netip.AddrPortFrom(cookieFrom.Addr(), 4431)
	mapped := netip.AddrPortFrom(netip.AddrFrom16(cookieFrom.Addr().As16()), cookieFrom.Port())
	moved := bytes.Clone(other.Datagram())
	copy(moved[len(moved)-macLen-cookieLen:], with[len(with)-macLen-cookieLen:])
	for _, x := range []struct {
		name string
		at   time.Duration
		from netip.AddrPort
		init []byte
		want bool
	}{
		{"at once", 0, cookieFrom, with, true},
		{"the same address, written as IPv6", 0, mapped, with, true},
		{"another port", 0, elsewhere, with, false},
		{"another host", 0, netip.MustParseAddrPort("192.0.2.8:4430"), with, false},
		{"another INIT", 0, cookieFrom, moved, false},
		{"in the last step", 2*cookieStep - 1, cookieFrom, with, true},
		{"too late", 2 * cookieStep, cookieFrom, with, false},
	} {
		if got := c.Valid(now.Add(x.at), x.from, x.init); got != x.want {
			t.Errorf("%s: %v", x.name, got)
		}
	}
	if fresh, err := in.HandleCookie(reply); fresh || err != nil {
		t.Errorf("the same COOKIE again: %v, %v", fresh, err)
	}
	init, err := p.identity.OpenInit(with)
	if err != nil {
		t.Fatal(err)
	}
	resp, _, err := init.Respond(p.resp)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.HandleResp(resp); err != nil {
		t.Errorf("RESP to an INIT with a cookie: %v", err)
	}
	if _, err := in.HandleCookie(reply); !errors.Is(err, ErrFinished) {
		t.Errorf("after the end: %v", err)
	}
}

// H-5: only who saw the INIT can make a COOKIE to it; nothing else changes it.
func TestForgedCookie(t *testing.T) {
	now := testTime()
	p := newPair(t)
	c, in := newCookies(t, now), p.newInit()
	was := bytes.Clone(in.Datagram())
	reply := c.AppendCookie(nil, now, cookieFrom, was)
	for i := range reply {
		bad := bytes.Clone(reply)
		bad[i] ^= 1
		if _, err := in.HandleCookie(bad); err == nil {
			t.Errorf("byte %d is not covered", i)
		}
		if _, err := in.HandleCookie(reply[:i]); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", i, err)
		}
	}
	if _, err := in.HandleCookie(append(reply, 0)); !errors.Is(err, ErrSize) {
		t.Error("a trailing byte")
	}
	if !bytes.Equal(in.Datagram(), was) {
		t.Error("the INIT changed")
	}
}

// H-5: what does not know our key, or is no INIT, is told apart by one hash, and
// a flood allocates nothing.
func TestCookieCheck(t *testing.T) {
	p := newPair(t)
	c, init := newCookies(t, testTime()), p.newInit().Datagram()
	for _, i := range []int{0, 1, 50, len(init) - cookieLen - macLen, len(init) - 1} {
		bad := bytes.Clone(init)
		bad[i] ^= 1
		if err := c.Check(bad); !errors.Is(err, ErrMAC) && !errors.Is(err, ErrType) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	for _, n := range []int{0, 1, MinInit - 1} {
		if err := c.Check(init[:n]); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	reply := make([]byte, 0, cookieDatagram)
	reply = c.AppendCookie(reply[:0], testTime(), cookieFrom, init)
	if n := testing.AllocsPerRun(100, func() {
		if c.Check(init) != nil || c.Valid(testTime(), cookieFrom, init) {
			t.Fatal("valid")
		}
		reply = c.AppendCookie(reply[:0], testTime(), cookieFrom, init)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// H-5: load begins with more INITs than loadInits a second, beyond a burst, lasts as
// long as so many come, and ends some time after them.
func TestLoad(t *testing.T) {
	now := testTime()
	c := newCookies(t, now)
	for range 10 * loadInits { // steady
		c.OnOpened(now)
		now = now.Add(time.Second / loadInits)
	}
	for range loadBurst - 1 {
		c.OnOpened(now)
	}
	if c.Loaded(now) {
		t.Fatal("loaded below the threshold")
	}
	for range loadBurst {
		c.OnOpened(now)
	}
	if !c.Loaded(now) {
		t.Fatal("not loaded")
	}
	init := newPair(t).newInit().Datagram()
	for end := now.Add(3 * loadFor); now.Before(end); now = now.Add(time.Second / (2 * loadInits)) {
		c.AppendCookie(nil, now, cookieFrom, init)
	}
	for _, x := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {-time.Hour, true}, {loadFor - time.Second, true}, {loadFor, false}} {
		if got := c.Loaded(now.Add(x.after)); got != x.want {
			t.Errorf("after %v: %v", x.after, got)
		}
	}
}

// H-5: the answers to a flood have a budget, and an INIT with a cookie needs none.
func TestCookieBudget(t *testing.T) {
	now := testTime()
	p := newPair(t)
	c, in := newCookies(t, now), p.newInit()
	init := bytes.Clone(in.Datagram())
	reply := c.AppendCookie(nil, now, cookieFrom, init)
	const floods, seconds = 10, 3
	answered := 0
	for range floods * CookieRate * seconds {
		if c.MayAnswer(now) {
			c.AppendCookie(nil, now, cookieFrom, init)
			answered++
		}
		now = now.Add(time.Second / (floods * CookieRate))
	}
	if most := CookieRate*seconds + cookieBurst; answered > most || answered < most-2*cookieBurst {
		t.Errorf("%d answers in %d s", answered, seconds)
	}
	if _, err := in.HandleCookie(reply); err != nil {
		t.Fatal(err)
	}
	with := in.Datagram()
	if HasCookie(init) || HasCookie(with[:MinInit-1]) || !HasCookie(with) || !c.Valid(now, cookieFrom, with) {
		t.Errorf("a cookie: %v, %v, %v", HasCookie(init), HasCookie(with[:MinInit-1]), HasCookie(with))
	}
	if i := len(with) - CookieEnd; !bytes.Equal(with[i:i+cookieLen], reply[5:5+cookieLen]) {
		t.Error("the cookie is elsewhere")
	}
}

func TestCookiesNeedRandomness(t *testing.T) {
	id := newPair(t).identity
	if _, err := NewCookies(testTime(), id, nil); !errors.Is(err, ErrNoRandom) {
		t.Error(err)
	}
	if _, err := NewCookies(testTime(), Identity{}, testRandom(9)); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if _, err := NewCookies(testTime(), id, bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("31 bytes of randomness are enough")
	}
}

// FuzzHandleCookie feeds an initiator. Threat: a stranger who knows the index
// and not the INIT, and one who saw it: with the right MAC his cookie is taken,
// which only makes the INIT carry it. The INIT stays the same but for that, and
// whole.
func FuzzHandleCookie(f *testing.F) {
	p := newPair(f)
	template := p.newInit()
	c := newCookies(f, testTime())
	f.Add(c.AppendCookie(nil, testTime(), cookieFrom, template.Datagram()))
	f.Add([]byte{})
	f.Add(make([]byte, cookieDatagram))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := *template
		own, _ := splitInit(in.datagram)
		forged := bytes.Clone(b)
		if n := len(forged) - macLen; n >= 0 {
			mac := sha256.Sum256(cookieText(nil, own, forged[:n]))
			copy(forged[n:], mac[:])
		}
		for _, b := range [][]byte{b, forged} {
			was := bytes.Clone(in.Datagram())
			fresh, err := in.HandleCookie(b)
			if changed := !bytes.Equal(was, in.Datagram()); changed != fresh || fresh && err != nil {
				t.Fatalf("fresh %v, changed %v, %v", fresh, changed, err)
			}
			if !SameInit(was, in.Datagram()) || c.Check(in.Datagram()) != nil {
				t.Fatal("the INIT is another")
			}
		}
	})
}

// BenchmarkOpenInit is what an INIT costs, BenchmarkCookie what one costs under
// load.
func BenchmarkOpenInit(b *testing.B) {
	p := newPair(b)
	init := p.newInit().Datagram()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.identity.OpenInit(init); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCookie(b *testing.B) {
	p := newPair(b)
	init := p.newInit().Datagram()
	c := newCookies(b, testTime())
	reply := make([]byte, 0, cookieDatagram)
	b.ReportAllocs()
	for b.Loop() {
		if c.Check(init) != nil || c.Valid(testTime(), cookieFrom, init) {
			b.Fatal("valid")
		}
		reply = c.AppendCookie(reply[:0], testTime(), cookieFrom, init)
	}
}
