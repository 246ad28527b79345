package lab

import (
	"context"
	"time"
)

// The lab runs in real time. This file is the only place that knows.

func wallClock() time.Time {
	return time.Now() //nolint:forbidigo // the emulator's clock
}

// sleep waits for d or until ctx is done, and reports whether d has passed.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d) //nolint:forbidigo // the lab waits in real time
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
