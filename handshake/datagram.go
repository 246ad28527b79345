package handshake

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"

	"github.com/flynn/noise"

	"github.com/totg/totg/internal/wire"
)

// INIT (H-3, H-5):
//
//	 0      1              5                              101+n            117+n          133+n
//	 +------+--------------+------------------------------+----------------+--------------+
//	 | type | sender index | Noise message 1, 96 + n B    | cookie2        | mac          |
//	 | u8   | u32          |                              | 16 B, or zero  | 16 B         |
//	 +------+--------------+------------------------------+----------------+--------------+
//
// RESP (H-3):
//
//	 0      1              5                9                              57+n           73+n
//	 +------+--------------+----------------+------------------------------+--------------+
//	 | type | sender index | receiver index | Noise message 2, 48 + n B    | mac          |
//	 | u8   | u32          | u32            |                              | 16 B         |
//	 +------+--------------+----------------+------------------------------+--------------+
//
// n is the length of the payload (payload.go).

// macKey is what INIT and RESP to the owner of a public key are authenticated
// with, so that who does not know the key gets nothing from us (H-5).
type macKey [sha256.Size]byte

func newMACKey(static [32]byte) macKey {
	return sha256.Sum256(append([]byte(labelMAC), static[:]...))
}

func (k *macKey) sum(b []byte) []byte {
	h := hmac.New(sha256.New, k[:])
	h.Write(b)
	return h.Sum(nil)[:macLen]
}

// append appends the MAC of b to it.
func (k *macKey) append(b []byte) []byte { return append(b, k.sum(b)...) }

// open returns what stands before the MAC, if that is right.
func (k *macKey) open(b []byte) ([]byte, error) {
	body, mac := b[:len(b)-macLen], b[len(b)-macLen:]
	if !hmac.Equal(mac, k.sum(body)) { // constant time (H-5)
		return nil, ErrMAC
	}
	return body, nil
}

// checkType checks a datagram's first byte: type and version (W-1).
func checkType(b []byte, want byte, least, most int) error {
	if len(b) == 0 {
		return ErrSize
	}
	if b[0] != want {
		return ErrType
	}
	if len(b) < least || len(b) > most {
		return ErrSize
	}
	return nil
}

// parseInit splits an INIT for the owner of key.
func parseInit(b []byte, key *macKey) (index uint32, message []byte, err error) {
	if err := checkType(b, wire.TypeInit, MinInit, MaxInit); err != nil {
		return 0, nil, err
	}
	body, err := key.open(b)
	if err != nil {
		return 0, nil, err
	}
	r := wire.NewReader(body)
	_, index = r.U8(), r.U32()
	message = r.Bytes(r.Len() - cookieLen) // the MAC covers the cookie; Cookies reads it
	return index, message, r.Err()
}

// parseResp splits a RESP to the INIT of index mine for the owner of key.
func parseResp(b []byte, key *macKey, mine uint32) (index uint32, message []byte, err error) {
	if err := checkType(b, wire.TypeResp, respOverhead, MaxResp); err != nil {
		return 0, nil, err
	}
	r := wire.NewReader(b)
	_, index = r.U8(), r.U32()
	if r.U32() != mine { // before any cryptography
		return 0, nil, ErrIndex
	}
	body, err := key.open(b)
	if err != nil {
		return 0, nil, err
	}
	return index, body[respHeader:], nil
}

// noiseConfig is the Noise protocol of both sides (H-2). random gives the 32
// bytes of the ephemeral key.
func noiseConfig(key PrivateKey, random io.Reader) noise.Config {
	dh := &curve{static: (*key.k).dh}
	return noise.Config{
		CipherSuite:           noise.NewCipherSuite(dh, noise.CipherChaChaPoly, noise.HashBLAKE2s),
		Random:                random,
		Pattern:               noise.HandshakeIK,
		Prologue:              []byte(prologue),
		PresharedKeyPlacement: 2,
		StaticKeypair:         dh.keypair(),
	}
}
