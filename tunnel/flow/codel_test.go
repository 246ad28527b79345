package flow

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

// TestCodelLaw: a queue that stays above the target is told so after an interval,
// and then at times that come closer as the square root of their number grows
// (RFC 8289, section 5.3: t + interval/sqrt(count)). The times, in units of 10 µs,
// are computed by hand from the pseudo code. // T-2
func TestCodelLaw(t *testing.T) {
	law := Law{Target: 5 * ms, Interval: 100 * ms}
	var c codel
	// 100; + 100/√1; + 100/√2; + 100/√3 …
	want := []int{10000, 20000, 27071, 32845, 37845, 42317, 46399, 50179, 53714, 57048}
	var got []int
	run := func(from, to int, stayed time.Duration) {
		for i := from; i < to; i++ {
			if c.first(at(time.Duration(i)*10*time.Microsecond), &law, stayed, 10*quantum) == signal {
				got = append(got, i)
			}
		}
	}
	check := func(want []int) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("signals at %v, want %v", got, want)
		}
		for i := range want {
			if d := got[i] - want[i]; d < 0 || d > 1 { // asked every 10 µs
				t.Errorf("signal %d at %d, want %d", i, got[i], want[i])
			}
		}
		got = got[:0]
	}
	run(0, 60000, 50*ms)
	check(want)
	if c.count != 10 {
		t.Errorf("count %d", c.count)
	}
	// Below the target it ends at once. Above it again within 16 intervals, it
	// goes on at the rate that it had: count = 10 - 1.
	run(60000, 61000, 4*ms)
	run(61000, 78000, 50*ms)
	check([]int{71000, 74333, 77495}) // + 100/√9, + 100/√10
	// After a long rest it begins anew.
	run(78000, 78001, 4*ms)
	run(300000, 331000, 50*ms)
	check([]int{310000, 320000, 327071})
}

// TestCodelLastPacket: there is no standing queue behind the last packet.
func TestCodelLastPacket(t *testing.T) {
	law := Law{Target: 5 * ms, Interval: 100 * ms}
	for _, behind := range []int{0, quantum} {
		var c codel
		for i := range 1000 {
			if c.first(at(time.Duration(i)*ms), &law, time.Second, behind) == signal {
				t.Fatalf("a signal with %d bytes behind", behind)
			}
		}
	}
}

// drain runs a queue at a rate for a time: feed is called every millisecond, take
// for every unit that leaves.
func drain(t *testing.T, q *Queue, rate int, d time.Duration, feed func(now time.Time), take func(now time.Time, u Unit)) {
	t.Helper()
	credit := 0
	for i := range int(d / ms) {
		now := at(time.Duration(i) * ms)
		feed(now)
		for credit += rate / 8 / 1000; credit > 0; {
			c, ok := q.Next(now, all())
			if !ok {
				credit = 0
				break
			}
			u := q.Head(c)
			take(now, u)
			credit -= len(u.B)
			q.Charge(c, len(u.B))
			q.Pop(now, c)
		}
	}
}

// tcpUnit is a TCP packet of a flow, with an ECN field.
func tcpUnit(port uint16, ecn byte, n int) []byte {
	u := data(port, 0, n)
	u[1+1] |= ecn
	return u
}

func push(q *Queue, now time.Time, unit []byte) bool {
	p, _ := Parse(unit)
	return q.Push(now, &p, p.Treatment(), unit)
}

// TestMarking: with a standing queue ECN-capable flows get marks and lose nothing,
// others lose packets, and either keeps its share. // T-2
func TestMarking(t *testing.T) {
	q := newQueue(4 << 20)
	q.SetLaw(Law{Target: 5 * ms, Interval: 100 * ms})
	marked, got := map[byte]int{}, map[byte]int{}
	feed := func(now time.Time) {
		for _, ecn := range []byte{0, 1, 2} {
			for range 2 {
				push(q, now, tcpUnit(uint16(ecn), ecn, 1200))
			}
		}
	}
	refused := uint64(0)
	drain(t, q, 10_000_000, 300*ms, feed, func(_ time.Time, u Unit) {
		flow := u.B[1+ipv4HeaderLen+1]
		got[flow]++
		if u.B[2]&ecnMask == ecnCE {
			marked[flow]++
		}
		refused = q.Stats().Refused
	})
	s := q.Stats()
	if marked[0] != 0 || marked[1] == 0 || marked[2] == 0 || s.Marked != uint64(marked[1]+marked[2]) || s.Slowed == 0 || refused != 0 || s.Evicted != 0 {
		t.Errorf("marked %v, %+v", marked, s)
	}
	if d := got[1] - got[0]; d < 0 || d > int(s.Slowed)+1 {
		t.Errorf("shares %v", got)
	}
}

// TestMarkCE: what is marked, and that the IPv4 checksum stays right. // T-2
func TestMarkCE(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	for range 20_000 {
		b := ipv4(6, 20)
		for i := 1; i < 20; i++ {
			if i != 2 && i != 3 {
				b[i] = byte(rng.Uint32())
			}
		}
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], ^sum16(b[:20]))
		unit := append([]byte{0}, b...)
		can := b[1]&ecnMask != notECT
		if MarkCE(unit) != can {
			t.Fatalf("TOS %#x: marked %v", b[1], !can)
		}
		if got := sum16(unit[1:21]); got != 0xffff {
			t.Fatalf("TOS %#x: checksum off by %#x", b[1], ^got)
		}
		if can && unit[2] != b[1]|ecnCE || !can && unit[2] != b[1] {
			t.Fatalf("TOS %#x became %#x", b[1], unit[2])
		}
	}
	six := append([]byte{0}, ipv6(17, make([]byte, 8)...)...)
	if MarkCE(six) {
		t.Error("IPv6 that is not ECN-capable is marked")
	}
	six[2] |= 2 << 4
	if !MarkCE(six) || six[2]>>4&ecnMask != ecnCE || six[1] != 0x60 || six[2]&0xf != 0 {
		t.Errorf("IPv6: % x", six[1:3])
	}
	super := superUnit(tcpUnit(1, 2, 5000), 1)
	if !MarkCE(super) || super[1+VirtioLen+1]&ecnMask != ecnCE {
		t.Error("a super-packet is not marked as a whole")
	}
	eth := frame(tcpUnit(1, 1, 10), 4)
	if !MarkCE(eth) || eth[1+etherHeader+1]&ecnMask != ecnCE {
		t.Error("a packet in a frame is not marked")
	}
	arp := append([]byte{FlagEthernet}, append(append(make([]byte, 12), 8, 6), make([]byte, 40)...)...)
	if MarkCE(arp) || MarkCE(append([]byte{0}, make([]byte, 19)...)) || MarkCE(append([]byte{0, 0x50}, make([]byte, 30)...)) {
		t.Error("what is no IP packet is marked")
	}
}

// sum16 is the ones' complement sum.
func sum16(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// FuzzMarkCE: a program of the host may write anything into a packet. What Parse
// accepts is marked without a panic, and nothing but the mark and the checksum
// changes.
func FuzzMarkCE(f *testing.F) {
	f.Add(tcpUnit(1, 2, 10))
	f.Add(frame(tcpUnit(1, 1, 10), 4))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, ok := Parse(b); !ok {
			return
		}
		before := append([]byte(nil), b...)
		marked := MarkCE(b)
		changed := 0
		for i := range b {
			if b[i] != before[i] {
				changed++
			}
		}
		if changed > 3 || !marked && changed > 0 {
			t.Fatalf("%d bytes changed", changed)
		}
	})
}

// jain is Jain's index of fairness.
func jain(x []int) float64 {
	var sum, squares float64
	for _, v := range x {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	return sum * sum / (float64(len(x)) * squares)
}

// TestFairFlows: ten flows with a backlog share the class evenly, whatever sizes
// they use and whoever sends more. // T-2
func TestFairFlows(t *testing.T) {
	for name, size := range map[string]func(i int) int{
		"equal":         func(int) int { return 1400 },
		"sizes":         func(i int) int { return 200 + 120*i },
		"super-packets": func(i int) int { return 1400 + 6000*i },
	} {
		q := newQueue(8 << 20)
		q.SetLaw(Law{Target: 50 * ms, Interval: 100 * ms})
		got := make([]int, 10)
		drain(t, q, 50_000_000, 4*time.Second, func(now time.Time) {
			for i := range got {
				for n := 0; n < 900*(i+1); n += size(i) { // 7 Mbit/s to 70
					push(q, now, tcpUnit(uint16(i), 2, size(i)))
				}
			}
		}, func(_ time.Time, u Unit) { got[u.B[1+ipv4HeaderLen+1]] += len(u.B) })
		if j := jain(got); j < 0.95 {
			t.Errorf("%s: Jain %.4f of %v", name, j, got)
		} else {
			t.Logf("%s: Jain %.4f", name, j)
		}
	}
}

// TestSparseFlow: one packet now and then of a flow among ten with a backlog goes
// before them: it waits for a turn at most, not for their queues. // T-2
func TestSparseFlow(t *testing.T) {
	q := newQueue(1 << 20)
	var worst time.Duration
	sparse := 0
	drain(t, q, 50_000_000, 2*time.Second, func(now time.Time) {
		for i := range uint16(10) {
			push(q, now, tcpUnit(i, 0, 1400))
		}
		if i := now.Sub(at(0)); i > 100*ms && i%(20*ms) == 0 { // the others are known by then
			push(q, now, tcpUnit(77, 0, 1400))
		}
	}, func(now time.Time, u Unit) {
		if u.B[1+ipv4HeaderLen+1] == 77 {
			sparse++
			worst = max(worst, now.Sub(u.At))
		}
	})
	if sparse != 94 || worst > ms {
		t.Errorf("%d packets, the slowest after %v", sparse, worst)
	}
}

// TestFlowHash: flows spread evenly, a perturbation spreads them otherwise, and a
// flow stays together.
func TestFlowHash(t *testing.T) {
	var queues [numFlows]int
	moved := 0
	for i := range 25_600 {
		u := data(uint16(i), uint32(i), 10)
		u[1+15] = byte(i >> 16)
		p, _ := Parse(u)
		n := flowHash(1, &p) % numFlows
		queues[n]++
		if flowHash(2, &p)%numFlows != n {
			moved++
		}
		if again, _ := Parse(data(uint16(i), 5, 100)); flowHash(1, &again)%numFlows != n && u[1+15] == 1 {
			t.Fatal("a flow is torn")
		}
	}
	for i, n := range queues {
		if n < 50 || n > 160 { // 100 on average, six deviations
			t.Errorf("queue %d has %d flows", i, n)
		}
	}
	if moved < 25_000 {
		t.Errorf("%d flows moved", moved)
	}
}

// TestDeadlineInQueue: what stayed longer than its deadline is of no use.
func TestDeadlineInQueue(t *testing.T) {
	q := newQueue(1 << 20)
	p := &Packet{}
	for i := range 3 {
		q.Push(at(time.Duration(i)*10*ms), p, Treatment{Class: Once, Deadline: 15 * ms}, []byte{byte(i), 1})
	}
	if c, ok := q.Next(at(30*ms), all()); !ok || c != Once || q.Head(c).B[0] != 2 || q.Stats().Expired != 2 || q.Bytes() != 2 {
		t.Errorf("class %d, %+v", c, q.Stats())
	}
	q.Pop(at(30*ms), Once)
	q.Push(at(30*ms), p, Treatment{Class: Once, Deadline: 15 * ms}, []byte{3, 1})
	if _, ok := q.Next(at(60*ms), all()); ok || q.Bytes() != 0 {
		t.Errorf("%d bytes", q.Bytes())
	}
}

// TestQueueAllocates: units that come and go cost no memory once it is there.
func TestQueueAllocates(t *testing.T) {
	q := NewQueue(QueueConfig{Capacity: 1 << 20, Held: NewHeld(1000)})
	q.SetLaw(Law{Target: 5 * ms, Interval: 100 * ms})
	units := [][]byte{tcpUnit(1, 2, 1400), tcpUnit(2, 0, 0), over4(protoUDP, make([]byte, 900)), superUnit(tcpUnit(3, 2, 30_000), 1)}
	i := 0
	one := func() {
		i++
		now := at(time.Duration(i) * ms)
		push(q, now, units[i%len(units)])
		if c, ok := q.Next(now, all()); ok && i%8 != 0 {
			q.Pop(now, c)
		}
	}
	for range 2000 {
		one()
	}
	if n := testing.AllocsPerRun(2000, one); n != 0 {
		t.Errorf("%v allocations for a unit", n)
	}
}
