package rate

import (
	"encoding/binary"
	"testing"
	"time"
)

// FuzzController: the peer is authenticated and may still lie about everything
// that a receipt holds, and timing is anybody's. Whatever comes, nothing panics,
// the rate stays between floor and ceiling, and every figure is finite.
func FuzzController(f *testing.F) {
	f.Add(uint8(0), uint32(0), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add(uint8(1), uint32(5_000_000), []byte("receipts that nobody would send, at times that nobody would choose"))
	f.Fuzz(func(t *testing.T, mode uint8, ceiling uint32, ops []byte) {
		cfg := Config{Mode: Mode(mode % 3), Ceiling: int64(ceiling) + 1}
		c := New(at(0), cfg)
		floor := min(int64(MinRate), cfg.Ceiling)
		now, pn := time.Duration(0), uint64(0)
		for len(ops) >= 12 {
			op, v, x := ops[0], binary.BigEndian.Uint32(ops[1:]), binary.BigEndian.Uint32(ops[5:])
			y := binary.BigEndian.Uint16(ops[9:])
			ops = ops[12:]
			now += time.Duration(v%1_000_000) * time.Microsecond
			switch op % 4 {
			case 0, 1:
				for range int(x%64) + 1 {
					c.Epoch(at(now))
					c.OnSent(at(now), pn, int(y%1500)+1, op&8 > 0, op&16 > 0)
					pn++
					now += time.Duration(op) * time.Microsecond
				}
			case 2:
				r := Report{
					Largest: pn - 1 - uint64(x%8), Arrival: v, Hold: y, Datagrams: x >> (op >> 4), Gaps: v, CE: uint32(y),
					Epochs: []Epoch{{ID: op, Count: y, FirstPN: y % 100, LastPN: uint16(x) % 50, FirstTime: y, LastTime: uint16(v)}},
				}
				c.OnReceipt(at(now), &r)
			case 3:
				c.HandleTimeout(at(now))
			}
			if r := c.Rate(at(now)); r < floor || r > cfg.Ceiling {
				t.Fatalf("rate %d is not between %d and %d", r, floor, cfg.Ceiling)
			}
			s := c.Snapshot(at(now))
			if s.Queue < 0 || s.Target < 0 || !(s.Loss >= 0 && s.Loss <= 1) || s.Estimate < 0 {
				t.Fatalf("%+v", s)
			}
			c.Hold()
			if d := c.Deadline(); !d.IsZero() && !d.After(at(now)) {
				c.HandleTimeout(at(now))
				if d := c.Deadline(); !d.IsZero() && !d.After(at(now)) {
					t.Fatal("the deadline does not move")
				}
			}
		}
	})
}
