package handshake

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// refExpand is HKDF-Expand for one block (RFC 5869, section 2.3).
func refExpand(secret []byte, label string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(label + "\x01"))
	return m.Sum(nil)
}

func refNonce(path uint32, pn uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, path), pn)
}

func refSealAES(tb testing.TB, secret, ad, text []byte, path uint32, pn uint64) []byte {
	tb.Helper()
	block, err := aes.NewCipher(refExpand(secret, "totg 1 aes-128-gcm")[:16])
	if err != nil {
		tb.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		tb.Fatal(err)
	}
	return gcm.Seal(nil, refNonce(path, pn), text, ad)
}

func refSealChaCha(tb testing.TB, secret, ad, text []byte, path uint32, pn uint64) []byte {
	tb.Helper()
	aead, err := chacha20poly1305.New(refExpand(secret, "totg 1 chacha20-poly1305"))
	if err != nil {
		tb.Fatal(err)
	}
	return aead.Seal(nil, refNonce(path, pn), text, ad)
}

func testAEAD(tb testing.TB, aes bool) *Key {
	tb.Helper()
	k, err := newKey([32]byte{1, 2, 3}, aes)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// aeads names both, by whether it is AES.
func aeads() map[string]bool {
	return map[string]bool{"AES-128-GCM": true, "ChaCha20-Poly1305": false}
}

// TestSealReference holds both AEADs to another derivation of key and nonce
// (W-1, W-2).
func TestSealReference(t *testing.T) {
	secret := [32]byte{1, 2, 3}
	for _, n := range []struct {
		path uint32
		pn   uint64
	}{{0, 0}, {0, 1}, {1, 0}, {1 << 31, 1 << 32}, {1<<32 - 1, 1<<64 - 2}} {
		for _, size := range []int{0, 1, 15, 16, 17, 1174} {
			ad, text := []byte("nine byte"), bytes.Repeat([]byte{0x5A}, size)
			if got, want := testAEAD(t, true).Seal(nil, ad, text, n.path, n.pn), refSealAES(t, secret[:], ad, text, n.path, n.pn); !bytes.Equal(got, want) {
				t.Errorf("AES, path %d, number %d, %d bytes: %x, want %x", n.path, n.pn, size, got, want)
			}
			if got, want := testAEAD(t, false).Seal(nil, ad, text, n.path, n.pn), refSealChaCha(t, secret[:], ad, text, n.path, n.pn); !bytes.Equal(got, want) {
				t.Errorf("ChaCha20, path %d, number %d, %d bytes: %x, want %x", n.path, n.pn, size, got, want)
			}
		}
	}
}

// TestOpenForged: every changed bit, every truncation, and every other path,
// number, key or AEAD is refused (W-2).
func TestOpenForged(t *testing.T) {
	for name, aes := range aeads() {
		t.Run(name, func(t *testing.T) {
			k := testAEAD(t, aes)
			ad, text := []byte("header"), []byte("some text")
			sealed := k.Seal(nil, ad, text, 3, 77)
			refuse := func(what string, k *Key, ad, sealed []byte, path uint32, pn uint64) {
				t.Helper()
				if got, err := k.Open(nil, ad, sealed, path, pn); !errors.Is(err, ErrOpen) || got != nil {
					t.Errorf("%s: %q, %v", what, got, err)
				}
			}
			for i := range len(sealed) * 8 {
				b := bytes.Clone(sealed)
				b[i/8] ^= 1 << (i % 8)
				refuse("bit of the datagram", k, ad, b, 3, 77)
			}
			for i := range len(ad) * 8 {
				b := bytes.Clone(ad)
				b[i/8] ^= 1 << (i % 8)
				refuse("bit of the header", k, b, sealed, 3, 77)
			}
			for n := range sealed {
				refuse("truncated", k, ad, sealed[:n], 3, 77)
			}
			refuse("longer", k, ad, append(bytes.Clone(sealed), 0), 3, 77)
			refuse("path", k, ad, sealed, 2, 77)
			refuse("number", k, ad, sealed, 3, 78)
			refuse("number, upper half", k, ad, sealed, 3, 77+1<<32)
			refuse("other AEAD", testAEAD(t, !aes), ad, sealed, 3, 77)
			other, err := newKey([32]byte{1, 2, 4}, aes)
			if err != nil {
				t.Fatal(err)
			}
			refuse("other key", other, ad, sealed, 3, 77)
			if got, err := k.Open(nil, ad, sealed, 3, 77); err != nil || !bytes.Equal(got, text) {
				t.Errorf("after all that: %q, %v", got, err)
			}
		})
	}
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

// TestNumberOnce: a key never seals a packet number twice (H-7).
func TestNumberOnce(t *testing.T) {
	for name, aes := range aeads() {
		t.Run(name, func(t *testing.T) {
			k := testAEAD(t, aes)
			seal := func(path uint32, pn uint64) func() {
				return func() { k.Seal(nil, nil, nil, path, pn) }
			}
			seal(0, 0)()
			mustPanic(t, "number 0 again", seal(0, 0))
			seal(0, 1)()
			seal(7, 0)() // another path counts for itself
			seal(0, 10)()
			mustPanic(t, "number 10 again", seal(0, 10))
			mustPanic(t, "number 5 after 10", seal(0, 5))
			seal(7, 1)()
			mustPanic(t, "path 7, number 1 again", seal(7, 1))
			seal(0, 1<<64-2)()
			mustPanic(t, "the last number again", seal(0, 1<<64-2))
			mustPanic(t, "the number after the last", seal(0, 1<<64-1))
			mustPanic(t, "number 0 after the last", seal(0, 0))
		})
	}
}

// TestZeroKey: the zero key and a wiped one open and seal nothing (H-7).
func TestZeroKey(t *testing.T) {
	a, b := newPair(t).run()
	sealed := a.Send.Seal(nil, nil, []byte("text"), 0, 0)
	a.Wipe()
	b.Wipe()
	a.Wipe() // again does no harm
	new(Session).Wipe()
	var none *Key
	for name, k := range map[string]*Key{"zero": {}, "nil": none, "wiped": b.Recv, "wiped sender": a.Send} {
		for _, c := range [][]byte{nil, {}, sealed, make([]byte, Overhead), sealed[4:]} {
			if got, err := k.Open(nil, nil, c, 0, 0); !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("%s key opens %x: %x, %v", name, c, got, err)
			}
		}
		mustPanic(t, name+" key seals", func() { k.Seal(nil, nil, nil, 0, 1) })
	}
	if a.Send.aead != nil || a.Recv.aead != nil {
		t.Error("a wiped key has its cipher")
	}
}

// TestSealInPlace: a datagram is sealed and opened in its own buffer, its
// header beside it, without an allocation.
func TestSealInPlace(t *testing.T) {
	for name, aes := range aeads() {
		t.Run(name, func(t *testing.T) {
			const header, size = 9, 1400
			k := testAEAD(t, aes)
			buf := make([]byte, 0, header+size+Overhead)
			var pn uint64
			var failed error
			allocs := testing.AllocsPerRun(100, func() {
				b := buf[:header+size]
				for i := range b {
					b[i] = byte(uint64(i) + pn)
				}
				sealed := k.Seal(b[:header], b[:header], b[header:], 0, pn)
				plain, err := k.Open(sealed[header:header], sealed[:header], sealed[header:], 0, pn)
				if err != nil || len(sealed) != len(b)+Overhead || &sealed[0] != &buf[:1][0] || len(plain) != size {
					failed = errors.New("not sealed and opened in place")
				}
				for i, c := range plain {
					if c != byte(uint64(header+i)+pn) {
						failed = errors.New("the text differs")
					}
				}
				sealed[len(sealed)-1] ^= 1 // a forgery costs none either
				if _, err := k.Open(sealed[header:header], sealed[:header], sealed[header:], 0, pn); err == nil {
					failed = errors.New("a forgery opens")
				}
				pn++
			})
			if failed != nil {
				t.Error(failed)
			}
			if allocs != 0 {
				t.Errorf("%v allocations per datagram", allocs)
			}
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	for name, aes := range aeads() {
		b.Run(name, func(b *testing.B) {
			k := testAEAD(b, aes)
			buf := make([]byte, 9+1400+Overhead)
			b.ReportAllocs()
			b.SetBytes(1400)
			var pn uint64
			for b.Loop() {
				k.Seal(buf[:9], buf[:9], buf[9:1409], 0, pn)
				pn++
			}
		})
	}
}
