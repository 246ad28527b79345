package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/totg/totg/reliability/rate"
)

// traceHeader names the columns of a trace: the peer's name, the share of the
// receipts that is lost (q̂), and those of the rate controller.
const traceHeader = "peer,return_loss," + rate.TraceHeader

const (
	// traceEach is how often a row is written for each peer: about once per
	// epoch (W-5) of a path of 160 ms.
	traceEach = 20 * time.Millisecond
	// traceMost bounds the file, in bytes: three hours with one peer.
	traceMost = 64 << 20
)

// trace writes what rate control does into a file, as CSV. It belongs to the
// goroutine of loop.run. A nil one does nothing.
type trace struct {
	file    *os.File
	out     *bufio.Writer
	ticker  *time.Ticker
	written int
	row     []byte
	err     error // the first one
}

// openTrace creates the file; without a name there is no trace.
func openTrace(name string) (*trace, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	t := &trace{file: f, out: bufio.NewWriter(f), ticker: time.NewTicker(traceEach)}
	t.write([]byte(traceHeader))
	return t, nil
}

// tick is when the next rows are due.
func (t *trace) tick() <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.ticker.C
}

// write keeps to the bound and remembers an error.
func (t *trace) write(b []byte) {
	if t.err != nil || t.written+len(b) > traceMost {
		t.ticker.Stop()
		return
	}
	t.written += len(b)
	_, t.err = t.out.Write(b)
}

// add writes a row for a peer.
func (t *trace) add(after time.Duration, peer string, s *rate.Snapshot, returnLoss float64) {
	t.row = append(append(t.row[:0], '"'), strings.ReplaceAll(peer, `"`, `""`)...)
	t.row = append(t.row, '"', ',')
	t.row = strconv.AppendFloat(t.row, returnLoss, 'f', 4, 64)
	t.write(s.AppendTrace(append(t.row, ','), after))
}

// close writes what is left.
func (t *trace) close() error {
	if t == nil {
		return nil
	}
	t.ticker.Stop()
	if err := errors.Join(t.err, t.out.Flush(), t.file.Close()); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return nil
}

// traceRows writes a row for each peer that has a session.
func (l *loop) traceRows(now time.Time) {
	for _, p := range l.table.peers {
		if s, returnLoss, ok := p.core.Control(); ok {
			l.trace.add(now.Sub(l.started), p.config.Name, &s, returnLoss)
		}
	}
	if l.trace.err != nil || l.trace.written+1024 > traceMost {
		l.log.Warn("trace ends", slog.Int("bytes", l.trace.written), slog.Any("error", l.trace.err))
		l.trace.ticker.Stop()
	}
}
