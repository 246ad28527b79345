package rlc

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// gfMul multiplies in GF(2^8), bit by bit: the reference for everything else.
func gfMul(a, b byte) (p byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			p ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= 0x1d
		}
	}
	return p
}

func TestInverse(t *testing.T) {
	for a := 1; a < 256; a++ {
		if gfMul(byte(a), inverse[a]) != 1 {
			t.Errorf("inverse[%#x] = %#x is wrong", a, inverse[a])
		}
	}
}

// block is a block of random symbols and its encoder.
type block struct {
	symbols [][]byte
	coded   [][]byte
	longest int
}

func newBlock(rng *rand.Rand, k int) *block {
	b := &block{}
	for range k {
		s := make([]byte, 1+rng.IntN(300))
		for i := range s {
			s[i] = byte(rng.Uint32())
		}
		c := bytes.Repeat([]byte{0xa5}, BufferLen)[:LengthLen+len(s)] // used before
		PutLength(c, len(s))
		copy(c[LengthLen:], s)
		Pad(c)
		b.symbols, b.coded = append(b.symbols, s), append(b.coded, c)
		b.longest = max(b.longest, len(c))
	}
	return b
}

func (b *block) repair(n uint16) []byte {
	var r Repair
	r.Start(len(b.symbols), n)
	for i, c := range b.coded {
		r.Add(i, c)
	}
	return r.Append(nil, b.longest)
}

// TestEncode: a repair symbol is what the definition says.
func TestEncode(t *testing.T) {
	b := newBlock(rand.New(rand.NewPCG(1, 1)), 10)
	for _, n := range []uint16{0, 1, 245, 246, 65535} {
		row := make([]byte, 10)
		Coefficients(row, n)
		want := make([]byte, b.longest)
		for i, c := range b.coded {
			if row[i] == 0 {
				t.Errorf("repair %d leaves symbol %d out", n, i)
			}
			for j, v := range c {
				want[j] ^= gfMul(row[i], v)
			}
		}
		if !bytes.Equal(b.repair(n), want) {
			t.Errorf("repair %d is wrong", n)
		}
	}
}

// TestCauchy: with the first 256-K repairs any K symbols suffice.
func TestCauchy(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	pool := NewPool(1 << 20)
	for range 300 {
		k := 1 + rng.IntN(60)
		b := newBlock(rng, k)
		var d Decoder
		d.Reset(pool)
		for n, id := range rng.Perm(256)[:k] {
			if !give(t, &d, b, id) {
				t.Fatalf("k %d: symbol %d, the %dth, was not innovative", k, id, n+1)
			}
		}
		checkSolved(t, &d, b)
		d.Reset(pool)
	}
	if pool.Free() != 1<<20 {
		t.Errorf("%d buffers were not given back", 1<<20-pool.Free())
	}
}

// give gives the decoder symbol id of a block: a source symbol or a repair.
func give(t *testing.T, d *Decoder, b *block, id int) bool {
	t.Helper()
	if id < len(b.symbols) {
		return d.AddSource(id, b.symbols[id])
	}
	n := uint16(id - len(b.symbols))
	return d.AddRepair(len(b.symbols), n, b.repair(n))
}

func checkSolved(t *testing.T, d *Decoder, b *block) {
	t.Helper()
	had := map[int]bool{}
	for i := range b.symbols {
		had[i] = d.Has(i)
	}
	d.Solve()
	for {
		i, s, ok := d.NextRecovered()
		if !ok {
			break
		}
		if had[i] || !bytes.Equal(s, b.symbols[i]) {
			t.Fatalf("symbol %d of %d is %d bytes, want %d", i, len(b.symbols), len(s), len(b.symbols[i]))
		}
		had[i] = true
	}
	for i := range b.symbols {
		if !had[i] {
			t.Fatalf("symbol %d is missing", i)
		}
	}
}

// TestRandomRows: far beyond the field, few more than K suffice.
func TestRandomRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	pool := NewPool(1 << 20)
	extra := 0
	const runs, k = 200, 20
	for range runs {
		b := newBlock(rng, k)
		var d Decoder
		d.Reset(pool)
		for n := uint16(1000 + rng.IntN(60000)); d.Rank() < k; n++ {
			if !d.AddRepair(k, n, b.repair(n)) {
				extra++
			}
		}
		checkSolved(t, &d, b)
		d.Reset(pool)
	}
	if extra > runs/20 {
		t.Errorf("%d useless symbols in %d blocks, expected about %d", extra, runs, runs/255)
	}
}

// TestGrowingBlock: repairs made while a block grows serve it as well, and what
// was heard of is solved before the block is full.
func TestGrowingBlock(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	pool := NewPool(1 << 16)
	useless := 0
	for range 300 {
		b := newBlock(rng, 40)
		var d Decoder
		d.Reset(pool)
		got := map[int]bool{}
		number := uint16(0)
		for n := 1; n <= 40; n++ {
			part := &block{symbols: b.symbols[:n], coded: b.coded[:n], longest: b.longest}
			if rng.IntN(3) > 0 {
				d.AddSource(n-1, b.symbols[n-1])
				got[n-1] = true
			}
			for rng.IntN(3) == 0 {
				if !d.AddRepair(n, number, part.repair(number)) && d.Rank() < d.Symbols() {
					useless++
				}
				number++
			}
			d.Solve()
			for {
				i, s, ok := d.NextRecovered()
				if !ok {
					break
				}
				if got[i] || !bytes.Equal(s, b.symbols[i]) {
					t.Fatalf("symbol %d recovered wrongly or again", i)
				}
				got[i] = true
			}
			if d.Rank() == d.Symbols() && len(got) != d.Symbols() {
				t.Fatalf("rank %d of %d, %d symbols known", d.Rank(), d.Symbols(), len(got))
			}
		}
		d.Reset(pool)
	}
	t.Logf("%d repairs were useless", useless)
}

func TestSteadyStateAllocations(t *testing.T) {
	b := newBlock(rand.New(rand.NewPCG(4, 4)), 16)
	var repairs [8][]byte
	for n := range repairs {
		repairs[n] = b.repair(uint16(n))
	}
	pool := NewPool(100)
	var d Decoder
	one := func() {
		d.Reset(pool)
		for i := 0; i < 16; i += 2 {
			d.AddSource(i, b.symbols[i])
		}
		for n := range repairs {
			d.AddRepair(16, uint16(n), repairs[n])
		}
		d.Solve()
	}
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations per block", n)
	}
}
