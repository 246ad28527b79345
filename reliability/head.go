package reliability

import "time"

// The head of a burst: the first symbols of bulk after a pause are a block of their
// own, and get copies in advance at once, as the interactive class does. Everything
// behind them waits for them, and an inner TCP judges the queue by the first round
// trips of each of its rounds (HyStart++, RFC 9406 section 4.2): where these are
// late for a loss, it leaves slow start with a window far too small. One that fills
// the link has no pauses, so this costs nothing where capacity is short.
const (
	// headSymbols are enough for two segments, which are acknowledged at once
	// (RFC 5681 section 4.2).
	headSymbols = 4
	// headPause is the least pause in round trips, and headPauseMost the longest
	// that is asked for: between the clumps in which a decoded block makes
	// acknowledgements come, there are shorter ones. Over a long path those of
	// several flows leave no long ones.
	headPause     = 0.3
	headPauseMost = 20 * time.Millisecond
	// needHead is θ of a head.
	needHead = 0.05
)

// pauseMeter finds the bursts of bulk.
type pauseMeter struct {
	waited time.Duration // when bulk waited last
	over   bool          // the next symbol is the first after a pause
}

// look notes whether bulk has something to send.
func (m *pauseMeter) look(at time.Duration, waiting bool, rtt time.Duration) {
	if !waiting {
		return
	}
	if at-m.waited > min(time.Duration(headPause*float64(rtt)), headPauseMost) {
		m.over = true
	}
	m.waited = at
}

// take reports whether the symbol that comes is the first after a pause.
func (m *pauseMeter) take() bool {
	over := m.over
	m.over = false
	return over
}
