package reliability

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/wire"
)

// checkCodec checks that a frame survives a round trip and that every
// truncation of it is either refused or, for a frame that reaches to the
// datagram's end, shorter.
func checkCodec[T any](t *testing.T, frame []byte, want T, parse func(*wire.Reader) (T, error), open bool) {
	t.Helper()
	r := wire.NewReader(frame[1:])
	got, err := parse(&r)
	if err != nil || r.Done() != nil {
		t.Fatalf("parse of %x: %v, %v", frame, err, r.Done())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	for n := range len(frame) - 1 {
		r := wire.NewReader(frame[1 : 1+n])
		if _, err := parse(&r); err == nil && !open {
			t.Errorf("truncated to %d of %d bytes, still parsed", n, len(frame)-1)
		} else if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("truncated to %d bytes: error %v, want ErrMalformed", n, err)
		}
	}
}

func TestSourceCodec(t *testing.T) {
	for _, want := range []Source{
		{Class: Control, Block: 0, Index: 0, Last: true, Symbol: []byte{1}},
		{Class: Bulk, Block: blockMask, Index: 255, Last: true, Symbol: bytes.Repeat([]byte{7}, MaxSymbol)},
		{Class: Deadline, Block: 42, Index: 200, Symbol: []byte("open block")},
	} {
		checkCodec(t, want.Append(nil), want, ParseSource, true)
	}
	for name, frame := range map[string][]byte{
		"no symbol":       {0, 0, 0, 0},
		"no index":        {0, 0, 0},
		"empty":           {},
		"symbol too long": append([]byte{0, 0, 0, 0}, make([]byte, MaxSymbol+1)...),
	} {
		r := wire.NewReader(frame)
		if _, err := ParseSource(&r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestRepairCodec(t *testing.T) {
	want := Repair{Class: Bulk, Block: 77, N: 256, Closed: true, Number: 65535, Coded: []byte("coded")}
	checkCodec(t, want.Append(nil), want, ParseRepair, true)
	for name, frame := range map[string][]byte{
		"no symbol":  {0, 0, 0, 0, 0, 0, 1, 2},
		"too long":   append([]byte{0, 0, 0, 0, 0, 0}, make([]byte, MaxSymbol+3)...),
		"no number":  {0, 0, 0, 0, 0},
		"truncated":  {0, 0},
		"empty":      {},
		"type alone": {3},
	} {
		r := wire.NewReader(frame)
		if _, err := ParseRepair(&r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

// FuzzRepair: the same for a REPAIR frame.
func FuzzRepair(f *testing.F) {
	s := Repair{Class: Bulk, Block: 9, N: 3, Number: 7, Coded: []byte("symbol")}
	f.Add(s.Append(nil)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		s, err := ParseRepair(&r)
		if err != nil {
			return
		}
		if got := s.Append(nil)[1:]; !bytes.Equal(got, b) {
			t.Errorf("parsed %x\nencoded %x", b, got)
		}
	})
}

func TestEchoCodec(t *testing.T) {
	want := Echo{Largest: 1, Receipts: 2, Oldest: 1<<32 - 1}
	checkCodec(t, want.Append(nil), want, ParseEcho, false)
}

func testReceipt() Receipt {
	return Receipt{
		Number: 1, Largest: 2, Arrival: 3, Hold: 4, Datagrams: 5, KiB: 6, Useless: 7, CE: 8, Window: 9,
		Epochs:    [MaxEpochs]Epoch{{ID: 1, Count: 2, FirstPN: 3, LastPN: 4, FirstTime: 5, LastTime: 6}},
		NumEpochs: 1, Base: 10, First: 11, ToEnd: true,
		States: []byte{0, 3, 5, 2, 0xf0, 0x0f, 255, 0},
	}
}

func TestReceiptCodec(t *testing.T) {
	want := testReceipt()
	checkCodec(t, want.Append(nil), want, ParseReceipt, false)
	for name, change := range map[string]func(*Receipt){
		"states end inside a bitmap": func(c *Receipt) { c.States = []byte{5, 2, 0xf0} },
		"states end inside a run":    func(c *Receipt) { c.States = []byte{0} },
		"bitmap too long":            func(c *Receipt) { c.States = append([]byte{5, 33}, make([]byte, 33)...) },
		"beyond the live blocks":     func(c *Receipt) { c.States = bytes.Repeat([]byte{0, 255}, MaxLiveBlocks/256+1) },
	} {
		c := testReceipt()
		change(&c)
		r := wire.NewReader(c.Append(nil)[1:])
		if _, err := ParseReceipt(&r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
	c := testReceipt()
	c.NumEpochs = MaxEpochs
	frame := c.Append(nil)
	frame[receiptFixedLen-receiptTailLen-1] = MaxEpochs + 1
	r := wire.NewReader(frame[1:])
	if _, err := ParseReceipt(&r); !errors.Is(err, ErrMalformed) {
		t.Errorf("too many epochs: error %v, want ErrMalformed", err)
	}
}

func TestExpand(t *testing.T) { // W-1
	for _, near := range []uint64{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 5<<32 + 7, 1 << 40} {
		for _, d := range []int64{-(1<<31 - 1), -1000, -1, 0, 1, 1000, 1<<31 - 1} {
			if v := int64(near) + d; v >= 0 {
				if got := expand(near, uint32(v), 32); got != uint64(v) {
					t.Errorf("expand(%d, low of %d) = %d", near, v, got)
				}
			}
		}
	}
}

// FuzzReceipt: whatever an authenticated but hostile peer sends as a receipt,
// the parser does not panic, and what it accepts encodes to the same bytes.
func FuzzReceipt(f *testing.F) {
	c := testReceipt()
	f.Add(c.Append(nil)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		c, err := ParseReceipt(&r)
		if err != nil {
			return
		}
		if got := c.Append(nil)[1:]; !bytes.Equal(got, b[:len(b)-r.Len()]) {
			t.Errorf("parsed %x\nencoded %x", b[:len(b)-r.Len()], got)
		}
	})
}

// FuzzSource: the same for a SOURCE frame.
func FuzzSource(f *testing.F) {
	s := Source{Class: Bulk, Block: 9, Index: 3, Last: true, Symbol: []byte("symbol")}
	f.Add(s.Append(nil)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		s, err := ParseSource(&r)
		if err != nil {
			return
		}
		if got := s.Append(nil)[1:]; !bytes.Equal(got, b) {
			t.Errorf("parsed %x\nencoded %x", b, got)
		}
	})
}
