package handshake

import (
	"math/rand/v2"
	"testing"
)

// TestReplayWindow: every number is fresh once, in whatever order it comes
// within the window (W-2).
func TestReplayWindow(t *testing.T) {
	if ReplayWindowSize < 8192 {
		t.Fatalf("window of %d", ReplayWindowSize)
	}
	var w ReplayWindow
	take := func(pn uint64, want bool) {
		t.Helper()
		for range 2 { // a Check changes nothing
			if got := w.Check(pn); got != want {
				t.Fatalf("%d is fresh: %v, want %v (largest %d)", pn, got, want, w.next-1)
			}
		}
		w.Mark(pn)
		if w.Check(pn) {
			t.Fatalf("%d is fresh after Mark", pn)
		}
	}
	take(0, true)
	take(0, false)
	take(63, true)
	take(64, true)
	take(62, true)
	take(64, false)
	const big = 1 << 40
	take(big, true)
	take(big-ReplayWindowSize+1, true)
	take(big-ReplayWindowSize+1, false)
	take(big-ReplayWindowSize, false)
	take(1, false)
	take(big-1, true)
	take(1<<64-2, true)
	take(1<<64-2, false)
	take(1<<64-1, false)
	take(1<<64-3, true)
	take(big+1, false)
}

// TestReplayShuffled: a whole window in random order, twice (W-2).
func TestReplayShuffled(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, base := range []uint64{0, 1, 63, 1<<32 - 100, 1 << 50} {
		var w ReplayWindow
		for round := range 2 {
			for _, i := range rng.Perm(ReplayWindowSize) {
				pn := base + uint64(i)
				if got := w.Check(pn); got != (round == 0) {
					t.Fatalf("round %d: %d is fresh: %v", round, pn, got)
				}
				w.Mark(pn)
			}
		}
	}
}

// TestReplayWraps goes many times round the ring in shuffled order: no bit of
// an old number stands for a new one, not even of one marked when it is too
// old to tell (W-2).
func TestReplayWraps(t *testing.T) {
	const ring = replayWords * replayWordBits
	rng := rand.New(rand.NewPCG(3, 4))
	for _, chunk := range []int{1, 2, 63, 64, 65, 130, 5000, ReplayWindowSize} {
		var w ReplayWindow
		for base := uint64(0); base < 4*ring; base += uint64(chunk) {
			for _, i := range rng.Perm(chunk) {
				pn := base + uint64(i)
				if pn >= ring {
					w.Mark(pn - ring) // the same bit
				}
				if !w.Check(pn) {
					t.Fatalf("chunks of %d: %d is not fresh", chunk, pn)
				}
				w.Mark(pn)
				if w.Check(pn) {
					t.Fatalf("chunks of %d: %d is fresh after Mark", chunk, pn)
				}
			}
		}
	}
}

func TestReplayAllocates(t *testing.T) {
	var w ReplayWindow
	var pn uint64
	if n := testing.AllocsPerRun(1000, func() {
		pn += 3
		if w.Check(pn) {
			w.Mark(pn)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// replayModel is the window as a set.
type replayModel struct {
	seen map[uint64]bool
	next uint64
}

func (m *replayModel) check(pn uint64) bool {
	return pn != 1<<64-1 && !m.seen[pn] && (pn >= m.next || m.next-pn <= ReplayWindowSize)
}

func (m *replayModel) mark(pn uint64) {
	if m.check(pn) {
		m.seen[pn] = true
		m.next = max(m.next, pn+1)
	}
}

// FuzzReplayWindow compares the window with a set (W-2). Threat: who replays
// and reorders datagrams at will, and who forges numbers that are checked and
// never marked; neither may make a number fresh twice, nor a fresh one stale.
func FuzzReplayWindow(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint64(0))
	f.Add([]byte{0x41, 0x81, 0xC1, 0x40, 0xFF, 0xBF, 0x7F, 0x3F}, uint64(1<<32-1))
	f.Add([]byte{0xFF, 0xFE, 0xC0, 0x80, 0xFF, 0xFF, 0xA0, 0x9F}, uint64(1<<64-1<<17))
	f.Fuzz(func(t *testing.T, ops []byte, base uint64) {
		var w ReplayWindow
		m := replayModel{seen: map[uint64]bool{}}
		pn := base
		for _, op := range ops {
			v := uint64(op & 0x1F)
			switch op >> 5 { // how far from the last one
			case 0:
				pn += v
			case 1:
				pn -= v
			case 2:
				pn += v * replayWordBits
			case 3:
				pn -= v * replayWordBits
			case 4:
				pn += ReplayWindowSize - 16 + v
			case 5:
				pn -= ReplayWindowSize - 16 + v
			case 6:
				pn = w.next - ReplayWindowSize - 16 + v
			case 7:
				pn += v << 12
			}
			if got, want := w.Check(pn), m.check(pn); got != want {
				t.Fatalf("%d is fresh: %v, want %v (next %d)", pn, got, want, w.next)
			}
			if op&1 == 0 { // else it was forged
				w.Mark(pn)
				m.mark(pn)
			}
			for _, near := range []uint64{pn, pn - 1, pn + 1, pn - ReplayWindowSize, w.next, w.next - ReplayWindowSize, w.next - 1} {
				if got, want := w.Check(near), m.check(near); got != want {
					t.Fatalf("after %d: %d is fresh: %v, want %v (next %d)", pn, near, got, want, w.next)
				}
			}
		}
	})
}

// TestReconstructPN: the low 32 bits name the number nearest to the largest
// seen (W-1).
func TestReconstructPN(t *testing.T) {
	const m = 1 << 32
	for _, c := range []struct {
		largest uint64
		low     uint32
		want    uint64
	}{
		{0, 0, 0},
		{0, 1, 1},
		{0, 1<<31 - 1, 1<<31 - 1},
		{0, 1 << 31, 1 << 31},
		{0, m - 1, m - 1}, // not below 0
		{5, m - 1, m - 1},
		{m - 1, 0, m},
		{m - 1, 5, m + 5},
		{m - 1, m - 2, m - 2},
		{m, m - 1, m - 1},
		{m + 1<<31, 0, m},
		{m + 1<<31 + 1, 0, 2 * m},
		{m + 1<<31 - 1, 0, m},
		{7*m + 12, 11, 7*m + 11},
		{7*m + 12, m - 1, 7*m - 1},
		{1<<64 - 1, m - 1, 1<<64 - 1},
		{1<<64 - 1, 3, 1<<64 - m + 3}, // not above 64 bits
	} {
		if got := ReconstructPN(c.largest, c.low); got != c.want {
			t.Errorf("largest %#x, low %#x: %#x, want %#x", c.largest, c.low, got, c.want)
		}
	}
}

// FuzzReconstructPN: right for every number within reach, and in its low bits
// always (W-1). Threat: a stranger picks the low bits.
func FuzzReconstructPN(f *testing.F) {
	f.Add(uint64(0), int32(0))
	f.Add(uint64(1<<32-1), int32(1))
	f.Add(uint64(1<<32), int32(-1))
	f.Add(uint64(1<<64-1), int32(-1<<31))
	f.Add(uint64(1<<64-2), int32(1<<31-1))
	f.Fuzz(func(t *testing.T, largest uint64, d int32) {
		pn := largest + uint64(int64(d))
		got := ReconstructPN(largest, uint32(pn))
		if uint32(got) != uint32(pn) {
			t.Fatalf("largest %#x: %#x has other low bits than %#x", largest, got, pn)
		}
		inside := d <= 0 && uint64(-int64(d)) <= largest || d > 0 && uint64(d) <= maxPN-largest
		if inside && got != pn {
			t.Fatalf("largest %#x: %#x, want %#x", largest, got, pn)
		}
	})
}
