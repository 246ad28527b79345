package rlc

import (
	"bytes"
	"fmt"
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
		c := make([]byte, LengthLen+len(s))
		PutLength(c, len(s))
		copy(c[LengthLen:], s)
		b.symbols, b.coded = append(b.symbols, s), append(b.coded, c)
		b.longest = max(b.longest, len(c))
	}
	return b
}

func (b *block) repair(n uint16) []byte {
	var r Repair
	dst := make([]byte, b.longest)
	r.Start(dst, len(b.symbols), n)
	for i, c := range b.coded {
		r.Add(dst, i, c)
	}
	return dst
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

// reference is a plain elimination that keeps every row.
type reference struct {
	rows [][]byte
}

func (r *reference) innovative(row []byte) bool {
	v := bytes.Clone(row)
	for _, p := range r.rows {
		lead := 0
		for p[lead] == 0 {
			lead++
		}
		if f := gfMul(v[lead], inverse[p[lead]]); f != 0 {
			for i := range v {
				v[i] ^= gfMul(f, p[i])
			}
		}
	}
	for _, x := range v {
		if x != 0 {
			r.rows = append(r.rows, v)
			return true
		}
	}
	return false
}

// FuzzDecoder compares the decoder with a plain elimination over any order of
// symbols, repeated repairs among them, and checks what it recovers.
func FuzzDecoder(f *testing.F) {
	f.Add(uint64(1), uint8(5), []byte{0, 1, 2, 3, 200, 201, 202})
	f.Fuzz(func(t *testing.T, seed uint64, size uint8, ids []byte) {
		k := 1 + int(size)%40
		b := newBlock(rand.New(rand.NewPCG(seed, 0)), k)
		pool := NewPool(1000)
		var d Decoder
		d.Reset(pool)
		var ref reference
		for _, id := range ids {
			row := make([]byte, k)
			if int(id) < k {
				if d.Has(int(id)) {
					continue
				}
				row[id] = 1
			} else {
				Coefficients(row, uint16(int(id)-k))
			}
			want := ref.innovative(row)
			if got := give(t, &d, b, int(id)); got != want {
				t.Fatalf("symbol %d: innovative %v, want %v", id, got, want)
			}
			if d.Rank() != len(ref.rows) {
				t.Fatalf("rank %d, want %d", d.Rank(), len(ref.rows))
			}
			if d.Rank() == k {
				checkSolved(t, &d, b)
				break
			}
		}
		d.Reset(pool)
		if pool.Free() != 1000 {
			t.Errorf("%d buffers were not given back", 1000-pool.Free())
		}
	})
}

// FuzzHostile: repairs of no block at all are solved into something, or
// nothing, without a panic.
func FuzzHostile(f *testing.F) {
	f.Add(uint8(3), []byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, size uint8, b []byte) {
		k := 1 + int(size)%8
		pool := NewPool(100)
		var d Decoder
		d.Reset(pool)
		for n := uint16(0); d.Rank() < k && n < 50; n++ {
			cut := min(len(b), 1+int(n)*3, BufferLen)
			if n%3 == 2 && !d.Has(int(n)%k) && cut > 0 {
				d.AddSource(int(n)%k, b[:min(cut, MaxSymbol)])
			} else {
				d.AddRepair(k, n, b[:cut])
			}
		}
		if d.Rank() == k {
			d.Solve()
		}
		for {
			if _, s, ok := d.NextRecovered(); !ok {
				break
			} else if len(s) > MaxSymbol {
				t.Fatalf("symbol of %d bytes", len(s))
			}
		}
	})
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

func BenchmarkEncode(b *testing.B) {
	for _, k := range []int{8, 32, 64, 128, 256} {
		b.Run(fmt.Sprintf("K=%d", k), func(b *testing.B) {
			symbol := make([]byte, 1440)
			dst := make([]byte, 1440)
			var r Repair
			b.ReportAllocs()
			b.SetBytes(1440)
			for b.Loop() {
				r.Start(dst, k, 3)
				for i := range k {
					r.Add(dst, i, symbol)
				}
			}
		})
	}
}

// BenchmarkDecode is the cost per block with half of its symbols missing.
func BenchmarkDecode(b *testing.B) {
	for _, k := range []int{8, 32, 64, 128, 256} {
		b.Run(fmt.Sprintf("K=%d", k), func(b *testing.B) {
			symbol := make([]byte, 1440)
			pool := NewPool(2 * k)
			var d Decoder
			b.ReportAllocs()
			for b.Loop() {
				d.Reset(pool)
				for i := 0; i < k; i += 2 {
					d.AddSource(i, symbol)
				}
				for n := uint16(0); d.Rank() < k; n++ {
					d.AddRepair(k, n, symbol)
				}
				d.Solve()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(k), "ns/symbol")
		})
	}
}
