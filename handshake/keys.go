package handshake

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"

	"filippo.io/edwards25519"
)

// fingerprintLen is how many base64 characters of a key are shown: 48 bits,
// enough to tell keys of a log apart and too few to be taken for the key.
const fingerprintLen = 8

// PublicKey is a host's identity: an Ed25519 public key (H-1). Its text form
// is standard base64. The zero value is no key.
type PublicKey [KeyLen]byte

// ParsePublicKey parses the text form. It rejects what no host can have as its
// key: text that is not canonical, bytes that are no point of the curve, and
// points of low order (H-1).
func ParsePublicKey(s string) (PublicKey, error) {
	b, err := decodeKey(s)
	if err != nil {
		return PublicKey{}, err
	}
	k := PublicKey(b)
	if _, err := k.X25519(); err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// X25519 returns the key's X25519 form, the Noise static key, by the
// birational map of RFC 7748, section 4.1 (H-1). The error is ErrKeyPoint.
func (k PublicKey) X25519() ([32]byte, error) {
	p, err := new(edwards25519.Point).SetBytes(k[:])
	if err != nil {
		return [32]byte{}, ErrKeyPoint
	}
	// A second encoding of a point would be a second name of one host.
	if !bytes.Equal(p.Bytes(), k[:]) {
		return [32]byte{}, ErrKeyPoint
	}
	// A shared secret with a point of low order is known to everyone.
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return [32]byte{}, ErrKeyPoint
	}
	return [32]byte(p.BytesMontgomery()), nil
}

// Base64 is the text form, 44 characters.
func (k PublicKey) Base64() string { return base64.StdEncoding.EncodeToString(k[:]) }

// MarshalText gives the text form.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.Base64()), nil }

// UnmarshalText is ParsePublicKey.
func (k *PublicKey) UnmarshalText(text []byte) error {
	v, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = v
	return nil
}

// Verify reports whether sig is the signature of text by the owner of k
// (RFC 8032, section 5.1.7). The zero key verifies nothing.
func (k PublicKey) Verify(text []byte, sig *[SignatureLen]byte) bool {
	return !k.IsZero() && ed25519.Verify(k[:], text, sig[:])
}

// Less orders keys by their bytes: the two ends of a session agree on who is
// the smaller one.
func (k PublicKey) Less(o PublicKey) bool { return bytes.Compare(k[:], o[:]) < 0 }

// IsZero reports whether k is the zero value, no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// String is the fingerprint.
func (k PublicKey) String() string {
	if k.IsZero() {
		return "(no key)"
	}
	return k.Base64()[:fingerprintLen] + "…"
}

// Format prints the fingerprint for every verb.
func (k PublicKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// PrivateKey is a host's Ed25519 private key (H-1). It prints as the
// fingerprint of its public key. The zero value is no key. Compare with Equal;
// == is of use with the zero value only.
type PrivateKey struct {
	// In an unexported field package fmt does not call Format. It then
	// follows one pointer (for a verb that pointers have not), but not two.
	k **privateKey
}

type privateKey struct {
	seed   [KeyLen]byte // RFC 8032, section 5.1.5
	public PublicKey
	dh     *ecdh.PrivateKey // its X25519 form
	point  [32]byte         // … and the public half
}

// GenerateKey makes a key of 32 bytes from r, which must be a cryptographic
// source. The error is that of r.
func GenerateKey(r io.Reader) (PrivateKey, error) {
	if r == nil {
		return PrivateKey{}, ErrNoRandom
	}
	var seed [KeyLen]byte
	if _, err := io.ReadFull(r, seed[:]); err != nil {
		return PrivateKey{}, fmt.Errorf("handshake: read randomness: %w", err)
	}
	return newPrivateKey(seed)
}

// ParsePrivateKey parses the text form: base64 of the 32-byte seed.
func ParsePrivateKey(s string) (PrivateKey, error) {
	seed, err := decodeKey(s)
	if err != nil {
		return PrivateKey{}, err
	}
	return newPrivateKey(seed)
}

func newPrivateKey(seed [KeyLen]byte) (PrivateKey, error) {
	k := &privateKey{seed: seed}
	pair := ed25519.NewKeyFromSeed(seed[:])
	copy(k.public[:], pair[ed25519.SeedSize:])
	// The scalar of Ed25519 is that of X25519 too: both clamp it alike.
	h := sha512.Sum512(seed[:])
	dh, err := ecdh.X25519().NewPrivateKey(h[:32])
	clear(h[:])
	clear(pair)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("handshake: private key: %w", err)
	}
	k.dh = dh
	if k.point, err = k.public.X25519(); err != nil {
		return PrivateKey{}, err // no clamped scalar leads here
	}
	return PrivateKey{k: &k}, nil
}

// Public is the public key, the zero PublicKey of the zero PrivateKey.
func (p PrivateKey) Public() PublicKey {
	if p.IsZero() {
		return PublicKey{}
	}
	return (*p.k).public
}

// Sign signs text (RFC 8032, section 5.1.6): the same text has the same
// signature at every call. The text must begin with a label that keeps it apart
// from everything else that the key signs. It panics for the zero PrivateKey.
func (p PrivateKey) Sign(text []byte) [SignatureLen]byte {
	if p.IsZero() {
		panic("handshake: signature with no private key")
	}
	k := *p.k
	pair := append(k.seed[:len(k.seed):len(k.seed)], k.public[:]...)
	defer clear(pair)
	return [SignatureLen]byte(ed25519.Sign(pair, text))
}

// Base64 is the text form, 44 characters: the secret itself. It is empty for
// the zero PrivateKey.
func (p PrivateKey) Base64() string {
	if p.IsZero() {
		return ""
	}
	return base64.StdEncoding.EncodeToString((*p.k).seed[:])
}

// UnmarshalText is ParsePrivateKey. There is no way back: MarshalText gives
// the fingerprint.
func (p *PrivateKey) UnmarshalText(text []byte) error {
	v, err := ParsePrivateKey(string(text))
	if err != nil {
		return err
	}
	*p = v
	return nil
}

// MarshalText gives the fingerprint, so that encoders do not leak the key.
func (p PrivateKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Equal reports whether both are the same key, in constant time.
func (p PrivateKey) Equal(o PrivateKey) bool {
	if p.IsZero() || o.IsZero() {
		return p.IsZero() == o.IsZero()
	}
	return subtle.ConstantTimeCompare((*p.k).seed[:], (*o.k).seed[:]) == 1
}

// IsZero reports whether p is the zero value, no key.
func (p PrivateKey) IsZero() bool { return p.k == nil }

// String is the fingerprint of the public key.
func (p PrivateKey) String() string { return "(private key of " + p.Public().String() + ")" }

// Format prints the fingerprint of the public key for every verb.
func (p PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// PresharedKey is a secret of two peers that is mixed into the session keys
// (H-2). The zero value stands for none. It never prints.
type PresharedKey [KeyLen]byte

// ParsePresharedKey parses the text form: standard base64 of 32 bytes.
func ParsePresharedKey(s string) (PresharedKey, error) {
	b, err := decodeKey(s)
	return PresharedKey(b), err
}

// GeneratePresharedKey makes a key of 32 bytes from r, which must be a
// cryptographic source.
func GeneratePresharedKey(r io.Reader) (PresharedKey, error) {
	if r == nil {
		return PresharedKey{}, ErrNoRandom
	}
	var k PresharedKey
	if _, err := io.ReadFull(r, k[:]); err != nil {
		return PresharedKey{}, fmt.Errorf("handshake: read randomness: %w", err)
	}
	return k, nil
}

// Base64 is the text form, 44 characters: the secret itself.
func (k PresharedKey) Base64() string { return base64.StdEncoding.EncodeToString(k[:]) }

// UnmarshalText is ParsePresharedKey. There is no way back: MarshalText gives
// a placeholder.
func (k *PresharedKey) UnmarshalText(text []byte) error {
	v, err := ParsePresharedKey(string(text))
	if err != nil {
		return err
	}
	*k = v
	return nil
}

// MarshalText gives a placeholder, so that encoders do not leak the key.
func (k PresharedKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Equal reports whether both are the same key, in constant time.
func (k PresharedKey) Equal(o PresharedKey) bool {
	return subtle.ConstantTimeCompare(k[:], o[:]) == 1
}

// IsZero reports whether k is the zero value, no preshared key.
func (k PresharedKey) IsZero() bool { return k.Equal(PresharedKey{}) }

// String is a placeholder.
func (k PresharedKey) String() string {
	if k.IsZero() {
		return "(no preshared key)"
	}
	return "(preshared key)"
}

// Format prints the placeholder for every verb.
func (k PresharedKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// decodeKey decodes one canonical text form; the decoder of base64 alone would
// skip line ends.
func decodeKey(s string) ([KeyLen]byte, error) {
	if len(s) != base64.StdEncoding.EncodedLen(KeyLen) {
		return [KeyLen]byte{}, ErrKeyText
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != KeyLen {
		return [KeyLen]byte{}, ErrKeyText
	}
	return [KeyLen]byte(b), nil
}
