package rlc

import "encoding/binary"

// row is one innovative symbol: a linear combination whose first non-zero
// coefficient, 1, stands at the row's place in Decoder.rows.
type row struct {
	data  []byte // BufferLen bytes, zero beyond size; nil: no row
	size  int
	coef  []byte // MaxK bytes, nil for a source symbol as it is
	found bool   // a source symbol that Solve found and nobody took yet
}

// Decoder solves one block. The zero Decoder is empty and needs Reset.
type Decoder struct {
	pool  *Pool
	rows  []row // as many as source symbols were heard of
	rank  int
	coded int // rows with coefficients
	found int // rows that NextRecovered has to return
}

// Pool lends buffers to decoders and bounds how many. It belongs to the same
// goroutine as they do.
type Pool struct {
	data, coef [][]byte
	rows       [][]row
	used       int
	limit      int
}

// NewPool returns a Pool that lends at most limit symbols at a time.
func NewPool(limit int) *Pool { return &Pool{limit: limit} }

// Free is the number of symbols that may still be stored.
func (p *Pool) Free() int { return p.limit - p.used }

func (p *Pool) get() []byte {
	p.used++
	if n := len(p.data); n > 0 {
		b := p.data[n-1]
		p.data = p.data[:n-1]
		return b
	}
	return make([]byte, BufferLen)
}

func (p *Pool) getCoef() []byte {
	if n := len(p.coef); n > 0 {
		b := p.coef[n-1]
		p.coef = p.coef[:n-1]
		return b
	}
	return make([]byte, MaxK)
}

func (p *Pool) put(r row) {
	if r.data != nil {
		p.used--
		p.data = append(p.data, r.data)
	}
	if r.coef != nil {
		p.coef = append(p.coef, r.coef)
	}
}

// Reset empties the decoder and gives its buffers back.
func (d *Decoder) Reset(pool *Pool) {
	for i, r := range d.rows {
		d.pool.put(r)
		d.rows[i] = row{}
	}
	if cap(d.rows) > 0 {
		d.pool.rows = append(d.pool.rows, d.rows[:0])
	}
	*d = Decoder{pool: pool}
}

// Rank is the number of innovative symbols so far.
func (d *Decoder) Rank() int { return d.rank }

// Symbols is the number of source symbols that the decoder heard of: the
// highest index of one, or the most that a repair covered.
func (d *Decoder) Symbols() int { return len(d.rows) }

// Has reports whether source symbol i is stored as it is.
func (d *Decoder) Has(i int) bool {
	return i < len(d.rows) && d.rows[i].data != nil && d.rows[i].coef == nil
}

// grow makes room for n rows.
func (d *Decoder) grow(n int) {
	if last := len(d.pool.rows); d.rows == nil && last > 0 {
		d.rows = d.pool.rows[last-1]
		d.pool.rows = d.pool.rows[:last-1]
	}
	for len(d.rows) < n {
		d.rows = append(d.rows, row{})
	}
}

// AddSource stores source symbol i, which must not be stored yet, and reports
// whether it was innovative.
func (d *Decoder) AddSource(i int, symbol []byte) bool {
	d.grow(i + 1)
	r := row{data: d.pool.get(), size: LengthLen + len(symbol)}
	PutLength(r.data, len(symbol))
	copy(r.data[LengthLen:], symbol)
	clear(r.data[r.size:])
	old := d.rows[i]
	d.rows[i] = r
	if old.data == nil {
		d.rank++
		return true
	}
	// The row that stood here loses its first coefficient and goes elsewhere.
	d.coded--
	old.coef[i] = 0
	mulAdd(1, r.data[:r.size], old.data)
	old.size = max(old.size, r.size)
	return d.insert(old, i+1)
}

// AddRepair stores a repair symbol over the first n symbols and reports whether
// it was innovative.
func (d *Decoder) AddRepair(n int, repair uint16, coded []byte) bool {
	d.grow(n)
	r := row{data: d.pool.get(), size: len(coded), coef: d.pool.getCoef()}
	copy(r.data, coded)
	clear(r.data[r.size:])
	Coefficients(r.coef[:n], repair)
	clear(r.coef[n:])
	return d.insert(r, 0)
}

// insert reduces a row whose coefficients before from are zero by the rows that
// stand, and stores what is left.
func (d *Decoder) insert(r row, from int) bool {
	for c := from; c < len(d.rows); c++ {
		f := r.coef[c]
		if f == 0 {
			continue
		}
		p := d.rows[c]
		if p.data == nil {
			scale(inverse[f], r.coef[c:len(d.rows)])
			scale(inverse[f], r.data[:r.size])
			d.rows[c] = r
			d.rank++
			d.coded++
			return true
		}
		if p.coef == nil {
			r.coef[c] = 0
		} else {
			mulAdd(f, p.coef[c:len(d.rows)], r.coef[c:len(d.rows)])
		}
		mulAdd(f, p.data[:p.size], r.data)
		r.size = max(r.size, p.size)
	}
	d.pool.put(r)
	return false
}

// Solve finds the missing ones of the source symbols heard of, if the rank
// allows; NextRecovered returns them.
func (d *Decoder) Solve() {
	if d.coded == 0 || d.rank != len(d.rows) {
		return
	}
	for c := d.rank - 1; c >= 0; c-- {
		r := &d.rows[c]
		if r.coef == nil {
			continue
		}
		for j := c + 1; j < d.rank; j++ { // the rows behind are solved
			if f := r.coef[j]; f != 0 {
				mulAdd(f, d.rows[j].data[:d.rows[j].size], r.data)
				r.size = max(r.size, d.rows[j].size)
			}
		}
		d.pool.coef = append(d.pool.coef, r.coef)
		r.coef, r.found = nil, true
		d.found++
	}
	d.coded = 0
}

// NextRecovered returns the next source symbol that Solve found, and its index.
// symbol is nil, although i is valid, if its length makes no sense: the sender
// coded something else. It stays valid until Reset.
func (d *Decoder) NextRecovered() (i int, symbol []byte, ok bool) {
	if d.found == 0 {
		return 0, nil, false
	}
	for i := range d.rows {
		r := &d.rows[i]
		if !r.found {
			continue
		}
		r.found = false
		d.found--
		n := int(binary.BigEndian.Uint16(r.data))
		if n == 0 || n > min(MaxSymbol, r.size-LengthLen) {
			return i, nil, true
		}
		return i, r.data[LengthLen : LengthLen+n], true
	}
	panic("rlc: a recovered symbol is lost")
}
