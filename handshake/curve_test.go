package handshake

import (
	"bytes"
	"io"
	"testing"

	"github.com/flynn/noise"
)

// H-2: keys and secrets are those that the library's own curve makes of the same
// bytes, and a public key of low order is refused.
func TestCurve(t *testing.T) {
	random := testRandom(11)
	for n := range byte(50) {
		static := (*testKey(t, n).k).dh
		c := &curve{static: static}
		var seed, peer [dhLen]byte
		if _, err := io.ReadFull(random, seed[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(random, peer[:]); err != nil {
			t.Fatal(err)
		}
		want, err := noise.DH25519.GenerateKeypair(bytes.NewReader(seed[:]))
		if err != nil {
			t.Fatal(err)
		}
		ephemeral, err := c.GenerateKeypair(bytes.NewReader(seed[:]))
		if err != nil || !bytes.Equal(ephemeral.Public, want.Public) {
			t.Fatalf("seed %x: %x, %v, want %x", seed, ephemeral.Public, err, want.Public)
		}
		if got := c.keypair().Public; !bytes.Equal(got, (*testKey(t, n).k).point[:]) {
			t.Errorf("static key %x", got)
		}
		for private, name := range map[string][]byte{string(static.Bytes()): c.keypair().Private, string(seed[:]): ephemeral.Private} {
			want, err := noise.DH25519.DH([]byte(private), peer[:])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.DH(name, peer[:]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("key %q: %x, %v, want %x", name, got, err, want)
			}
			if got, err := c.DH(name, make([]byte, dhLen)); err == nil {
				t.Errorf("key %q, with a point of low order: %x", name, got)
			}
		}
	}
	if _, err := new(curve).GenerateKeypair(bytes.NewReader(make([]byte, dhLen-1))); err == nil {
		t.Error("a key of 31 bytes")
	}
}
