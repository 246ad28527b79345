package reliability

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/wire"
	"github.com/totg/totg/reliability/rlc"
)

// checkCodec checks that a frame survives a round trip and that every
// truncation of it is either refused or, for a frame that reaches to the
// datagram's end, shorter.
func checkCodec[T any](t *testing.T, frame []byte, want T, parse func(uint8, *wire.Reader) (T, error), open bool) {
	t.Helper()
	r := wire.NewReader(frame[1:])
	got, err := parse(frame[0], &r)
	if err != nil || r.Done() != nil {
		t.Fatalf("parse of %x: %v, %v", frame, err, r.Done())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
	for n := range len(frame) - 1 {
		r := wire.NewReader(frame[1 : 1+n])
		if _, err := parse(frame[0], &r); err == nil && !open {
			t.Errorf("truncated to %d of %d bytes, still parsed", n, len(frame)-1)
		} else if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("truncated to %d bytes: error %v, want ErrMalformed", n, err)
		}
	}
}

// bare is the parser of a frame whose first byte is its type and nothing else.
func bare[T any](parse func(*wire.Reader) (T, error)) func(uint8, *wire.Reader) (T, error) {
	return func(_ uint8, r *wire.Reader) (T, error) { return parse(r) }
}

// TestTypeOf: the first byte of SOURCE and REPAIR tells more than the type (W-3).
func TestTypeOf(t *testing.T) {
	for first := range 256 {
		want := uint8(first)
		switch {
		case first >= 0xc0:
			want = FrameRepair
		case first >= 0x80:
			want = FrameSource
		}
		if got := TypeOf(uint8(first)); got != want {
			t.Errorf("%#x is of type %#x, want %#x", first, got, want)
		}
	}
}

// TestSymbolVectors: frames as docs/protocol.md draws them.
func TestSymbolVectors(t *testing.T) {
	for _, c := range []struct {
		frame interface{ Append([]byte) []byte }
		want  string
	}{
		{&Source{Class: Control, Block: 0, Index: 0, Symbol: []byte("s")}, "80000000" + "73"},
		{&Source{Class: Interactive, Block: 0x12345, Index: 7, Symbol: []byte("s")}, "91234507" + "73"},
		{&Source{Class: Deadline, Block: 0x7ffff, Index: 255, Last: true, Symbol: []byte("s")}, "afffffff" + "73"},
		{&Source{Class: Bulk, Block: 0xfff80001, Index: 1, Symbol: []byte("s")}, "b0000101" + "73"},
		{&Repair{Class: Control, Block: 0, N: 1, Coded: []byte("cc")}, "c0000000" + "6363"},
		{&Repair{Class: Bulk, Block: 0x40203, N: 256, Closed: true, Coded: []byte("cc")}, "fc0203ff" + "6363"},
	} {
		if got := hex.EncodeToString(c.frame.Append(nil)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.frame, got, c.want)
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
		"no symbol":       {0, 0, 0},
		"no index":        {0, 0},
		"empty":           {},
		"symbol too long": append([]byte{0, 0, 0}, make([]byte, MaxSymbol+1)...),
	} {
		r := wire.NewReader(frame)
		if _, err := ParseSource(FrameSource, &r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestRepairCodec(t *testing.T) {
	want := Repair{Class: Bulk, Block: 77, N: 256, Closed: true, Coded: []byte("coded")}
	checkCodec(t, want.Append(nil), want, ParseRepair, true)
	want = Repair{Class: Control, Block: blockMask, N: 1, Coded: bytes.Repeat([]byte{7}, MaxSymbol+rlc.MarkerLen)}
	checkCodec(t, want.Append(nil), want, ParseRepair, true)
	for name, frame := range map[string][]byte{
		"no symbol":    {0, 0, 0, 1},
		"no coded":     {0, 0, 0},
		"too long":     append([]byte{0, 0, 0}, make([]byte, MaxSymbol+rlc.MarkerLen+1)...),
		"no N":         {0, 0},
		"half a block": {0},
		"empty":        {},
	} {
		r := wire.NewReader(frame)
		if _, err := ParseRepair(FrameRepair, &r); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

// FuzzRepair: the same for a REPAIR frame.
func FuzzRepair(f *testing.F) {
	s := Repair{Class: Bulk, Block: 9, N: 3, Coded: []byte("symbol")}
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || TypeOf(b[0]) != FrameRepair {
			return
		}
		r := wire.NewReader(b[1:])
		s, err := ParseRepair(b[0], &r)
		if err != nil {
			return
		}
		if got := s.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("parsed %x\nencoded %x", b, got)
		}
	})
}

func TestEchoCodec(t *testing.T) {
	want := Echo{Largest: 1, Receipts: 2, Oldest: 1<<32 - 1}
	checkCodec(t, want.Append(nil), want, bare(ParseEcho), false)
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
	checkCodec(t, want.Append(nil), want, bare(ParseReceipt), false)
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

// TestBlockIDs: a receiver knows a block by the bits of its id that travel, around
// every wrap: the newest, one ahead, and one behind.
func TestBlockIDs(t *testing.T) {
	const span = 1 << BlockBits
	for _, near := range []uint64{span / 2, span - 1, span, span + 1, 3*span - 2, 3*span + MaxLiveBlocks, 1<<32 - 1, 1 << 32} {
		for _, d := range []int64{1 - span/2, 1 - MaxLiveBlocks, -1, 0, 1, MaxLiveBlocks, span/2 - 1} {
			if got := expand(near, uint32(int64(near)+d)&blockMask, BlockBits); int64(got) != int64(near)+d {
				t.Errorf("block %d from %d: %d", int64(near)+d, near, got)
			}
		}
		rx := NewReceiver(time.Unix(0, 0), ReceiverConfig{Rate: 1e6})
		rx.base, rx.next = near, near
		for _, id := range []uint64{near + 1, near, near + MaxLiveBlocks - 1} {
			f := Source{Class: Bulk, Block: uint32(id), Symbol: []byte{1}}
			r := wire.NewReader(f.Append(nil)[1:])
			s, err := ParseSource(f.Append(nil)[0], &r)
			if err != nil {
				t.Fatal(err)
			}
			if fresh, err := rx.HandleSource(&s); !fresh || err != nil || rx.blocks[id%MaxLiveBlocks].n != 1 {
				t.Errorf("block %d after %d: new %v, %v", id, near, fresh, err)
			}
		}
		for id, want := range map[uint64]error{near - 1: nil, near + MaxLiveBlocks: ErrWindow} {
			s := Source{Class: Bulk, Block: uint32(id) & blockMask, Symbol: []byte{1}}
			if fresh, err := rx.HandleSource(&s); fresh || !errors.Is(err, want) {
				t.Errorf("block %d after %d: new %v, %v, want %v", id, near, fresh, err, want)
			}
		}
	}
}

// TestMalformedMarker: a repair that solves to something without an end marker is no
// symbol, and no panic.
func TestMalformedMarker(t *testing.T) {
	for name, coded := range map[string][]byte{
		"zeros": make([]byte, 10), "longest, zeros": make([]byte, MaxSymbol+rlc.MarkerLen), "another end": {9, 0},
	} {
		rx := NewReceiver(time.Unix(0, 0), ReceiverConfig{Rate: 1e6})
		first := Source{Class: Bulk, Index: 0, Symbol: []byte{1}}
		if fresh, err := rx.HandleSource(&first); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
		if err := rx.HandleRepair(&Repair{Class: Bulk, N: 2, Coded: coded}, 77); err != nil {
			t.Fatal(err)
		}
		if symbol, err := rx.NextRecovered(); symbol != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %x, %v, want ErrMalformed", name, symbol, err)
		}
		if symbol, err := rx.NextRecovered(); symbol != nil || err != nil {
			t.Errorf("%s, again: %x, %v", name, symbol, err)
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
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || TypeOf(b[0]) != FrameSource {
			return
		}
		r := wire.NewReader(b[1:])
		s, err := ParseSource(b[0], &r)
		if err != nil {
			return
		}
		if got := s.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("parsed %x\nencoded %x", b, got)
		}
	})
}
