package handshake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/wire"
)

// remac makes the MAC of an altered datagram right: a stranger who knows the
// public key can.
func remac(b []byte, key macKey) []byte { return key.append(slices.Clone(b[:len(b)-macLen])) }

// macOf is the MAC key of a host.
func macOf(tb testing.TB, k PublicKey) macKey {
	tb.Helper()
	static, err := k.X25519()
	if err != nil {
		tb.Fatal(err)
	}
	return newMACKey(static)
}

// exchange is one handshake with all its parts, RESP not yet handled.
type exchange struct {
	*pair

	i      *Initiator
	resp   []byte
	b      *Session
	macA   macKey
	macB   macKey
	before Initiator // i as it was
}

func newExchange(tb testing.TB) *exchange {
	tb.Helper()
	p := newPair(tb)
	x := &exchange{pair: p, i: p.newInit(), macA: macOf(tb, p.init.Private.Public()), macB: macOf(tb, p.init.Peer)}
	var err error
	if x.resp, x.b, err = x.open(x.i.Datagram()).Respond(x.pair.resp); err != nil {
		tb.Fatal(err)
	}
	x.before = *x.i
	x.before.payload, x.before.datagram = slices.Clone(x.i.payload), slices.Clone(x.i.datagram)
	return x
}

// refuseInit wants OpenInit to fail and to leave the datagram alone.
func (x *exchange) refuseInit(what string, b []byte, want ...error) {
	x.tb.Helper()
	was := slices.Clone(b)
	in, err := x.identity.OpenInit(b)
	if in != nil || !isOne(err, want) {
		x.tb.Errorf("INIT, %s: %v, want %v", what, err, want)
	}
	if !bytes.Equal(b, was) {
		x.tb.Errorf("INIT, %s: the datagram changed", what)
	}
}

// refuseResp wants HandleResp to fail and the attempt to stay what it was.
func (x *exchange) refuseResp(what string, b []byte, want ...error) {
	x.tb.Helper()
	was := slices.Clone(b)
	s, err := x.i.HandleResp(b)
	if s != nil || !isOne(err, want) {
		x.tb.Errorf("RESP, %s: %v, want %v", what, err, want)
	}
	if !bytes.Equal(b, was) {
		x.tb.Errorf("RESP, %s: the datagram changed", what)
	}
	is := *x.i
	is.hs, x.before.hs = nil, nil // made anew when it is needed
	if d := cmp.Diff(x.before, is, cmp.AllowUnexported(Initiator{}, Params{})); d != "" {
		x.tb.Errorf("RESP, %s: the attempt changed:\n%s", what, d)
	}
}

func isOne(err error, want []error) bool {
	return err != nil && slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) })
}

// finish wants the right RESP to complete the session all the same.
func (x *exchange) finish(t *testing.T) {
	t.Helper()
	a, err := x.i.HandleResp(x.resp)
	if err != nil {
		t.Fatalf("the right RESP after all that: %v", err)
	}
	checkTalk(t, a, x.b)
	if x.i.seed != ([32]byte{}) || !x.i.psk.IsZero() || x.i.hs != nil {
		t.Error("a finished attempt keeps its secrets")
	}
}

// TestTruncation: a datagram cut anywhere is refused, with the MAC that it had
// and with a right one (H-5).
func TestTruncation(t *testing.T) {
	x := newExchange(t)
	x.init.Ladder = make([]byte, 300) // an INIT that stays long enough
	long := x.newInit().Datagram()
	for n := range len(long) {
		x.refuseInit("cut", long[:n], ErrSize, ErrMAC)
		if n > macLen {
			x.refuseInit("cut, right MAC", remac(long[:n], x.macB), ErrSize, ErrNoise)
		}
	}
	for n := range len(x.resp) {
		x.refuseResp("cut", x.resp[:n], ErrSize, ErrMAC)
		if n > respHeader+macLen {
			x.refuseResp("cut, right MAC", remac(x.resp[:n], x.macA), ErrSize, ErrNoise)
		}
	}
	x.refuseInit("longer", append(slices.Clone(long), 0), ErrMAC)
	x.refuseInit("longer, right MAC", remac(append(slices.Clone(long), 0), x.macB), ErrNoise)
	x.refuseInit("too long", remac(append(slices.Clone(long), make([]byte, MaxInit)...), x.macB), ErrSize)
	x.refuseResp("longer", append(slices.Clone(x.resp), 0), ErrMAC)
	x.refuseResp("longer, right MAC", remac(append(slices.Clone(x.resp), 0), x.macA), ErrNoise)
	x.refuseResp("too long", remac(append(slices.Clone(x.resp), make([]byte, MaxResp)...), x.macA), ErrSize)
	x.finish(t)
}

// TestForgery flips every byte, first under the old MAC, then under a right
// one: only the cookie's room is free to change (H-5), and no forged RESP
// disturbs the attempt (H-4).
func TestForgery(t *testing.T) {
	x := newExchange(t)
	init := x.i.Datagram()
	for i := range init {
		b := slices.Clone(init)
		b[i] ^= 0x40
		x.refuseInit("flipped", b, ErrMAC, ErrType)
		if i < len(b)-macLen-cookieLen {
			x.refuseInit("flipped, right MAC", remac(b, x.macB), ErrType, ErrIndex, ErrNoise)
		} else if i < len(b)-macLen {
			if _, err := x.identity.OpenInit(remac(b, x.macB)); err != nil {
				t.Errorf("INIT with a cookie: %v", err)
			}
		}
	}
	for i := range x.resp {
		b := slices.Clone(x.resp)
		b[i] ^= 0x40
		x.refuseResp("flipped", b, ErrMAC, ErrType, ErrIndex)
		if i < len(b)-macLen {
			x.refuseResp("flipped, right MAC", remac(b, x.macA), ErrType, ErrIndex, ErrNoise)
		}
		if i == 1 { // the sender's index, which only the payload guards
			x.refuseResp("sender index", remac(b, x.macA), ErrIndex)
		}
	}
	x.finish(t)
}

// TestLowOrderEphemeral: points of low order make a Noise state fail halfway;
// the attempt survives (H-4).
func TestLowOrderEphemeral(t *testing.T) {
	x := newExchange(t)
	for _, first := range []byte{0, 1} { // u = 0 and u = 1
		e := make([]byte, dhLen)
		e[0] = first
		b := slices.Clone(x.i.Datagram())
		copy(b[initHeader:], e)
		x.refuseInit("low order", remac(b, x.macB), ErrNoise)
		b = slices.Clone(x.resp)
		copy(b[respHeader:], e)
		x.refuseResp("low order", remac(b, x.macA), ErrNoise)
	}
	x.finish(t)
}

// TestWrongKeys: who lacks one of the keys makes no session (H-2, H-5).
func TestWrongKeys(t *testing.T) {
	x := newExchange(t)
	other := testKey(t, 9)
	otherID, err := NewIdentity(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := otherID.OpenInit(x.i.Datagram()); !errors.Is(err, ErrMAC) {
		t.Errorf("INIT to another host: %v", err)
	}
	if _, err := otherID.OpenInit(remac(x.i.Datagram(), otherID.mac)); !errors.Is(err, ErrNoise) {
		t.Errorf("INIT to another host, right MAC: %v", err)
	}
	// The wrong host answers an INIT of the same index.
	y := newExchange(t)
	y.init.Peer = other.Public()
	in, err := otherID.OpenInit(y.newInit().Datagram())
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := in.Respond(RespondConfig{PSK: x.pair.resp.PSK, Index: indexB, Random: testRandom(5)})
	if err != nil {
		t.Fatal(err)
	}
	x.refuseResp("from another host", forged, ErrNoise)
	// RESP to another attempt, of another index and of the same.
	x.init.Index++
	z := x.newInit()
	resp, _, err := x.open(z.Datagram()).Respond(RespondConfig{PSK: x.pair.resp.PSK, Index: indexB, Random: testRandom(6)})
	if err != nil {
		t.Fatal(err)
	}
	x.refuseResp("to another attempt", resp, ErrIndex)
	binary.BigEndian.PutUint32(resp[5:], indexA)
	x.refuseResp("to another attempt, index changed", remac(resp, x.macA), ErrNoise)
	x.finish(t)
}

// TestPSK: a session needs the same preshared key on both ends; none is the
// zero key (H-2).
func TestPSK(t *testing.T) {
	keys := []PresharedKey{{}, {0: 1}, {31: 1}}
	for i, a := range keys {
		for j, b := range keys {
			x := newExchange(t)
			x.init.PSK = a
			x.i = x.newInit()
			resp, s, err := x.open(x.i.Datagram()).Respond(RespondConfig{PSK: b, Index: indexB, Random: testRandom(6)})
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.i.HandleResp(resp)
			if i != j {
				if !errors.Is(err, ErrNoise) {
					t.Errorf("preshared keys %d and %d: %v", i, j, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("preshared key %d on both ends: %v", i, err)
			}
			checkTalk(t, got, s)
		}
	}
}

// TestVersion: another version in the first byte (W-1) or in the prologue
// (H-2) is another protocol.
func TestVersion(t *testing.T) {
	x := newExchange(t)
	for v := range byte(16) {
		for typ := range byte(16) {
			first := v<<4 | typ
			b := slices.Clone(x.i.Datagram())
			if b[0] = first; first != wire.TypeInit {
				x.refuseInit("first byte", b, ErrType)
				x.refuseInit("first byte, right MAC", remac(b, x.macB), ErrType)
			}
			b = slices.Clone(x.resp)
			if b[0] = first; first != wire.TypeResp {
				x.refuseResp("first byte", b, ErrType)
				x.refuseResp("first byte, right MAC", remac(b, x.macA), ErrType)
			}
		}
	}
	for _, text := range []string{"totg 2", "totg 1 ", "", "totg"} {
		x.refuseInit("prologue "+text, refHandshake(t, x.pair, text, nil, nil).init, ErrNoise)
	}
	x.finish(t)
}

// refDatagrams are INIT and RESP with any payload, by the second
// implementation.
type refDatagrams struct{ init, resp []byte }

func refHandshake(t *testing.T, p *pair, prologue string, payload1, payload2 []byte) refDatagrams {
	t.Helper()
	a := refKey(t, (*p.init.Private.k).dh.Bytes())
	b := refKey(t, (*p.identity.private.k).dh.Bytes())
	e := refKey(t, bytes.Repeat([]byte{0x21}, 32))
	if payload1 == nil {
		payload1 = (&payload{index: indexA}).appendInit(nil)
	}
	ref := newRefNoise(t, prologue, b.PublicKey().Bytes())
	init := refInit(indexA, ref.message1(a, e, b.PublicKey().Bytes(), payload1), b.PublicKey().Bytes())
	resp := refResp(indexB, indexA, ref.message2(e, e.PublicKey().Bytes(), a.PublicKey().Bytes(), p.init.PSK[:], payload2), a.PublicKey().Bytes())
	return refDatagrams{init, resp}
}

// TestPeerPayload: the peer has all keys and sends nonsense inside (H-3).
func TestPeerPayload(t *testing.T) {
	x := newExchange(t)
	good := (&payload{index: indexA, timestamp: NewTimestamp(x.now)}).appendInit(nil)
	if _, err := x.identity.OpenInit(refHandshake(t, x.pair, "totg 1", good, nil).init); err != nil {
		t.Fatal(err)
	}
	wrong := slices.Clone(good)
	wrong[0] ^= 1
	x.refuseInit("other index", refHandshake(t, x.pair, "totg 1", wrong, nil).init, ErrIndex)
	wrong = append(good, 1) // padding that is no padding
	x.refuseInit("trailing byte", refHandshake(t, x.pair, "totg 1", wrong, nil).init, ErrPayload)

	// RESP: x.i with the ephemeral key of the reference.
	copy(x.i.seed[:], bytes.Repeat([]byte{0x21}, 32))
	x.i.hs = nil
	x.before.seed = x.i.seed
	respond := func(payload2 []byte) []byte {
		return refHandshake(t, x.pair, "totg 1", x.i.payload, payload2).resp
	}
	body := (&payload{index: indexB}).appendResp(nil)
	for n := range body {
		x.refuseResp("payload cut", respond(body[:n]), ErrPayload)
	}
	x.refuseResp("trailing byte", respond(append(slices.Clone(body), 0)), ErrPayload)
	wrong = slices.Clone(body)
	wrong[3] ^= 1
	x.refuseResp("other index", respond(wrong), ErrIndex)
	if _, err := x.i.HandleResp(respond(body)); err != nil {
		t.Errorf("good payload: %v", err)
	}
}

// TestReplayedInit: a replay opens, with the old timestamp, by which it is
// known (H-6); without the initiator's ephemeral key it makes no session.
func TestReplayedInit(t *testing.T) {
	x := newExchange(t)
	first, again := x.open(x.i.Datagram()), x.open(x.i.Datagram())
	if first.Timestamp != again.Timestamp || again.Timestamp.After(first.Timestamp) {
		t.Error("a replay has another timestamp")
	}
	x.now = x.now.Add(1)
	if fresh := x.open(x.newInit().Datagram()); !fresh.Timestamp.After(first.Timestamp) {
		t.Error("a fresh INIT is not newer")
	}
	// Two answers to one INIT are two sessions, each good for its RESP.
	cfg := x.pair.resp
	resp1, b1, err1 := first.Respond(cfg)
	resp2, b2, err2 := again.Respond(cfg)
	if err1 != nil || err2 != nil || bytes.Equal(resp1, resp2) || b1.Hash == b2.Hash {
		t.Fatalf("two answers: %v, %v", err1, err2)
	}
	a, err := x.i.HandleResp(resp2)
	if err != nil || a.Hash != b2.Hash {
		t.Fatalf("second answer: %v", err)
	}
	checkTalk(t, a, b2)
	sealed := a.Send.Seal(nil, nil, []byte("text"), 0, 9)
	if _, err := b1.Recv.Open(nil, nil, sealed, 0, 9); !errors.Is(err, ErrOpen) {
		t.Error("the session of the other answer opens it too")
	}
}
