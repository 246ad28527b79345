package reliability

import (
	"math"
	"testing"
)

// TestRepeatsReachTheSender: a receipt and its repeats are all lost with
// probability receiptDoubt at most, up to the loss that the gates of G-6 ask for.
func TestRepeatsReachTheSender(t *testing.T) {
	for _, q := range []float64{0.04, 0.1, 0.5, 0.9, 0.98} {
		if lost := math.Pow(q, float64(repeats(q)+1)); lost > receiptDoubt {
			t.Errorf("at %g loss, %d repeats are all lost with probability %.3f", q, repeats(q), lost)
		}
	}
	if got := repeats(1); got != maxRepeats {
		t.Errorf("%d repeats where all is lost, want %d", got, maxRepeats)
	}
}
