package link

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// fuzzConfig makes a Config of arbitrary bytes, sane or not.
func fuzzConfig(b []byte) Config {
	var word [16]uint64
	for i := range word {
		var w [8]byte
		b = b[copy(w[:], b):]
		word[i] = binary.LittleEndian.Uint64(w[:])
	}
	f := func(i int) float64 { return math.Float64frombits(word[i]) }
	share := func(i int) float64 { // often valid
		if word[i]%4 == 0 {
			return f(i)
		}
		return float64(word[i]%1001) / 1000
	}
	rate, p := int64(word[0])>>20, share(12)
	return Config{
		Rate: rate, Queue: int(int64(word[1]) >> 32), MTU: int(int16(word[1])),
		Delay: time.Duration(word[2] >> 28), Jitter: time.Duration(word[3] >> 30), JitterReorders: word[3]&1 == 1,
		Loss: share(4), Burst: float64(word[5]%50) / 2,
		Duplicate: share(6), Reorder: share(7), ReorderDelay: time.Duration(word[8] >> 30), Corrupt: share(9),
		Policer:  Policer{Rate: int64(word[10]) >> 30, Burst: int(int32(word[10]))},
		Schedule: []Change{{At: time.Duration(word[11] >> 26), Every: time.Duration(word[11] << 40 >> 30), Outage: time.Duration(word[13] >> 30), OutageMax: time.Duration(word[14] >> 30), Loss: &p, Rate: &rate}},
	}
}

// FuzzLink: a profile file is input like any other. Whatever Config it makes,
// Validate refuses it or the link runs: no panic, no spin, packets conserved,
// every queue within its bound, each packet delivered unchanged unless corrupted.
func FuzzLink(f *testing.F) {
	f.Add([]byte{}, []byte{1, 2, 3, 4}, uint64(1))
	f.Add([]byte("0123456701234567012345670123456701234567"), []byte{0, 0, 0, 255, 17, 4, 200, 3, 1, 2}, uint64(2))
	f.Fuzz(func(t *testing.T, config, ops []byte, seed uint64) {
		cfg := fuzzConfig(config)
		l, err := New(epoch, cfg, seeded(seed))
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		buf, now := make([]byte, MaxMTU), epoch
		for i, op := range ops[:min(len(ops), 300)] {
			switch op % 4 {
			case 0, 1:
				p := make([]byte, int(op)*7)
				for k := range p {
					p[k] = byte(i)
				}
				l.Send(now, p)
			case 2:
				now = now.Add(time.Duration(op) * time.Millisecond)
			case 3:
				if next := l.Next(); !next.IsZero() && next.Sub(now) < time.Minute {
					now = next
				}
			}
			receiveAll(t, l, now, buf)
			check(t, l, now)
		}
	})
}

func receiveAll(t *testing.T, l *Link, now time.Time, buf []byte) {
	t.Helper()
	for n, ok := l.Receive(now, buf); ok; n, ok = l.Receive(now, buf) {
		if n == 0 || n > l.cfg.MTU {
			t.Fatalf("packet of %d bytes", n)
		}
		for _, b := range buf[1:n] {
			if b != buf[0] && l.cfg.Corrupt == 0 {
				t.Fatal("packet damaged")
			}
		}
	}
}

// check holds for every link after every call that drained it.
func check(t *testing.T, l *Link, now time.Time) {
	t.Helper()
	s := l.Stats()
	if in, out := s.Sent+s.Duplicated, s.Delivered+s.TooBig+s.Policed+s.QueueDropped+s.Lost+s.OutageLost+s.Held; in != out {
		t.Fatalf("%d packets in, %d accounted for: %+v", in, out, s)
	}
	if s.QueueBytes < 0 || s.QueueBytes > l.cfg.Queue || s.Held > MaxPackets {
		t.Fatalf("bounds: %+v", s)
	}
	if next := l.Next(); !next.IsZero() && !next.After(now) {
		t.Fatalf("spin: next %v at %v", next, now)
	}
	if (s.Held == 0) != l.Next().IsZero() {
		t.Fatalf("next %v with %d packets held", l.Next(), s.Held)
	}
}

// FuzzParse: command lines and profile files reach these parsers. They return
// a value in range or ErrParse, and never panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"50mbit", "250KB", "1BDP", "20%", "-1", "1e400", "NaN%", strings.Repeat("9", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseRate(s); err != nil && !errors.Is(err, ErrParse) || v < 0 || v > MaxRate {
			t.Errorf("rate %q: %d, %v", s, v, err)
		}
		if v, err := ParseSize(s); err != nil && !errors.Is(err, ErrParse) || v < 0 || v > MaxQueue {
			t.Errorf("size %q: %d, %v", s, v, err)
		}
		if v, err := ParsePercent(s); err != nil && !errors.Is(err, ErrParse) || !(v >= 0 && v <= 1) {
			t.Errorf("percentage %q: %v, %v", s, v, err)
		}
		q, err := ParseQueue(s)
		if n := q.Resolve(MaxRate, time.Hour); err != nil && !errors.Is(err, ErrParse) || n <= 0 || n > MaxQueue {
			t.Errorf("queue %q: %d, %v", s, n, err)
		}
	})
}
