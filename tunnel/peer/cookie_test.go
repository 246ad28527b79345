package peer

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
)

// H-5: a caller that gets a COOKIE sends its INIT again at once, with the cookie
// in it; a forged COOKIE does nothing; and a responder takes INITs that differ
// in the cookie for one (H-4), so that load which begins in the middle of a
// handshake does not break it.
func TestCookie(t *testing.T) {
	d := newDuo(t, nil)
	var inits [][]byte
	d.cut = func(_ int, b []byte) bool {
		if b[0] == wire.TypeInit {
			inits = append(inits, bytes.Clone(b))
		}
		return b[0] == wire.TypeResp || len(inits) > 1
	}
	d.exchange()
	if len(inits) != 1 || d.p[1].next == nil {
		t.Fatalf("%d INITs, answered: %v", len(inits), d.p[1].next != nil)
	}
	cookies, err := handshake.NewCookies(d.now, d.p[1].identity, rand.NewChaCha8([32]byte{3}))
	if err != nil {
		t.Fatal(err)
	}
	reply := cookies.AppendCookie(nil, d.now, d.addr[0], inits[0])
	forged := bytes.Clone(reply)
	forged[10] ^= 1
	if r := d.p[0].HandleDatagram(d.now, Inbound{From: d.addr[1]}, forged); r != DropCookie {
		t.Errorf("a forged COOKIE: %v", r)
	}
	if r := d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, reply); r != DropCookie {
		t.Errorf("a COOKIE to who called nobody: %v", r)
	}
	if d.exchange(); len(inits) != 1 {
		t.Fatal("a forged COOKIE makes an INIT leave")
	}
	if r := d.p[0].HandleDatagram(d.now, Inbound{From: d.addr[1]}, reply); r != DropNone {
		t.Fatalf("COOKIE: %v", r)
	}
	d.pass(2 * time.Millisecond) // less than the flood would wait (H-4)
	if len(inits) < 2 || !cookies.Valid(d.now, d.addr[0], inits[1]) {
		t.Fatalf("%d INITs, the last without the cookie", len(inits))
	}
	waiting := d.p[1].next
	if r := d.p[1].HandleDatagram(d.now, Inbound{From: d.addr[0]}, inits[1]); r != DropNone || d.p[1].next != waiting {
		t.Errorf("the INIT with its cookie: %v, the same session: %v", r, d.p[1].next == waiting)
	}
	d.cut = nil
	d.connect()
}
