package rlc

// row is one innovative symbol: a linear combination whose first non-zero
// coefficient, 1, stands at the row's place in Decoder.rows.
type row struct {
	data  *[BufferLen]byte // size bytes, zeros as far as whole(size), then anything; nil: no row
	coef  *[MaxK]byte      // zero beyond Decoder.rows; nil for a source symbol as it is
	size  int
	found bool // a source symbol that Solve found and nobody took yet
}

// whole rounds n bytes up to the vector registers that the arithmetic works on.
// What lies behind them is never read and need not be cleared.
func whole(n int) int { return (n + 63) &^ 63 }

// add adds c times p.
func (r *row) add(c byte, p *row) {
	if p.size > r.size {
		clear(r.data[whole(r.size):whole(p.size)])
		r.size = p.size
	}
	mulAdd(c, p.data[:whole(p.size)], r.data[:])
}

// Decoder solves one block. The zero Decoder is empty and needs Reset.
type Decoder struct {
	pool  *Pool
	rows  []row // as many as source symbols were heard of
	rank  int
	coded int // rows with coefficients
	found int // rows that NextRecovered has to return
	next  int // first row that may be one of them: what was solved before stays so
}

// Pool lends buffers to decoders and bounds how many. It belongs to the same
// goroutine as they do.
type Pool struct {
	data    []*[BufferLen]byte
	coef    []*[MaxK]byte
	rows    [][]row
	used    int
	limit   int
	factors [MaxK]byte // what the last Decoder.reduce took of each row
}

// NewPool returns a Pool that lends at most limit symbols at a time.
func NewPool(limit int) *Pool { return &Pool{limit: limit} }

// Free is the number of symbols that may still be stored.
func (p *Pool) Free() int { return p.limit - p.used }

func (p *Pool) get() *[BufferLen]byte {
	p.used++
	if n := len(p.data); n > 0 {
		b := p.data[n-1]
		p.data = p.data[:n-1]
		return b
	}
	return new([BufferLen]byte)
}

func (p *Pool) getCoef() *[MaxK]byte {
	if n := len(p.coef); n > 0 {
		b := p.coef[n-1]
		p.coef = p.coef[:n-1]
		return b
	}
	return new([MaxK]byte)
}

func (p *Pool) put(r *row) {
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
	for i := range d.rows {
		d.pool.put(&d.rows[i])
	}
	if cap(d.rows) > 0 {
		clear(d.rows)
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

// AddSource stores source symbol i, of at most MaxSymbol bytes, and reports
// whether it was innovative. A symbol that is stored as it is stays what it is.
func (d *Decoder) AddSource(i int, symbol []byte) bool {
	if d.Has(i) {
		return false
	}
	d.grow(i + 1)
	old, r := d.rows[i], row{data: d.pool.get()}
	r.size = len(Mark(append(r.data[:0], symbol...)))
	d.rows[i] = r
	if old.data == nil {
		d.rank++
		return true
	}
	// The row that stood here loses its first coefficient and goes elsewhere.
	d.coded--
	old.coef[i] = 0
	old.add(1, &r)
	place := d.reduce(old.coef)
	if place < 0 {
		d.pool.put(&old)
		return false
	}
	d.insert(old, place)
	return true
}

// AddRepair stores a repair symbol over the first n symbols, of at most BufferLen
// bytes, that came in the datagram with packet number pn, and reports whether it
// was innovative. The coefficients tell: a useless symbol is not even copied.
func (d *Decoder) AddRepair(n int, pn uint64, coded []byte) bool {
	d.grow(n)
	if d.rank == len(d.rows) {
		return false
	}
	r := row{coef: d.pool.getCoef()}
	Coefficients(r.coef[:n], pn)
	clear(r.coef[n:])
	place := d.reduce(r.coef)
	if place < 0 {
		d.pool.put(&r)
		return false
	}
	r.data, r.size = d.pool.get(), len(coded)
	copy(r.data[:r.size], coded)
	clear(r.data[r.size:whole(r.size)])
	d.insert(r, place)
	return true
}

// reduce takes the rows that stand out of the coefficients of a new one, notes
// in Pool.factors how much of each, and returns the place of what is left, -1 if
// nothing is.
func (d *Decoder) reduce(coef *[MaxK]byte) int {
	place, end := -1, whole(len(d.rows))
	for c := range d.rows {
		f, p := coef[c], &d.rows[c]
		switch {
		case f == 0:
		case p.data == nil:
			f = 0
			if place < 0 {
				place = c
			}
		case p.coef == nil:
			coef[c] = 0
		default:
			mulAdd(f, p.coef[c&^63:end], coef[c&^63:])
		}
		d.pool.factors[c] = f
	}
	return place
}

// insert does to a row's data what reduce, called just before, did to its
// coefficients, and stores it at its place. It takes out the rows behind the
// place too, not just those before it: less is left for Solve, for which a
// complete block waits.
func (d *Decoder) insert(r row, place int) {
	for c, f := range d.pool.factors[:len(d.rows)] {
		if f != 0 {
			r.add(f, &d.rows[c])
		}
	}
	f := inverse[r.coef[place]]
	scale(f, r.coef[place&^63:whole(len(d.rows))])
	scale(f, r.data[:whole(r.size)])
	d.rows[place] = r
	d.rank++
	d.coded++
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
				r.add(f, &d.rows[j])
			}
		}
		d.pool.coef = append(d.pool.coef, r.coef)
		r.coef, r.found = nil, true
		d.found++
	}
	d.coded = 0
}

// NextRecovered returns the next source symbol that Solve found, and its index.
// symbol is nil, although i is valid, if it does not end with the marker: the
// sender coded something else. It stays valid until Reset.
func (d *Decoder) NextRecovered() (i int, symbol []byte, ok bool) {
	if d.found == 0 {
		return 0, nil, false
	}
	for i := d.next; i < len(d.rows); i++ {
		r := &d.rows[i]
		if !r.found {
			continue
		}
		r.found = false
		d.found--
		d.next = i + 1
		return i, unmark(r.data[:r.size]), true
	}
	panic("rlc: a recovered symbol is lost")
}
