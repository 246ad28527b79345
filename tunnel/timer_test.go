package tunnel

import (
	"sync"
	"testing"
	"time"
)

// running is a timer with its pump.
func running(t *testing.T) *timer {
	t.Helper()
	timer, err := newTimer()
	if err != nil {
		t.Fatal(err)
	}
	var pump sync.WaitGroup
	pump.Add(1)
	go timer.pump(&pump)
	t.Cleanup(func() {
		timer.close()
		pump.Wait()
	})
	return timer
}

// fires waits for the timer, far longer than it may take.
func (t *timer) fires(tb testing.TB) time.Time {
	tb.Helper()
	select {
	case <-t.fired:
		return time.Now()
	case <-time.After(5 * time.Second):
		tb.Fatal("the timer does not fire")
		return time.Time{}
	}
}

func (t *timer) silent(tb testing.TB, d time.Duration) {
	tb.Helper()
	select {
	case <-t.fired:
		tb.Error("the timer fires although it should not")
	case <-time.After(d):
	}
}

func TestTimer(t *testing.T) {
	timer := running(t)
	start := time.Now()
	at := start.Add(20 * time.Millisecond)
	timer.set(start, at)
	if fired := timer.fires(t); fired.Before(at) {
		t.Errorf("fired %v early", at.Sub(fired))
	}
	timer.silent(t, 30*time.Millisecond) // once for each deadline

	// A deadline that has passed, or is zero time away, fires at once; again and
	// again, as long as the loop asks: the core may not have been woken for it.
	for range 3 {
		timer.set(time.Now(), at)
		timer.fires(t)
	}

	now := time.Now()
	timer.set(now, now.Add(20*time.Millisecond))
	timer.set(now, time.Time{}) // disarmed
	timer.silent(t, 40*time.Millisecond)
	timer.set(now, time.Time{})
	timer.silent(t, 5*time.Millisecond)

	now = time.Now()
	timer.set(now, now.Add(time.Hour))
	timer.set(now, now.Add(time.Millisecond)) // earlier than before
	timer.fires(t)
	now = time.Now()
	timer.set(now, now.Add(time.Millisecond))
	timer.set(now, now.Add(time.Hour)) // later than before
	timer.silent(t, 20*time.Millisecond)
}

// The same deadline again and again, as the loop sets it, is not put off.
func TestTimerSameDeadline(t *testing.T) {
	timer := running(t)
	at := time.Now().Add(10 * time.Millisecond)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		timer.set(time.Now(), at)
		select {
		case <-timer.fired:
			return
		default:
			time.Sleep(time.Millisecond)
		}
	}
	t.Error("the timer does not fire")
}
