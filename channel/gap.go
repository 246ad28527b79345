package channel

import "time"

// A gap is a run of segments that are missing although a later one arrived. Its
// age counts from the first arrival that showed it.

// SetPath tells the round-trip time and the jitter of the path, as measured by
// the layer below. Times that are not set by SetPatience follow from them (C-5).
func (m *Mux) SetPath(rtt, jitter time.Duration) { m.rtt, m.jitter = max(rtt, 0), max(jitter, 0) }

// SetPatience sets how long a gap of the channel may last at this end before it
// is skipped (Streaming 1 and 2) or counts as loss (X, Y); 0 is the default. It
// changes nothing in other modes, or where the handle names no channel.
func (m *Mux) SetPatience(h Handle, d time.Duration) {
	if c := m.lookup(h); c != nil {
		c.patience = min(max(d, 0), maxDuration)
		m.watch(c)
	}
}

// patience is how long a gap of the channel may last; 0: for ever (C-5). The
// reordering window of what is never sent again is that of RFC 8985, section
// 6.2, a quarter of the round-trip time, or more where jitter is. What is sent
// again takes a round trip. What may not be lost waits until the resend limit.
func (m *Mux) patience(c *channel) time.Duration {
	if c.caps&CloseOnLoss != 0 && c.caps&Resend != 0 {
		return m.limits.ResendLimit
	}
	if c.caps&(CloseOnLoss|Ordered) == 0 {
		return 0
	}
	switch {
	case c.patience > 0:
		return c.patience
	case c.caps&Resend != 0:
		return max(m.rtt+2*m.jitter, minPatience)
	}
	return max(2*m.jitter, m.rtt/4, minPatience)
}

// gap is when the oldest gap of a channel showed; ok is false if it has none.
func (c *channel) gap() (since time.Duration, ok bool) {
	switch {
	case c.ordered != nil:
		return c.ordered.gap()
	case c.unordered != nil:
		return c.unordered.gap()
	}
	return 0, false
}

// watch makes HandleTimeout look at a channel when the patience with its oldest
// gap ends. It may look too early, never too late.
func (m *Mux) watch(c *channel) {
	if c.caps&(CloseOnLoss|Ordered) == 0 {
		return
	}
	if since, ok := c.gap(); ok {
		m.gapAt = sooner(m.gapAt, max(since+m.patience(c), 1))
	}
}

// checkGaps deals with the gaps that have lasted too long, and finds when the
// next one will have.
func (m *Mux) checkGaps() {
	m.gapAt = 0
	for _, c := range m.slots {
		if c == nil || c.state == Closed || c.caps&(CloseOnLoss|Ordered) == 0 {
			continue
		}
		m.settleGaps(c)
		m.watch(c)
	}
}

// settleGaps does to the channel what its mode says of gaps that have lasted too
// long (C-4): Streaming skips them, all others close, and both ends learn why
// (C-5).
func (m *Mux) settleGaps(c *channel) {
	for {
		since, ok := c.gap()
		if !ok || since+m.patience(c) > m.at {
			return
		}
		switch {
		case c.caps&CloseOnLoss == 0:
			if why := m.skip(c); why != ReasonNone {
				m.violate(c, why)
				return
			}
		case c.caps&Resend == 0:
			m.shut(c, ReasonLoss, false)
			return
		default:
			m.shut(c, ReasonResend, false)
			return
		}
	}
}

// skip shifts the window of a Streaming channel past its oldest gap.
func (m *Mux) skip(c *channel) Reason {
	why := c.ordered.shift(&m.in)
	m.noteLoss(c)
	if c.ordered.stalled() {
		m.stall(c)
	}
	return why
}

// noteLoss reports what a channel gave up since the last report. One event waits
// at a time; PollEvent fills in how much it has come to.
func (m *Mux) noteLoss(c *channel) {
	if c.ordered.skipped == c.lost || c.lossQueued {
		return
	}
	c.lossQueued = true
	m.event(Event{Kind: EventLost, Handle: c.handle, ID: c.id, Capabilities: c.caps})
}

// takeLoss fills in an EventLost that leaves the queue.
func (m *Mux) takeLoss(e *Event) {
	if c := m.lookup(e.Handle); c != nil && c.ordered != nil {
		e.Segments = c.ordered.skipped - c.lost
		c.lost, c.lossQueued = c.ordered.skipped, false
	}
}

// jump is a gap of an unordered channel: segments below end may be missing since
// then.
type jump struct {
	end uint64
	at  time.Duration
}

// jumps are the gaps of an unordered channel that promises to lose nothing, or to
// close: from floor, the lowest segment that never arrived, to the newest.
type jumps struct {
	floor uint64
	list  queue[jump]
}

// add notes the arrival of segment seq, at the newest end of w before it is
// marked.
func (j *jumps) add(w *window, seq uint64, at time.Duration) {
	switch {
	case seq <= w.end:
	case j.list.len() == maxJumps:
		j.list.get(maxJumps - 1).end = seq
	default:
		j.list.push(jump{end: seq, at: at})
	}
}

// advance moves the floor up to the lowest segment that is missing. It reports
// false where that one has left the window: it is lost for certain.
func (j *jumps) advance(w *window) bool {
	if j.floor+w.reach() < w.end {
		return false
	}
	for w.has(j.floor) {
		j.floor++
	}
	for j.list.len() > 0 && j.list.front().end <= j.floor {
		j.list.pop()
	}
	return true
}
