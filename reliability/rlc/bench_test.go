package rlc

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// benchSymbol is the size of a symbol that fills a datagram, bytes.
const benchSymbol = 1408

// benchK are the block sizes that the benchmarks report.
var benchK = []int{8, 16, 32, 64, 128, 256}

// fullBlock returns a block of k symbols that fill a datagram each.
func fullBlock(rng *rand.Rand, k int) *block {
	b := &block{longest: benchSymbol + MarkerLen}
	for range k {
		c := make([]byte, benchSymbol, BufferLen)
		for i := range c {
			c[i] = byte(rng.Uint32())
		}
		b.coded, b.symbols = append(b.coded, Mark(c)), append(b.symbols, c)
	}
	return b
}

// arrivals is what reaches the receiver of a block: its source symbols but a
// share of them, then repairs. Some more repairs than symbols are missing, for
// random ones may be dependent.
type arrivals struct {
	*block
	lost    []bool
	missing int
	repairs [][]byte
}

func newArrivals(k int, loss float64) *arrivals {
	rng := rand.New(rand.NewPCG(uint64(k), 7))
	a := &arrivals{block: fullBlock(rng, k), lost: make([]bool, k)}
	a.missing = int(loss*float64(k) + 0.5)
	for _, i := range rng.Perm(k)[:a.missing] {
		a.lost[i] = true
	}
	for pn := range uint64(a.missing + 8) {
		a.repairs = append(a.repairs, a.repair(pn))
	}
	return a
}

// sources gives the decoder the source symbols that arrive.
func (a *arrivals) sources(d *Decoder) {
	for i, s := range a.symbols {
		if !a.lost[i] {
			d.AddSource(i, s)
		}
	}
}

// add gives the decoder repairs from packet n on until its rank is the given
// one and returns the packet number of the next.
func (a *arrivals) add(d *Decoder, n, rank int) int {
	for ; d.Rank() < rank; n++ {
		d.AddRepair(len(a.symbols), uint64(n), a.repairs[n])
	}
	return n
}

// solve takes everything that the decoder can solve.
func solve(d *Decoder) {
	d.Solve()
	for {
		if _, _, ok := d.NextRecovered(); !ok {
			return
		}
	}
}

// BenchmarkEncode is the cost of one repair over K symbols, and its share per
// symbol covered.
func BenchmarkEncode(b *testing.B) {
	for _, k := range benchK {
		b.Run(fmt.Sprintf("K=%d", k), func(b *testing.B) {
			block := fullBlock(rand.New(rand.NewPCG(1, 7)), k)
			dst := make([]byte, 0, BufferLen)
			var r Repair
			b.ReportAllocs()
			for b.Loop() {
				r.Start(k, 3)
				for i, c := range block.coded {
					r.Add(i, c)
				}
				dst = r.Append(dst[:0], block.longest)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k), "ns/symbol")
		})
	}
}

// BenchmarkDecode is the cost of a whole block per symbol delivered, where
// repairs make up for a share of the source symbols.
func BenchmarkDecode(b *testing.B) {
	for _, k := range benchK {
		for _, loss := range []float64{0, 0.2, 0.5, 0.9} {
			b.Run(fmt.Sprintf("K=%d/loss=%v", k, loss), func(b *testing.B) {
				a, pool := newArrivals(k, loss), NewPool(k+8)
				var d Decoder
				one := func() {
					d.Reset(pool)
					a.sources(&d)
					a.add(&d, 0, k)
					solve(&d)
				}
				one()
				one() // now the pool has everything back once
				b.ReportAllocs()
				for b.Loop() {
					one()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k), "ns/symbol")
			})
		}
	}
}

// BenchmarkLast is the cost of the repair that completes a block: the longest
// that the decoder keeps its caller waiting.
func BenchmarkLast(b *testing.B) {
	const k = MaxK
	for _, loss := range []float64{0.2, 0.5, 0.9} {
		b.Run(fmt.Sprintf("K=%d/loss=%v", k, loss), func(b *testing.B) {
			a, pool := newArrivals(k, loss), NewPool(k+8)
			var d Decoder
			for b.Loop() {
				b.StopTimer()
				d.Reset(pool)
				a.sources(&d)
				n := a.add(&d, 0, k-1)
				b.StartTimer()
				a.add(&d, n, k)
				solve(&d)
			}
		})
	}
}

// BenchmarkUseless is the cost of a repair over symbols that are all known, in a
// block whose last but one symbol is missing: K-2 symbols are covered.
func BenchmarkUseless(b *testing.B) {
	for _, k := range benchK {
		b.Run(fmt.Sprintf("K=%d", k), func(b *testing.B) {
			a, pool := newArrivals(k, 0), NewPool(k+8)
			a.lost[k-2] = true
			var d Decoder
			d.Reset(pool)
			a.sources(&d)
			b.ReportAllocs()
			for b.Loop() {
				d.AddRepair(k-2, 0, a.repairs[0])
			}
		})
	}
}
