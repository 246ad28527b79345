package peer

import "testing"

// TestSharingPays: where much is lost, a receipt goes without a symbol.
func TestSharingPays(t *testing.T) {
	for _, c := range []struct {
		frames int
		loss   float64
		want   bool
	}{
		{0, 0.9, true}, {130, 0, true}, {130, 0.3, true}, {130, 0.35, false}, {130, 0.9, false}, {13, 0.5, true}, {13, 0.9, false},
	} {
		if got := sharingPays(c.frames, 58, c.loss); got != c.want {
			t.Errorf("%d bytes of frames at a loss of %v: %v", c.frames, c.loss, got)
		}
	}
}
