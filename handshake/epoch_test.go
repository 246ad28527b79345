package handshake

import (
	"errors"
	"testing"
)

func epochShare(tb testing.TB, n byte) Exchange {
	tb.Helper()
	x, err := NewExchange(testRandom(n))
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// nextEpoch derives the next epoch on both sides.
func nextEpoch(tb testing.TB, a, b *Session, n byte) (ea, eb *Epoch) {
	tb.Helper()
	xa, xb := epochShare(tb, n), epochShare(tb, n+1)
	ea, err := a.NextEpoch(xa, xb.Public())
	if err != nil {
		tb.Fatal(err)
	}
	if eb, err = b.NextEpoch(xb, xa.Public()); err != nil {
		tb.Fatal(err)
	}
	return ea, eb
}

// opens reports whether what one key seals another opens.
func opens(seal, open *Key, pn uint64) bool {
	b := seal.Seal(nil, []byte("header"), []byte("text"), 0, pn)
	got, err := open.Open(nil, []byte("header"), b, 0, pn)
	return err == nil && string(got) == "text"
}

// H-7: both sides derive the same keys and indices for each epoch, with either
// AEAD; what the old keys sealed opens under the old receiving key alone, and a
// key that was left seals nothing any more.
func TestEpochs(t *testing.T) {
	for _, useAES := range []bool{false, true} {
		p := newPair(t)
		p.init.Params.AES, p.resp.Params.AES = useAES, useAES
		a, b := p.run()
		seen := map[uint32]bool{a.LocalIndex: true, b.LocalIndex: true}
		pn := uint64(0)
		for n := range byte(3) {
			ea, eb := nextEpoch(t, a, b, 10+4*n)
			if ea.LocalIndex != eb.RemoteIndex || eb.LocalIndex != ea.RemoteIndex || seen[ea.LocalIndex] || seen[eb.LocalIndex] {
				t.Fatalf("indices %x %x and %x %x", ea.LocalIndex, ea.RemoteIndex, eb.LocalIndex, eb.RemoteIndex)
			}
			seen[ea.LocalIndex], seen[eb.LocalIndex] = true, true
			pn++
			late := a.Send.Seal(nil, nil, []byte("late"), 0, pn)
			was := a.Send
			old, index := b.Switch(eb)
			if _, err := old.Open(nil, nil, late, 0, pn); err != nil || index == b.LocalIndex {
				t.Errorf("the old key: %v", err)
			}
			if _, err := b.Recv.Open(nil, nil, late, 0, pn); !errors.Is(err, ErrOpen) {
				t.Error("the new key opens what the old one sealed")
			}
			a.Switch(ea)
			pn++
			if !opens(a.Send, b.Recv, pn) || !opens(b.Send, a.Recv, pn) || a.Epoch() != uint32(n)+1 {
				t.Errorf("epoch %d does not carry", a.Epoch())
			}
			if !panics(func() { was.Seal(nil, nil, nil, 0, pn+1) }) || !panics(func() { a.Switch(ea) }) {
				t.Error("an epoch that is over goes on")
			}
		}
	}
}

// Epochs follow from the secret of their session: another session, or another
// exchange, has other keys; an exchange of low order is refused.
func TestEpochSecrets(t *testing.T) {
	a, b := newPair(t).run()
	p := newPair(t)
	p.init.PSK, p.resp.PSK = PresharedKey{1}, PresharedKey{1}
	c, _ := p.run()
	c.Hash = b.Hash // only the secrets differ
	xa, xb := epochShare(t, 30), epochShare(t, 31)
	ea, err := a.NextEpoch(xa, xb.Public())
	if err != nil {
		t.Fatal(err)
	}
	ec, err := c.NextEpoch(xa, xb.Public())
	if err != nil {
		t.Fatal(err)
	}
	eb, err := b.NextEpoch(xb, epochShare(t, 32).Public())
	if err != nil {
		t.Fatal(err)
	}
	if ea.LocalIndex == ec.LocalIndex || opens(ea.Send, eb.Recv, 0) {
		t.Error("keys do not depend on the session's secret or on the exchange")
	}
	if _, err := a.NextEpoch(xa, [KeyLen]byte{}); !errors.Is(err, ErrKeyPoint) {
		t.Errorf("a point of low order: %v", err)
	}
	ea.Wipe()
	if !panics(func() { ea.Send.Seal(nil, nil, nil, 0, 0) }) {
		t.Error("a wiped epoch seals")
	}
}

func panics(f func()) (is bool) {
	defer func() { is = recover() != nil }()
	f()
	return false
}
