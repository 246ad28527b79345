package e2e

import "testing"

// H-7: keys change every second under a TCP transfer, without a new handshake and
// without the transfer's notice.
func TestRekey(t *testing.T) {
	p := newPair(t, func(p *pair) { p.ca.rekey, p.cb.rekey = "1s", "1s" })
	before, err := p.b.peerStatus("a")
	if err != nil {
		t.Fatal(err)
	}
	p.b.web()
	if err := fetch(p.a, inside(2), 25_000_000); err != nil { // 5 s at 40 Mbit/s
		t.Fatal(err)
	}
	sa, errA := p.a.peerStatus("b")
	sb, errB := p.b.peerStatus("a")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if sa.KeyEpochs < 3 || sb.KeyEpochs < 3 || !sb.LastHandshake.Equal(before.LastHandshake) {
		t.Errorf("%d and %d key epochs, handshake at %v, then at %v", sa.KeyEpochs, sb.KeyEpochs, before.LastHandshake, sb.LastHandshake)
	}
	for _, s := range []peerStatus{sa, sb} {
		if n := s.Drops["unknown_index"] + s.Drops["auth"]; n > 0 {
			t.Errorf("%d datagrams did not open: %v", n, s.Drops)
		}
	}
}
