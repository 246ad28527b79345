package lab

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/totg/totg/internal/link"
)

// describeSide is one direction in a few words.
func describeSide(rate int64, loss, burst float64, queue int) string {
	s := link.FormatRate(rate)
	if rate != 0 {
		s += fmt.Sprintf(", queue %s", formatSize(queue))
	}
	s += fmt.Sprintf(", loss %s", percent(loss))
	if burst > 1 {
		s += fmt.Sprintf(" in bursts of %.3g", burst)
	}
	return s
}

// summarise writes the counters of the link and of the tunnel.
func summarise(out io.Writer, w *world, states []hostStatus) {
	up, down := w.wire.stats()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) }
	line("link\tsent\tqueue drops\tlost\tdelivered\tlate by (median, 99 %%, max)\t")
	for _, d := range []struct {
		name string
		wire Wire
	}{{"A to B", up}, {"B to A", down}} {
		onAir := d.wire.Sent - d.wire.QueueDropped - d.wire.TooBig - d.wire.Policed
		lost := d.wire.Lost + d.wire.OutageLost
		line("%s\t%d\t%d\t%d%s\t%d\t%v, %v, %v\t", d.name, d.wire.Sent, d.wire.QueueDropped+d.wire.Policed, lost, share(lost, onAir),
			d.wire.Delivered, d.wire.Late.Quantile(0.5), d.wire.Late.Quantile(0.99), d.wire.Late.Max.Round(10*time.Microsecond))
	}
	if len(states) > 0 {
		line("tunnel\tdatagrams sent\treceived\tpackets sent\treceived\tresent\t")
	}
	for _, s := range states {
		for _, p := range s.Peers {
			line("host %s\t%d\t%d\t%d\t%d\t%d%s\t", s.Host, p.TxDatagrams, p.RxDatagrams, p.TxPackets, p.RxPackets, p.Resent, share(p.Resent, p.TxDatagrams))
		}
	}
	_ = t.Flush() // as in say
	for i, n := range w.drops {
		if n > 0 {
			_, _ = fmt.Fprintf(out, "warning: %d packets of host %s never reached the emulated link: this machine is too slow for this rate\n", n, []string{"A", "B"}[i])
		}
	}
}

// share is n of total in brackets, nothing for nothing.
func share(n, total uint64) string {
	if n == 0 || total == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.1f %%)", 100*float64(n)/float64(total))
}

func percent(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", 100*v), "0"), ".") + " %"
}

// formatSize is n bytes with a decimal unit.
func formatSize(n int) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.3g MB", float64(n)/1e6)
	case n >= 1000:
		return fmt.Sprintf("%.3g KB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
