package rate

import "fmt"

// Debug is temporary.
func (c *Controller) Debug() string {
	l := &c.ladder
	lv, _ := l.stretch(c)
	return fmt.Sprintf("ref=%.2f/%.2f lvl=%.2f/%.2f n=%.0f t=%.2f down=%v step=%.2f gap=%.3f", l.reference.rate()*8e-6, l.reference.share(), lv.rate()*8e-6, lv.share(), lv.arrived, lv.time, l.down, l.step, c.silence.gap)
}

var Dbg bool
