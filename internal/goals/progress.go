package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows how much is done and how long the rest takes.
type progress struct {
	w        io.Writer // nil: nowhere
	terminal bool      // one line that changes; else a line for every tenth
	clock    func() time.Time
	start    time.Time
	tenths   int // shown
}

// newProgress shows the progress in file if that is a terminal, or if always is
// set.
func newProgress(file *os.File, always bool, clock func() time.Time) *progress {
	p := &progress{clock: clock, start: clock()}
	info, err := file.Stat()
	p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	if p.terminal || always {
		p.w = file
	}
	return p
}

// add notes which share of the work is done, 0 to 1.
func (p *progress) add(share float64) {
	if p.w == nil {
		return
	}
	left := time.Duration(float64(p.clock().Sub(p.start)) * (1 - share) / share)
	line := fmt.Sprintf("%3.0f %% done, about %v left", 100*share, left.Round(time.Second))
	if p.terminal {
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", line) // progress is not worth an error
		return
	}
	if tenths := int(10 * share); tenths > p.tenths {
		p.tenths = tenths
		_, _ = fmt.Fprintln(p.w, line)
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.w != nil && p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
