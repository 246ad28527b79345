package session

import (
	"context"
	"sync"
	"time"
)

// fifo hands values from the loop to those who wait for them.
type fifo[T any] struct {
	mu    *sync.Mutex
	items *[]T
	wake  chan struct{} // holds a token while there may be items
}

func newFIFO[T any]() fifo[T] {
	return fifo[T]{mu: &sync.Mutex{}, items: new([]T), wake: make(chan struct{}, 1)}
}

func (f fifo[T]) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(*f.items)
}

// put appends a value; beyond the limit the oldest goes.
func (f fifo[T]) put(v T, limit int) {
	f.mu.Lock()
	*f.items = append(*f.items, v)
	if len(*f.items) > limit {
		*f.items = append((*f.items)[:0], (*f.items)[1:]...)
	}
	f.mu.Unlock()
	f.signal()
}

func (f fifo[T]) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// drop removes the oldest value.
func (f fifo[T]) drop() (v T, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(*f.items) == 0 {
		return v, false
	}
	v = (*f.items)[0]
	*f.items = (*f.items)[1:]
	if len(*f.items) > 0 {
		f.signal() // for the next who waits
	}
	return v, true
}

// take waits for a value; ok is false when there is none and over is closed.
func (f fifo[T]) take(ctx context.Context, over <-chan struct{}) (v T, ok bool, err error) {
	for {
		if v, ok = f.drop(); ok {
			return v, true, nil
		}
		select {
		case <-f.wake:
		case <-over:
			v, ok = f.drop()
			return v, ok, nil
		case <-ctx.Done():
			return v, false, ctx.Err()
		}
	}
}

// gate lets pass while it is open.
type gate struct {
	mu   *sync.Mutex
	pass *chan struct{} // closed while the gate is open
}

func newGate() gate {
	c := make(chan struct{})
	return gate{mu: &sync.Mutex{}, pass: &c}
}

func (g gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	is := false
	select {
	case <-*g.pass:
		is = true
	default:
	}
	switch {
	case open && !is:
		close(*g.pass)
	case !open && is:
		*g.pass = make(chan struct{})
	}
}

// wait waits until the gate is open: ErrClosed when over is closed before.
func (g gate) wait(ctx context.Context, over <-chan struct{}) error {
	g.mu.Lock()
	pass := *g.pass
	g.mu.Unlock()
	select {
	case <-pass:
		return nil
	case <-over:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause waits for a moment: ErrClosed when over is closed meanwhile.
func pause(ctx context.Context, over <-chan struct{}) error {
	select {
	case <-time.After(retryAfter):
		return nil
	case <-over:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
