package handshake

import (
	"bytes"
	"testing"

	"github.com/totg/totg/internal/wire"
)

// FuzzOpenInit feeds a responder with bytes as they are, and with a right
// first byte and MAC (H-5). Threat: a stranger who knows the public key and
// sends what he likes. It must not panic, must not change the datagram, and
// whatever opens must have been made with the peer's private key.
func FuzzOpenInit(f *testing.F) {
	x := newExchange(f)
	f.Add([]byte{})
	f.Add(x.i.Datagram())
	f.Add(x.resp)
	f.Add(x.i.Datagram()[:MinInit-1])
	f.Add(append(bytes.Clone(x.i.Datagram()), make([]byte, 200)...))
	f.Add(make([]byte, MaxInit))
	genuine := x.i.Datagram()
	sealed := genuine[:len(genuine)-macLen-cookieLen]
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fix := range []bool{false, true} {
			if fix {
				if len(b) < macLen+1 {
					return
				}
				b[0] = wire.TypeInit
				b = remac(b, x.macB)
			}
			was := bytes.Clone(b)
			in, err := x.identity.OpenInit(b)
			if (in == nil) == (err == nil) {
				t.Fatalf("%v and %v", in, err)
			}
			if !bytes.Equal(b, was) {
				t.Fatal("the datagram changed")
			}
			if err == nil && (len(b) != len(genuine) || !bytes.Equal(b[:len(sealed)], sealed)) {
				t.Fatalf("a forged INIT opens: %x", b)
			}
		}
	})
}

// FuzzHandleResp feeds an initiator with bytes as they are, and with a right
// header and MAC. Threat: a stranger on the path who knows the public keys and
// sees the index. It must not panic, only the genuine RESP may complete the
// attempt, and nothing else may disturb it (H-4).
func FuzzHandleResp(f *testing.F) {
	x := newExchange(f)
	f.Add([]byte{})
	f.Add(x.resp)
	f.Add(x.i.Datagram())
	f.Add(x.resp[:respOverhead])
	f.Add(append(bytes.Clone(x.resp), make([]byte, 100)...))
	low := bytes.Clone(x.resp)
	clear(low[respHeader : respHeader+dhLen])
	f.Add(low)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fix := range []bool{false, true} {
			if fix {
				if len(b) < respHeader+macLen {
					return
				}
				copy(b, x.resp[:respHeader])
				b = remac(b, x.macA)
			}
			i := x.before // a copy
			var err error
			if i.hs, _, err = i.start(); err != nil {
				t.Fatal(err)
			}
			s, err := i.HandleResp(b)
			if (s == nil) == (err == nil) {
				t.Fatalf("%v and %v", s, err)
			}
			if err == nil {
				if !bytes.Equal(b, x.resp) {
					t.Fatalf("a forged RESP completes: %x", b)
				}
				continue
			}
			if _, err := i.HandleResp(x.resp); err != nil {
				t.Fatalf("after %x the genuine RESP does not complete: %v", b, err)
			}
		}
	})
}

// FuzzPayload parses payloads that an authenticated peer sealed (H-3). Threat:
// a peer with the right keys and a wrong program. What parses is within the
// limits and survives another round.
func FuzzPayload(f *testing.F) {
	p := payload{index: 7, timestamp: NewTimestamp(testTime()), params: Params{AES: true}, ladder: []byte("ladder")}
	f.Add(p.appendInit(nil))
	f.Add(p.appendResp(nil))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xFF}, 64))
	f.Add([]byte{0, 0, 0, 1, 0, 9, 0, 2, 0xAA, 0xBB, 1, 1, 1, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(p payload, err error, again func([]byte) (payload, error), encode func([]byte) []byte) {
			t.Helper()
			if err != nil {
				return
			}
			if len(p.ladder) > MaxLadder {
				t.Fatalf("a ladder of %d bytes", len(p.ladder))
			}
			q, err := again(encode(nil))
			if err != nil || q.index != p.index || q.timestamp != p.timestamp || q.params != p.params || !bytes.Equal(q.ladder, p.ladder) {
				t.Fatalf("%+v becomes %+v, %v", p, q, err)
			}
		}
		p, err := parseInitPayload(b)
		check(p, err, parseInitPayload, p.appendInit)
		p, err = parseRespPayload(b)
		check(p, err, parseRespPayload, p.appendResp)
	})
}

// FuzzKeys parses texts (H-1). Threat: a typing error, or a key picked by
// someone else. What parses is canonical and usable.
func FuzzKeys(f *testing.F) {
	f.Add(testKey(f, 1).Public().Base64())
	f.Add(testKey(f, 1).Base64())
	f.Add(PublicKey{}.Base64())
	f.Add("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add("short")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParsePublicKey(s); err == nil {
			x, err := k.X25519()
			if err != nil || x == ([32]byte{}) || k.Base64() != s {
				t.Fatalf("%q: X25519 %x, %v", s, x, err)
			}
		}
		if k, err := ParsePrivateKey(s); err == nil {
			if got, err := ParsePublicKey(k.Public().Base64()); err != nil || got != k.Public() || k.Base64() != s {
				t.Fatalf("%q: public key %v, %v", s, got, err)
			}
		}
		if k, err := ParsePresharedKey(s); err == nil && k.Base64() != s {
			t.Fatalf("%q: preshared key", s)
		}
	})
}
