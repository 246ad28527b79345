package tunnel

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/totg/totg/handshake/ladder"
)

// commitment is the ladder message of an INIT (H-3).
func commitment(t *testing.T, caller, called byte) []byte {
	t.Helper()
	m, err := ladder.New(time.Now(), ladder.Config{
		Private: newKey(t, caller), Remote: newKey(t, called).Public(), Action: ladder.ActionUp,
		Nonce: [ladder.NonceLen]byte{caller, 1}, Rand: rand.New(rand.NewPCG(1, 1)),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.OnStable(time.Now(), ladder.StageBegun)
	b := make([]byte, ladder.MaxMessage)
	n, _ := m.Poll(time.Now(), b)
	return b[:n]
}
