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
