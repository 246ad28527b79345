package handshake

import (
	"crypto/ecdh"
	"fmt"
	"io"

	"github.com/flynn/noise"
)

// curve is X25519 for one Noise handshake (H-2). The curve of package noise takes
// the bytes of a private key and computes its public key again at every
// Diffie-Hellman, which doubles the time. Here Noise has but the names of the
// private keys (docs/adr/018-setup-work.md).
type curve struct {
	static    *ecdh.PrivateKey
	ephemeral *ecdh.PrivateKey // nil before GenerateKeypair
}

// Names of the private keys.
const (
	nameStatic    = 's'
	nameEphemeral = 'e'
)

// keypair is the static key for Noise.
func (c *curve) keypair() noise.DHKey {
	return noise.DHKey{Private: []byte{nameStatic}, Public: c.static.PublicKey().Bytes()}
}

// GenerateKeypair makes the ephemeral key of 32 bytes from random.
func (c *curve) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	var seed [dhLen]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return noise.DHKey{}, fmt.Errorf("handshake: read randomness: %w", err)
	}
	key, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return noise.DHKey{}, fmt.Errorf("handshake: ephemeral key: %w", err)
	}
	c.ephemeral = key
	return noise.DHKey{Private: []byte{nameEphemeral}, Public: key.PublicKey().Bytes()}, nil
}

// DH is the Diffie-Hellman of the key of that name. A public key of low order is
// an error (RFC 7748, section 6.1).
func (c *curve) DH(name, public []byte) ([]byte, error) {
	private := c.static
	if name[0] == nameEphemeral {
		private = c.ephemeral
	}
	remote, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return private.ECDH(remote)
}

// DHLen is the length of keys and secrets.
func (*curve) DHLen() int { return dhLen }

// DHName is the curve's name in that of the protocol.
func (*curve) DHName() string { return noise.DH25519.DHName() }
