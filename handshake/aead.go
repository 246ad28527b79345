package handshake

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

const nonceLen = 12

// Key protects the datagrams of one direction of a session (W-2). The zero Key
// opens nothing and must not seal (H-7).
type Key struct {
	aead  cipher.AEAD
	nonce [nonceLen]byte // scratch: on the stack it would escape into aead
	paths []pathNumber   // what Seal has used
}

// pathNumber is the lowest packet number that Seal still takes on a path.
type pathNumber struct {
	path uint32
	next uint64
}

// newKey derives the AEAD's key from one of Noise, which is never used itself.
func newKey(secret [32]byte, useAES bool) (*Key, error) {
	label, size, construct := labelChaCha, chacha20poly1305.KeySize, chacha20poly1305.New
	if useAES {
		label, size, construct = labelAES, 16, newGCM
	}
	key, err := hkdf.Expand(sha256.New, secret[:], label, size)
	if err != nil {
		return nil, fmt.Errorf("handshake: derive key: %w", err)
	}
	defer clear(key)
	aead, err := construct(key)
	if err != nil {
		return nil, fmt.Errorf("handshake: cipher: %w", err)
	}
	return &Key{aead: aead, paths: make([]pathNumber, 0, 1)}, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal appends the sealed plaintext to dst, Overhead bytes longer. To seal in
// place give plaintext[:0] as dst; otherwise the two must not overlap. ad may
// be the bytes before dst's end.
//
// Packet numbers of a path must rise: a number used again would give the key
// away, so Seal panics then (H-7, W-1).
func (k *Key) Seal(dst, ad, plaintext []byte, path uint32, pn uint64) []byte {
	if k == nil || k.aead == nil {
		panic("handshake: seal with a zero key")
	}
	k.use(path, pn)
	k.setNonce(path, pn)
	return k.aead.Seal(dst, k.nonce[:], plaintext, ad)
}

// Open appends the opened ciphertext to dst, or returns ErrOpen. To open in
// place give ciphertext[:0] as dst; a ciphertext that does not open may then
// be destroyed. The zero Key opens nothing (H-7).
func (k *Key) Open(dst, ad, ciphertext []byte, path uint32, pn uint64) ([]byte, error) {
	if k == nil || k.aead == nil {
		return nil, ErrOpen
	}
	k.setNonce(path, pn)
	b, err := k.aead.Open(dst, k.nonce[:], ciphertext, ad)
	if err != nil {
		return nil, ErrOpen
	}
	return b, nil
}

// Wipe makes k the zero Key (H-7). The expanded key inside the cipher is left
// to the garbage collector: the standard library offers no way to clear it.
func (k *Key) Wipe() {
	if k != nil {
		*k = Key{}
	}
}

// setNonce: path id ‖ packet number (W-1).
func (k *Key) setNonce(path uint32, pn uint64) {
	binary.BigEndian.PutUint32(k.nonce[:], path)
	binary.BigEndian.PutUint64(k.nonce[4:], pn)
}

// use marks pn as sealed.
func (k *Key) use(path uint32, pn uint64) {
	if pn == maxPN {
		panic("handshake: packet numbers are used up")
	}
	for i := range k.paths {
		if p := &k.paths[i]; p.path == path {
			if pn < p.next {
				panic("handshake: packet number sealed again")
			}
			p.next = pn + 1
			return
		}
	}
	k.paths = append(k.paths, pathNumber{path: path, next: pn + 1})
}
