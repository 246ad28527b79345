package rate

import "fmt"

// Debug is temporary.
func (c *Controller) Debug() string {
	l := &c.ladder
	lv, _ := l.stretch(c)
	return fmt.Sprintf("fail=%d at=%.1f moved=%.2f least=%.2f before=%.2f W=%.0f most=%.0f hi=%.1f pk=%.1f ref=%.2f/%.2f lvl=%.2f/%.2f n=%.0f t=%.2f down=%v step=%.2f gap=%.3f", c.rival.failed, c.rival.failAt.Seconds(), c.drain.moved*1e3, c.drain.least*1e3, c.drain.before*1e3, c.rival.window/1500, c.rival.most/1500, c.rival.high*1e3, c.rival.peak*1e3, l.reference.rate()*8e-6, l.reference.share(), lv.rate()*8e-6, lv.share(), lv.arrived, lv.time, l.down, l.step, c.silence.gap)
}

var Dbg bool
