package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// at is a time of these tests.
func at(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }

// put pushes a unit of a class, of a flow by itself for each class.
func put(q *Queue, c Class, unit []byte) bool {
	return q.Push(at(0), &Packet{SrcPort: uint16(c)}, Treatment{Class: c}, unit)
}

// newQueue holds that many bytes.
func newQueue(capacity int) *Queue { return NewQueue(QueueConfig{Capacity: capacity}) }

// FuzzQueue compares the queue with plain slices, one for each flow, over any
// order of pushes, pops, times and limits, and asks for the next class all the
// time: programs of the host choose sizes, flows and order. A flow keeps its
// order, nothing comes twice, what is missing was counted, and sizes add up.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{1, 200, 1, 200, 0, 0, 1, 90, 0, 0, 1, 250})
	f.Add([]byte{1, 200, 3, 200, 5, 200, 0x84, 0, 4, 0, 0xe2, 0, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) { runQueue(t, ops[:min(len(ops), 2000)]) })
}

// TestQueueModel is the same with random operations.
func TestQueueModel(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 8))
		ops := make([]byte, 1500)
		for i := range ops {
			ops[i] = byte(rng.Uint32())
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runQueue(t, ops) })
	}
}

func runQueue(t *testing.T, ops []byte) {
	t.Helper()
	q := newQueue(MinLimit)
	q.SetLaw(Law{Target: 20 * time.Millisecond, Interval: 100 * time.Millisecond})
	ports := append(crowd(6), 1) // more than a set has queues for, and one elsewhere
	var pushed, popped uint64
	last := map[[2]int]int{}
	now := at(0)
	for i := 0; i+1 < len(ops); i += 2 {
		now = now.Add(time.Duration(ops[i+1]) * 100 * time.Microsecond)
		c, flow := Class(ops[i]>>1%NumClasses), int(ops[i+1]%7)
		if ops[i]&1 == 1 {
			unit := make([]byte, 8+int(ops[i+1])*int(ops[i]))
			binary.BigEndian.PutUint32(unit, uint32(flow))
			binary.BigEndian.PutUint32(unit[4:], uint32(i))
			deadline := time.Duration(ops[i]>>6) * 30 * time.Millisecond
			if q.Push(now, &Packet{SrcPort: ports[flow]}, Treatment{Class: c, Deadline: deadline}, unit) {
				pushed++
			}
		} else if u := q.Head(c); u.B != nil {
			key := [2]int{int(c), int(binary.BigEndian.Uint32(u.B))}
			number := int(binary.BigEndian.Uint32(u.B[4:])) + 1
			if number <= last[key] || u.Treatment.Class != c {
				t.Fatalf("unit %d after %d of %v", number, last[key], key)
			}
			last[key] = number
			q.Pop(now, c)
			popped++
		}
		checkNext(t, q, now, ops[i]>>5|ops[i+1]&8, 6*int(ops[i+1]))
		checkQueue(t, q, pushed, popped)
	}
}

// checkQueue: sizes and counts add up, and memory is bounded.
func checkQueue(t *testing.T, q *Queue, pushed, popped uint64) {
	t.Helper()
	bytes, units := 0, 0
	for c := range q.lanes {
		l, n := &q.lanes[c], 0
		for i := range l.flows {
			f, size := &l.flows[i], 0
			for it := f.head; it != nil; it = it.next {
				size += it.n
				n++
			}
			if size != f.bytes || f.head != nil && f.state == idleFlow || f.deficit > quantum {
				t.Fatalf("class %d, flow %d: %d bytes, counted %d, state %d, deficit %d", c, i, size, f.bytes, f.state, f.deficit)
			}
			bytes += size
		}
		if l.staged != nil {
			bytes += l.staged.n
			n++
		}
		if n != l.count {
			t.Fatalf("class %d: %d units, counted %d", c, n, l.count)
		}
		units += n
	}
	s := q.Stats()
	switch {
	case bytes != q.Bytes() || bytes > q.capacity:
		t.Fatalf("%d bytes wait, counted %d, of %d", bytes, q.Bytes(), q.capacity)
	case q.store.idle > q.store.limit:
		t.Fatalf("%d bytes are kept free", q.store.idle)
	case pushed != popped+uint64(units)+s.Evicted+s.Slowed+s.Expired:
		t.Fatalf("%d pushed, %d popped, %d wait, %+v", pushed, popped, units, s)
	}
}

// checkNext asks for the next class of those in the bit set, twice, and charges
// it.
func checkNext(t *testing.T, q *Queue, now time.Time, bits byte, n int) {
	t.Helper()
	var allowed [NumClasses]bool
	for c := range allowed {
		allowed[c] = bits>>c&1 == 1
	}
	c, ok := q.Next(now, allowed)
	some := false
	for c := range allowed { // what is too old is gone now
		some = some || allowed[c] && q.Len(Class(c)) > 0
	}
	if ok != some || ok && (!allowed[c] || q.Len(c) == 0) {
		t.Fatalf("class %d %v of %v", c, ok, allowed)
	}
	if again, _ := q.Next(now, allowed); again != c {
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
func all() [NumClasses]bool { return [NumClasses]bool{true, true, true, true} }

// send takes one symbol of at most 1,400 bytes off the class whose turn it is,
// of a unit that is left when the symbol does not take it whole.
func send(t *testing.T, q *Queue, left *[NumClasses]int) (Class, int) {
	t.Helper()
	c, ok := q.Next(at(0), all())
	if !ok {
		t.Fatal("nothing to send")
	}
	if left[c] == 0 {
		left[c] = len(q.Head(c).B)
	}
	n := min(left[c], 1400)
	q.Charge(c, n)
	if left[c] -= n; left[c] == 0 {
		q.Pop(at(0), c)
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
		q := newQueue(1 << 20)
		var got, left [NumClasses]int
		total, some := 0, 0
		for range 20000 {
			for c, size := range sizes {
				for size > 0 && q.Len(Class(c)) < 2 {
					put(q, Class(c), make([]byte, size))
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
		if c, ok := q.Next(at(0), [NumClasses]bool{Stream: true}); !ok || c != Stream {
			t.Errorf("%s: class %v %v, want the only one allowed", name, c, ok)
		}
		if _, ok := q.Next(at(0), [NumClasses]bool{}); ok {
			t.Errorf("%s: a class although none is allowed", name)
		}
	}
}

// TestInteractiveFirst: one small unit now and then goes before all that waits,
// however much that is, and takes no more than it needs. // R-6
func TestInteractiveFirst(t *testing.T) {
	q := newQueue(1 << 20)
	var left [NumClasses]int
	for i := range 5000 {
		for c, size := range [NumClasses]int{Message: 1400, Stream: 60000} {
			for size > 0 && q.Len(Class(c)) < 2 {
				put(q, Class(c), make([]byte, size))
			}
		}
		if i%5 == 0 {
			put(q, Interactive, make([]byte, 300))
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
	q := newQueue(1 << 20)
	var left [NumClasses]int
	waited := 0
	for i := range 20000 {
		for c := range Interactive { // the other two
			for q.Len(c) < 2 {
				put(q, c, make([]byte, 60000))
			}
		}
		if rng.IntN(4) > 0 {
			put(q, Interactive, make([]byte, 1+rng.IntN(1400)))
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
		q := newQueue(1 << 20)
		var got, left [NumClasses]int
		for i := range 20000 {
			for q.Len(Stream) < 2 {
				put(q, Stream, make([]byte, 60000))
			}
			now := q.deficit[Interactive] > 0 // as if it knew
			if pause > 0 {
				now = i%pause > 0
			}
			if now && q.Len(Interactive) == 0 {
				put(q, Interactive, make([]byte, 1300))
			}
			q.Next(at(0), [NumClasses]bool{})
			q.Next(at(0), [NumClasses]bool{Message: true})
			c, n := send(t, q, &left)
			got[c] += n
		}
		if float64(got[Interactive]) > 1.05*float64(got[Stream]) {
			t.Errorf("pause in %d: shares %v", pause, got)
		}
	}
}

// TestLimit: the queue takes no more than the limit, and what waits stays when the
// limit falls. // T-2
func TestLimit(t *testing.T) {
	q := newQueue(1 << 20)
	q.SetLimit(200_000)
	unit := make([]byte, 1000)
	for i := range 300 {
		if ok := put(q, Stream, unit); ok != (i < 200) {
			t.Fatalf("unit %d taken: %v", i, ok)
		}
	}
	if n := q.Bytes(); n != 200_000 {
		t.Errorf("%d bytes wait, want 200000", n)
	}
	q.SetLimit(0)
	if q.Len(Stream) != 200 || put(q, Stream, unit) || q.Stats().Refused != 101 {
		t.Errorf("%d units wait, %+v", q.Len(Stream), q.Stats())
	}
	q.Next(at(0), all())
	for q.Bytes() > 0 {
		q.Pop(at(0), Stream)
	}
	for range 2 {
		if !put(q, Message, make([]byte, MaxUnit)) {
			t.Error("no room for two of the largest units")
		}
	}
}

// TestEvict: where there is no room, the flow with the longest queue gives way,
// the oldest first, and its bytes are held no longer. // T-2
func TestEvict(t *testing.T) {
	h := NewHeld(1000)
	q := NewQueue(QueueConfig{Capacity: 1 << 20, Held: h})
	q.SetLimit(MinLimit)
	for i := 0; ; i++ {
		unit := data(1, uint32(i*1400), 1400)
		p, _ := Parse(unit)
		if !q.Push(at(0), &p, p.Treatment(), unit) {
			break
		}
	}
	before := q.Len(Stream)
	if !h.Holds(data(1, 0, 1400)) {
		t.Fatal("the oldest is not held")
	}
	small := over4(protoUDP, make([]byte, 1440))
	p, _ := Parse(small)
	if !q.Push(at(0), &p, p.Treatment(), small) {
		t.Fatal("a small flow found no room beside a large one")
	}
	if q.Len(Stream) != before-1 || q.Stats().Evicted != 1 || h.Holds(data(1, 0, 1400)) || !h.Holds(data(1, 1400, 1400)) {
		t.Errorf("%d of %d units left, %+v", q.Len(Stream), before, q.Stats())
	}
}

func TestQueueMisuse(t *testing.T) {
	for name, call := range map[string]func(q *Queue){
		"no target":   func(q *Queue) { q.SetLaw(Law{Interval: 1}) },
		"no interval": func(q *Queue) { q.SetLaw(Law{Target: 1}) },
		"no head":     func(q *Queue) { q.Pop(at(0), Stream) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call(newQueue(0))
		}()
	}
}
