package rlc

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// product is gfMul as a table.
var product = func() (t [256][256]byte) {
	for a := range t {
		for b := range t[a] {
			t[a][b] = gfMul(byte(a), byte(b))
		}
	}
	return t
}()

// reference is a plain elimination that keeps every row. A row's lead is its
// first non-zero coefficient.
type reference struct {
	rows  [][]byte
	leads []int
}

func (r *reference) innovative(row []byte) bool {
	v := bytes.Clone(row)
	for i, p := range r.rows {
		lead := r.leads[i]
		if f := product[v[lead]][inverse[p[lead]]]; f != 0 {
			for j := range v {
				v[j] ^= product[f][p[j]]
			}
		}
	}
	for i, x := range v {
		if x != 0 {
			r.rows, r.leads = append(r.rows, v), append(r.leads, i)
			return true
		}
	}
	return false
}

// poolSize is more than the fuzz targets store.
const poolSize = 2 * MaxK

// usedPool returns a pool whose first buffers hold no zero: nothing may depend
// on what a decoder left behind.
func usedPool() *Pool {
	pool := NewPool(poolSize)
	for range 32 {
		data, coef := new([BufferLen]byte), new([MaxK]byte)
		for i := range data {
			data[i], coef[i%MaxK] = 0xff, 0xff
		}
		pool.data, pool.coef = append(pool.data, data), append(pool.coef, coef)
	}
	return pool
}

// arrival is one step of FuzzDecoder, taken from three bytes of its input.
type arrival struct {
	grow   int // symbols that the block gets first
	source bool
	index  int    // of the source symbol
	pn     uint64 // of the datagram with the repair
	n      int    // symbols that it covers
	solve  bool
}

// parseArrival reads a step for a block that has n of k symbols so far.
func parseArrival(b []byte, n, k int) arrival {
	a := arrival{source: b[0]&1 == 0, solve: b[0]&2 == 0}
	if n == 0 || b[0]&4 != 0 {
		a.grow = min(1+int(b[0]>>4), k-n)
	}
	n += a.grow
	a.index = int(b[1]) % n
	a.pn = uint64(b[1])
	if b[0]&8 != 0 { // late in a session
		a.pn = uint64(binary.BigEndian.Uint16(b[1:])) << 24
	}
	a.n = n
	if b[2]&1 != 0 { // made when the block was shorter, overtaken since
		a.n = 1 + int(b[2]>>1)%n
	}
	return a
}

// prefix is what the sender has of the block when it has n symbols.
func (b *block) prefix(n int) *block {
	p := &block{symbols: b.symbols[:n], coded: b.coded[:n]}
	for _, c := range p.coded {
		p.longest = max(p.longest, len(c))
	}
	return p
}

// FuzzDecoder compares the decoder with a plain elimination. Threat model: any
// order of the symbols of a block that grows: source symbols twice and after
// they were solved for, repairs twice, repairs of the block as it was before, of
// the first datagrams of a session and of late ones, in buffers that others used.
func FuzzDecoder(f *testing.F) {
	f.Add(uint64(1), uint8(5), []byte("\x44\x01\x00\x00\x02\x00\x01\x00\x00\x01\x01\x00\x01\x01\x00"))
	f.Add(uint64(2), uint8(255), bytes.Repeat([]byte("\xf5\x01\x00\xf9\x77\x77\x00\xf0\x03"), 8))
	f.Fuzz(func(t *testing.T, seed uint64, size uint8, steps []byte) { compare(t, seed, 1+int(size), steps) })
}

// TestReference does what FuzzDecoder does with blocks too long for its fuzzer.
func TestReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for _, k := range []int{1, 2, 3, 8, 20, 64, 100, 200, 256} {
		for seed := range uint64(10) {
			steps := make([]byte, 9*k)
			for i := range steps {
				steps[i] = byte(rng.Uint32())
			}
			compare(t, seed, k, steps)
		}
	}
}

// compare takes the decoder and the reference through the steps for a block
// that grows to k symbols.
func compare(t *testing.T, seed uint64, k int, steps []byte) {
	t.Helper()
	b := newBlock(rand.New(rand.NewPCG(seed, 0)), k)
	pool := usedPool()
	var d Decoder
	d.Reset(pool)
	var ref reference
	known := make([]bool, k)
	n, heard := 0, 0
	for ; len(steps) >= 3 && len(ref.rows) < k; steps = steps[3:] {
		a := parseArrival(steps, n, k)
		n += a.grow
		row := make([]byte, k)
		var got bool
		if a.source {
			row[a.index] = 1
			got = d.AddSource(a.index, b.symbols[a.index])
			known[a.index] = true
			heard = max(heard, a.index+1)
		} else {
			Coefficients(row[:a.n], a.pn)
			got = d.AddRepair(a.n, a.pn, b.prefix(a.n).repair(a.pn))
			heard = max(heard, a.n)
		}
		if want := ref.innovative(row); got != want {
			t.Fatalf("%+v: innovative %v, want %v", a, got, want)
		}
		if d.Rank() != len(ref.rows) || d.Symbols() != heard || pool.Free() != poolSize-d.Rank() {
			t.Fatalf("%+v: rank %d, want %d; %d symbols, want %d; %d buffers lent",
				a, d.Rank(), len(ref.rows), d.Symbols(), heard, poolSize-pool.Free())
		}
		if a.solve || d.Rank() == k {
			takeSolved(t, &d, b, known)
		}
	}
	d.Reset(pool)
	if pool.Free() != poolSize {
		t.Errorf("%d buffers were not given back", poolSize-pool.Free())
	}
}

// takeSolved solves and checks that exactly what was not known comes, if the
// rank allows, and else nothing.
func takeSolved(t *testing.T, d *Decoder, b *block, known []bool) {
	t.Helper()
	d.Solve()
	for {
		i, s, ok := d.NextRecovered()
		if !ok {
			break
		}
		if known[i] || !bytes.Equal(s, b.symbols[i]) {
			t.Fatalf("symbol %d is %d bytes, want %d; known before: %v", i, len(s), len(b.symbols[i]), known[i])
		}
		known[i] = true
	}
	for i := range d.Symbols() {
		if d.Has(i) != known[i] || d.Rank() == d.Symbols() && !known[i] {
			t.Fatalf("symbol %d: stored %v, known %v, rank %d of %d", i, d.Has(i), known[i], d.Rank(), d.Symbols())
		}
	}
}

// FuzzHostile: threat model: a peer whose symbols and repairs, of any length,
// come from no block at all, again and again, for blocks that grow. They are
// solved into something, or nothing, without a panic, within the buffers that
// the rank accounts for.
func FuzzHostile(f *testing.F) {
	f.Add([]byte("\x00\x03\x05\x00\x41\x02\x00\x00\x06\xff\x01\x07\x00\x01\x07\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		pool := usedPool()
		var d Decoder
		d.Reset(pool)
		noise := make([]byte, BufferLen)
		for i := range noise {
			noise[i] = byte(i * 7)
		}
		for ; len(in) >= 4; in = in[4:] {
			size := int(binary.BigEndian.Uint16(in[2:])) % (BufferLen + 1)
			if size > 0 { // of the end too: a repair tells any
				noise[size-1] = in[1]
			}
			if in[0]&1 == 0 {
				d.AddSource(int(in[1]), noise[:min(size, MaxSymbol)])
			} else {
				d.AddRepair(1+int(in[1]), uint64(in[0])<<(in[0]>>3), noise[:size])
			}
			d.Solve()
			for {
				i, s, ok := d.NextRecovered()
				if !ok {
					break
				}
				if !d.Has(i) || len(s) > MaxSymbol {
					t.Fatalf("symbol %d of %d bytes, stored %v", i, len(s), d.Has(i))
				}
			}
			if pool.Free() != poolSize-d.Rank() || d.Rank() > d.Symbols() {
				t.Fatalf("%d buffers for rank %d of %d", poolSize-pool.Free(), d.Rank(), d.Symbols())
			}
		}
	})
}
