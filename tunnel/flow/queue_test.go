package flow

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// FuzzQueue compares the rings with plain slices, over any order of pushes and
// pops and sizes that make them wrap, and asks for the next class all the time:
// programs of the host choose sizes and order.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{1, 200, 1, 200, 0, 0, 1, 90, 0, 0, 1, 250})
	f.Add([]byte{1, 200, 3, 200, 5, 200, 0x84, 0, 4, 0, 0xe2, 0, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		q := &Queue{limit: 1 << 20}
		for c := range q.classes {
			q.classes[c].ring = make([]byte, 700)
		}
		var model [NumClasses][][]byte
		for i := 0; i+1 < len(ops); i += 2 {
			c := Class(ops[i] >> 1 % NumClasses)
			if ops[i]%2 == 1 {
				unit := bytes.Repeat([]byte{byte(i)}, int(ops[i+1]))
				if q.Push(c, unit) {
					model[c] = append(model[c], unit)
				} else if q.classes[c].bytes < 100 { // two gaps smaller than the unit take up the rest
					t.Fatalf("no room for %d beside %d bytes", len(unit), q.classes[c].bytes)
				}
			} else if len(model[c]) > 0 {
				if !bytes.Equal(q.Head(c), model[c][0]) {
					t.Fatalf("head %x, want %x", q.Head(c), model[c][0])
				}
				q.Pop(c)
				model[c] = model[c][1:]
			}
			if q.Len(c) != len(model[c]) || (q.Head(c) == nil) != (len(model[c]) == 0) {
				t.Fatalf("%d units, want %d", q.Len(c), len(model[c]))
			}
			checkNext(t, q, ops[i]>>5, 6*int(ops[i+1]))
		}
	})
}

// checkNext asks for the next class of those in the bit set, twice, and charges
// it.
func checkNext(t *testing.T, q *Queue, bits byte, n int) {
	t.Helper()
	var allowed [NumClasses]bool
	some := false
	for c := range allowed {
		allowed[c] = bits>>c&1 == 1
		some = some || allowed[c] && q.Len(Class(c)) > 0
	}
	c, ok := q.Next(allowed)
	if ok != some || ok && (!allowed[c] || q.Len(c) == 0) {
		t.Fatalf("class %d %v of %v", c, ok, allowed)
	}
	if again, _ := q.Next(allowed); again != c {
		t.Fatalf("class %d, then %d, and nothing happened", c, again)
	}
	if ok {
		q.Charge(c, n)
	}
	for c, d := range q.deficit {
		if d < -quantum || d > quantum {
			t.Fatalf("class %d has a deficit of %d", c, d)
		}
	}
}

// all allows every class.
func all() [NumClasses]bool { return [NumClasses]bool{true, true, true} }

// send takes one symbol of at most 1,400 bytes off the class whose turn it is,
// of a unit that is left when the symbol does not take it whole.
func send(t *testing.T, q *Queue, left *[NumClasses]int) (Class, int) {
	t.Helper()
	c, ok := q.Next(all())
	if !ok {
		t.Fatal("nothing to send")
	}
	if left[c] == 0 {
		left[c] = len(q.Head(c))
	}
	n := min(left[c], 1400)
	q.Charge(c, n)
	if left[c] -= n; left[c] == 0 {
		q.Pop(c)
	}
	return c, n
}

// TestShare: classes with a backlog get the same number of bytes, whatever their
// packet sizes and whichever goes first; a class alone gets all. // R-6
func TestShare(t *testing.T) {
	for name, sizes := range map[string][NumClasses]int{
		"small messages":      {Message: 100, Stream: 60000},
		"small streams":       {Message: 1400, Stream: 60},
		"flood of small":      {Stream: 60000, Interactive: 60},
		"flood beside both":   {Message: 1400, Stream: 60000, Interactive: 60},
		"flood of super-size": {Message: 300, Stream: 1400, Interactive: 9000},
	} {
		q := NewQueue(1 << 20)
		var got, left [NumClasses]int
		total, some := 0, 0
		for range 20000 {
			for c, size := range sizes {
				for size > 0 && q.Len(Class(c)) < 2 {
					q.Push(Class(c), make([]byte, size))
				}
			}
			c, n := send(t, q, &left)
			got[c] += n
			total += n
		}
		for _, size := range sizes {
			some += min(size, 1)
		}
		for c, size := range sizes {
			if r := float64(got[c]) * float64(some) / float64(total); size > 0 && (r < 0.9 || r > 1.1) {
				t.Errorf("%s: shares %v", name, got)
			}
		}
		if c, ok := q.Next([NumClasses]bool{Stream: true}); !ok || c != Stream {
			t.Errorf("%s: class %v %v, want the only one allowed", name, c, ok)
		}
		if _, ok := q.Next([NumClasses]bool{}); ok {
			t.Errorf("%s: a class although none is allowed", name)
		}
	}
}

// TestInteractiveFirst: one small unit now and then goes before all that waits,
// however much that is, and takes no more than it needs. // R-6
func TestInteractiveFirst(t *testing.T) {
	q := NewQueue(1 << 20)
	var left [NumClasses]int
	for i := range 5000 {
		for c, size := range [NumClasses]int{Message: 1400, Stream: 60000} {
			for size > 0 && q.Len(Class(c)) < 2 {
				q.Push(Class(c), make([]byte, size))
			}
		}
		if i%5 == 0 {
			q.Push(Interactive, make([]byte, 300))
			if c, _ := send(t, q, &left); c != Interactive {
				t.Fatalf("symbol %d is of class %d", i, c)
			}
		}
		if c, _ := send(t, q, &left); c == Interactive {
			t.Fatalf("symbol %d: there was one unit, not two", i)
		}
	}
}

// TestInteractiveWait: however deep in debt the class is, its next unit waits for
// two turns of each other class at most. // R-6
func TestInteractiveWait(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	q := NewQueue(1 << 20)
	var left [NumClasses]int
	waited := 0
	for i := range 20000 {
		for c := range Interactive { // the other two
			for q.Len(c) < 2 {
				q.Push(c, make([]byte, 60000))
			}
		}
		if rng.IntN(4) > 0 {
			q.Push(Interactive, make([]byte, 1+rng.IntN(1400)))
		}
		switch c, n := send(t, q, &left); {
		case c == Interactive || q.Len(Interactive) == 0:
			waited = 0
		default:
			if waited += n; waited > 2*2*quantum {
				t.Fatalf("symbol %d: an interactive unit waits for %d bytes", i, waited)
			}
		}
	}
}

// TestInteractiveTrickle: a flood whose queue runs empty after each unit, or that
// pauses when it is in debt, takes no more than its share. Nor does one that
// comes while nothing may be sent. // R-6
func TestInteractiveTrickle(t *testing.T) {
	for _, pause := range []int{2, 3, 4, 5, 20001, 0} {
		q := NewQueue(1 << 20)
		var got, left [NumClasses]int
		for i := range 20000 {
			for q.Len(Stream) < 2 {
				q.Push(Stream, make([]byte, 60000))
			}
			now := q.deficit[Interactive] > 0 // as if it knew
			if pause > 0 {
				now = i%pause > 0
			}
			if now && q.Len(Interactive) == 0 {
				q.Push(Interactive, make([]byte, 1300))
			}
			q.Next([NumClasses]bool{})
			q.Next([NumClasses]bool{Message: true})
			c, n := send(t, q, &left)
			got[c] += n
		}
		if float64(got[Interactive]) > 1.05*float64(got[Stream]) {
			t.Errorf("pause in %d: shares %v", pause, got)
		}
	}
}

// TestLimit: a class takes no more than the limit, and what waits stays when the
// limit falls.
func TestLimit(t *testing.T) {
	q := NewQueue(1 << 20)
	q.SetLimit(200_000)
	unit := make([]byte, 1000)
	for i := range 300 {
		if ok := q.Push(Stream, unit); ok != (i < 200) {
			t.Fatalf("unit %d taken: %v", i, ok)
		}
	}
	if n := q.Bytes(); n != 200_000 {
		t.Errorf("%d bytes wait, want 200000", n)
	}
	q.SetLimit(0)
	if q.Len(Stream) != 200 || q.Push(Stream, unit) || q.Dropped() != 101 {
		t.Errorf("%d units wait, %d dropped", q.Len(Stream), q.Dropped())
	}
	for q.Bytes() >= MinLimit {
		q.Pop(Stream)
	}
	for range 2 {
		if !q.Push(Message, make([]byte, MaxUnit)) {
			t.Error("no room for two of the largest units")
		}
	}
}
