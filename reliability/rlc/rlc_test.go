package rlc

import (
	"bytes"
	"encoding/hex"
	"math"
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
		if rng.IntN(4) == 0 { // zeros at the end belong to the symbol
			clear(s[len(s)/2:])
		}
		c := Mark(append(bytes.Repeat([]byte{0xa5}, BufferLen)[:0], s...)) // used before
		b.symbols, b.coded = append(b.symbols, s), append(b.coded, c)
		b.longest = max(b.longest, len(c))
	}
	return b
}

func (b *block) repair(pn uint64) []byte {
	var r Repair
	r.Start(len(b.symbols), pn)
	for i, c := range b.coded {
		r.Add(i, c)
	}
	return r.Append(nil, b.longest)
}

// TestEncode: a repair symbol is what the definition says.
func TestEncode(t *testing.T) {
	b := newBlock(rand.New(rand.NewPCG(1, 1)), 10)
	for _, pn := range []uint64{0, 1, 255, 1 << 32, 1<<40 - 1} {
		row := make([]byte, 10)
		Coefficients(row, pn)
		want := make([]byte, b.longest)
		for i, c := range b.coded {
			if row[i] == 0 {
				t.Errorf("repair %d leaves symbol %d out", pn, i)
			}
			for j, v := range c {
				want[j] ^= gfMul(row[i], v)
			}
		}
		if !bytes.Equal(b.repair(pn), want) {
			t.Errorf("repair %d is wrong", pn)
		}
	}
}

// TestCoefficients: the rows of the definition, computed apart from the code under
// test. The other end may be another build.
func TestCoefficients(t *testing.T) {
	for _, c := range []struct {
		n    int
		pn   uint64
		want string
	}{
		{1, 0, "af"},
		{9, 0, "363695efb051569e01"},
		{9, 1, "5dda4dd9f5244a8c52"},
		{16, 1 << 32, "837170918ffc387f435cbe582fe0d4af"},
		{10, 1<<40 - 1, "5017e999b31ab0197110"},
	} {
		row := make([]byte, c.n)
		Coefficients(row, c.pn)
		if got := hex.EncodeToString(row); got != c.want {
			t.Errorf("%d symbols, packet %d: %s, want %s", c.n, c.pn, got, c.want)
		}
	}
}

// TestAnySymbols: source symbols and repairs of a block, any K and few more in any
// order, suffice.
func TestAnySymbols(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	pool := NewPool(1 << 20)
	useless := 0
	const runs = 300
	for range runs {
		k := 1 + rng.IntN(60)
		b := newBlock(rng, k)
		var d Decoder
		d.Reset(pool)
		for _, id := range rng.Perm(256) {
			if d.Rank() == k {
				break
			}
			if !give(t, &d, b, id) {
				useless++
			}
		}
		checkSolved(t, &d, b)
		d.Reset(pool)
	}
	if useless > runs/50 {
		t.Errorf("%d useless symbols in %d blocks, expected about %d", useless, runs, runs/255)
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
	pn := uint64(id - len(b.symbols))
	return d.AddRepair(len(b.symbols), pn, b.repair(pn))
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

// TestRandomRows: as many repairs as symbols are missing suffice with the
// probability of random rows, also those of datagrams in a row: a first one always
// does, of more the last is useless once in 255.
func TestRandomRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	pool := NewPool(1 << 10)
	const runs, k = 20000, 24
	symbol, coded := []byte{1}, make([]byte, 1+MarkerLen)
	for _, missing := range []int{1, 2, 3, 8, 24} {
		failed := 0
		for range runs {
			var d Decoder
			d.Reset(pool)
			for i := missing; i < k; i++ {
				d.AddSource(i, symbol)
			}
			pn := rng.Uint64N(1 << 40)
			for range missing {
				d.AddRepair(k, pn, coded)
				pn += 1 + rng.Uint64N(3)
			}
			if d.Rank() < k {
				failed++
			}
			d.Reset(pool)
		}
		want := 0.0
		if missing > 1 {
			want = runs / 255.0
		}
		if math.Abs(float64(failed)-want) > 4*math.Sqrt(want) {
			t.Errorf("%d missing: %d of %d blocks not complete, expected about %.0f", missing, failed, runs, want)
		}
	}
}

// TestMarker: what does not end with the marker, or is empty or too long without
// it, is nothing that a sender has coded, and everything else is a symbol.
func TestMarker(t *testing.T) {
	zeros := make([]byte, BufferLen)
	long := bytes.Repeat([]byte{1}, MaxSymbol+2)
	for name, c := range map[string]struct {
		coded []byte
		want  []byte // nil: malformed
	}{
		"symbol":             {[]byte{7, 8, 1}, []byte{7, 8}},
		"zeros behind":       {[]byte{7, 8, 1, 0, 0, 0}, []byte{7, 8}},
		"zeros inside":       {[]byte{0, 0, 1, 0}, []byte{0, 0}},
		"ends like a marker": {[]byte{7, 1, 1}, []byte{7, 1}},
		"longest":            {long[:MaxSymbol+1], long[:MaxSymbol]},
		"another marker":     {[]byte{7, 8, 2}, nil},
		"no marker":          {[]byte{7, 8, 0x81, 0}, nil},
		"only the marker":    {[]byte{1}, nil},
		"… and zeros":        {[]byte{1, 0, 0}, nil},
		"zeros":              {zeros[:9], nil},
		"zeros, all":         {zeros, nil},
		"too long":           {long, nil},
	} {
		// The first repair over one symbol is the symbol times a coefficient.
		var coef [1]byte
		Coefficients(coef[:], 5)
		repair := make([]byte, len(c.coded))
		for i, v := range c.coded {
			repair[i] = gfMul(coef[0], v)
		}
		var d Decoder
		d.Reset(usedPool())
		if !d.AddRepair(1, 5, repair) {
			t.Fatalf("%s: not innovative", name)
		}
		d.Solve()
		i, got, ok := d.NextRecovered()
		if i != 0 || !ok || !bytes.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %d %x %v, want %x", name, i, got, ok, c.want)
		}
		if _, _, ok := d.NextRecovered(); ok {
			t.Errorf("%s: another symbol", name)
		}
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
		pn := uint64(0)
		for n := 1; n <= 40; n++ {
			part := &block{symbols: b.symbols[:n], coded: b.coded[:n], longest: b.longest}
			if rng.IntN(3) > 0 {
				d.AddSource(n-1, b.symbols[n-1])
				got[n-1] = true
			}
			for rng.IntN(3) == 0 {
				if !d.AddRepair(n, pn, part.repair(pn)) && d.Rank() < d.Symbols() {
					useless++
				}
				pn++
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
		repairs[n] = b.repair(uint64(n))
	}
	pool := NewPool(100)
	var d Decoder
	one := func() {
		d.Reset(pool)
		for i := 0; i < 16; i += 2 {
			d.AddSource(i, b.symbols[i])
		}
		for n := range repairs {
			d.AddRepair(16, uint64(n), repairs[n])
		}
		d.Solve()
	}
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations per block", n)
	}
}
