package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// collisions is how many of ten flows share a flow queue with an earlier one.
func collisions(number func(i int) uint64) (n int) {
	var taken [numFlows]bool
	for i := range 10 {
		k := number(i) % numFlows
		if taken[k] {
			n++
		}
		taken[k] = true
	}
	return n
}

// T-2: the connections of one program, whose ports follow each other, share flow
// queues as rarely as flows drawn at random, whatever the perturbation.
func TestHashOfNeighbours(t *testing.T) {
	const trials = 100_000
	rng := rand.New(rand.NewPCG(1, 2))
	for _, step := range []uint16{1, 2, 256} {
		var hashed, drawn [10]int
		for range trials {
			perturbation := rng.Uint64()
			p := Packet{Src: netip.MustParseAddr("10.77.0.1"), Dst: netip.MustParseAddr("10.77.0.2"), Proto: protoTCP, DstPort: 5201}
			first := uint16(rng.Uint64())
			hashed[collisions(func(i int) uint64 {
				p.SrcPort = first + step*uint16(i)
				return flowHash(perturbation, &p)
			})]++
			drawn[collisions(func(int) uint64 { return rng.Uint64() })]++
		}
		t.Logf("ports %d apart: collisions %v, at random %v", step, hashed, drawn)
		many := func(n [10]int) int { return trials - n[0] - n[1] }
		if many(hashed) > many(drawn)*3/2 {
			t.Errorf("ports %d apart: twice or more shared in %d of %d, at random in %d", step, many(hashed), trials, many(drawn))
		}
	}
}

// crowd is so many source ports whose flows, without a perturbation, are of one set.
func crowd(n int) (ports []uint16) {
	for port := uint16(2); len(ports) < n; port++ {
		if flowHash(0, &Packet{SrcPort: port})%FlowNumbers == 0 {
			ports = append(ports, port)
		}
	}
	return ports
}

// T-2: as many flows as a set has queues have one each. The next shares one until that
// is empty, even while another is idle, or a later packet would overtake. A flow that is
// back finds its own again.
func TestFlowQueues(t *testing.T) {
	q := newQueue(1 << 20)
	l := &q.lanes[Stream]
	push := func(port uint16) uint16 {
		p := &Packet{SrcPort: port}
		if !q.Push(at(0), p, Treatment{Class: Stream}, make([]byte, 100)) {
			t.Fatal("refused")
		}
		return l.queueOf(flowHash(0, p))
	}
	ports := crowd(flowWays + 1)
	one, late := ports[:flowWays], ports[flowWays]
	users := map[uint16]uint16{}
	for _, port := range one {
		i := push(port)
		if other, taken := users[i]; taken {
			t.Errorf("ports %d and %d share queue %d", other, port, i)
		}
		users[i] = port
	}
	shared := push(late)
	if _, taken := users[shared]; !taken {
		t.Errorf("queue %d of one flow too many", shared)
	}
	for l.flows[shared].head == nil || l.flows[(shared+FlowNumbers)%numFlows].state != idleFlow {
		push(users[shared]) // it keeps waiting
		push(late)
		q.Stage(at(0), Stream)
		q.Pop(at(0), Stream)
	}
	if got := push(late); got != shared {
		t.Errorf("the late flow goes from queue %d to %d while it has something in the first", shared, got)
	}
	for q.Stage(at(0), Stream) {
		q.Pop(at(0), Stream)
	}
	for i, port := range users {
		if got := push(port); got != i {
			t.Errorf("port %d is back in queue %d, it was %d", port, got, i)
		}
	}
}

// T-2: ten flows never share, whatever the perturbation.
func TestTenFlows(t *testing.T) {
	for perturbation := range uint64(2000) {
		q := NewQueue(QueueConfig{Capacity: MinLimit, Perturbation: perturbation})
		users := map[uint16]bool{}
		for port := range uint16(10) {
			p := &Packet{SrcPort: 40000 + 2*port, DstPort: 5201, Proto: protoTCP}
			q.Push(at(0), p, Treatment{Class: Stream}, make([]byte, 100))
			users[q.lanes[Stream].queueOf(flowHash(perturbation, p))] = true
		}
		if len(users) != 10 {
			t.Errorf("perturbation %d: %d queues for ten flows", perturbation, len(users))
		}
	}
}
