package handshake

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"testing"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
)

// refNoise is Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s written down a second time
// from revision 34 of the framework, sections 5 and 9, so that the handshake
// is held to the specification and not to its own library.
type refNoise struct {
	tb    testing.TB
	h, ck []byte
	k     []byte
	n     uint64
}

func newRefNoise(tb testing.TB, prologue string, responder []byte) *refNoise {
	tb.Helper()
	name := sum2s([]byte("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")) // 37 characters: hashed
	s := &refNoise{tb: tb, h: name, ck: name}
	s.mixHash([]byte(prologue))
	s.mixHash(responder)
	return s
}

func sum2s(parts ...[]byte) []byte {
	h := blake2s.Sum256(bytes.Join(parts, nil))
	return h[:]
}

func (s *refNoise) hkdf(input []byte, n int) [][]byte {
	mac := func(key []byte, parts ...[]byte) []byte {
		m := hmac.New(func() hash.Hash { h, _ := blake2s.New256(nil); return h }, key)
		m.Write(bytes.Join(parts, nil))
		return m.Sum(nil)
	}
	temp := mac(s.ck, input)
	var out [][]byte
	var last []byte
	for i := range n {
		last = mac(temp, last, []byte{byte(i + 1)})
		out = append(out, last)
	}
	return out
}

func (s *refNoise) mixHash(b []byte) { s.h = sum2s(s.h, b) }

func (s *refNoise) mixKey(b []byte) {
	out := s.hkdf(b, 2)
	s.ck, s.k, s.n = out[0], out[1], 0
}

func (s *refNoise) mixKeyAndHash(b []byte) {
	out := s.hkdf(b, 3)
	s.ck, s.k, s.n = out[0], out[2], 0
	s.mixHash(out[1])
}

func (s *refNoise) mixDH(private, public []byte) {
	s.tb.Helper()
	a, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		s.tb.Fatal(err)
	}
	b, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		s.tb.Fatal(err)
	}
	shared, err := a.ECDH(b)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.mixKey(shared)
}

// seal encrypts and hashes.
func (s *refNoise) seal(plain []byte) []byte {
	s.tb.Helper()
	aead, err := chacha20poly1305.New(s.k)
	if err != nil {
		s.tb.Fatal(err)
	}
	var nonce [12]byte
	binary.LittleEndian.PutUint64(nonce[4:], s.n)
	s.n++
	sealed := aead.Seal(nil, nonce[:], plain, s.h)
	s.mixHash(sealed)
	return sealed
}

// message1 is "e, es, s, ss" with a payload; in pskN handshakes e is also
// mixed into the key (section 9.2).
func (s *refNoise) message1(static, ephemeral *ecdh.PrivateKey, responder, payload []byte) []byte {
	s.tb.Helper()
	e := ephemeral.PublicKey().Bytes()
	s.mixHash(e)
	s.mixKey(e)
	s.mixDH(ephemeral.Bytes(), responder)
	sealed := s.seal(static.PublicKey().Bytes())
	s.mixDH(static.Bytes(), responder)
	return slices.Concat(e, sealed, s.seal(payload))
}

// message2 is "e, ee, se, psk" with a payload.
func (s *refNoise) message2(ephemeral *ecdh.PrivateKey, initiatorE, initiatorS, psk, payload []byte) []byte {
	s.tb.Helper()
	e := ephemeral.PublicKey().Bytes()
	s.mixHash(e)
	s.mixKey(e)
	s.mixDH(ephemeral.Bytes(), initiatorE)
	s.mixDH(ephemeral.Bytes(), initiatorS)
	s.mixKeyAndHash(psk)
	return slices.Concat(e, s.seal(payload))
}

func refKey(tb testing.TB, private []byte) *ecdh.PrivateKey {
	tb.Helper()
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// refMAC appends the MAC for the owner of a public key.
func refMAC(b, static []byte) []byte {
	key := sha256.Sum256(append([]byte("totg 1 mac"), static...))
	m := hmac.New(sha256.New, key[:])
	m.Write(b)
	return append(slices.Clone(b), m.Sum(nil)[:16]...)
}

// refInit assembles an INIT.
func refInit(index uint32, message, responder []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x11}, index)
	return refMAC(slices.Concat(b, message, make([]byte, 16)), responder)
}

// refResp assembles a RESP.
func refResp(index, receiver uint32, message, initiator []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x12}, index)
	b = binary.BigEndian.AppendUint32(b, receiver)
	return refMAC(slices.Concat(b, message), initiator)
}
