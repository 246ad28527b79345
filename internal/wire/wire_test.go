package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReaderFields(t *testing.T) {
	b := []byte{
		0x01,
		0x02, 0x03,
		0x04, 0x05, 0x06, 0x07,
		0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
		0x25,
		'a', 'b',
		'c', 'd', 'e',
	}
	r := NewReader(b)
	if got := r.U8(); got != 0x01 {
		t.Errorf("U8 = %#x", got)
	}
	if got := r.U16(); got != 0x0203 {
		t.Errorf("U16 = %#x", got)
	}
	if got := r.U32(); got != 0x04050607 {
		t.Errorf("U32 = %#x", got)
	}
	if got := r.U64(); got != 0x08090a0b0c0d0e0f {
		t.Errorf("U64 = %#x", got)
	}
	if got := r.Varint(); got != 0x25 {
		t.Errorf("Varint = %#x", got)
	}
	if got := r.Bytes(2); string(got) != "ab" {
		t.Errorf("Bytes = %q", got)
	}
	if got := r.Len(); got != 3 {
		t.Errorf("Len = %d, want 3", got)
	}
	if err := r.Done(); !errors.Is(err, ErrTrailing) {
		t.Errorf("Done before the end = %v, want ErrTrailing", err)
	}
	if got := r.Rest(); string(got) != "cde" {
		t.Errorf("Rest = %q", got)
	}
	if err := r.Done(); err != nil {
		t.Errorf("Done at the end = %v", err)
	}
}

// TestReaderSticky checks the promise that parsers rely on: one failure, and
// nothing that is read afterwards can look like data.
func TestReaderSticky(t *testing.T) {
	fail := map[string]func(*Reader){
		"u16":      func(r *Reader) { r.U16() },
		"u32":      func(r *Reader) { r.U32() },
		"u64":      func(r *Reader) { r.U64() },
		"varint":   func(r *Reader) { r.Varint() },
		"bytes":    func(r *Reader) { r.Bytes(2) },
		"negative": func(r *Reader) { r.Bytes(-1) },
	}
	for name, f := range fail {
		t.Run(name, func(t *testing.T) {
			r := NewReader([]byte{0x40})
			f(&r)
			if !errors.Is(r.Err(), ErrTruncated) || !errors.Is(r.Done(), ErrTruncated) {
				t.Fatalf("Err = %v, Done = %v, want ErrTruncated", r.Err(), r.Done())
			}
			if v := uint64(r.U8()) | uint64(r.U16()) | uint64(r.U32()) | r.U64() | r.Varint(); v != 0 {
				t.Errorf("a value was read after the failure: %#x", v)
			}
			if p := r.Rest(); len(p) != 0 {
				t.Errorf("bytes were read after the failure: %x", p)
			}
			if r.Len() != 0 {
				t.Errorf("Len = %d after the failure", r.Len())
			}
			if !errors.Is(r.Err(), ErrTruncated) {
				t.Errorf("Err = %v after more reads", r.Err())
			}
		})
	}
}

func TestReaderEmpty(t *testing.T) {
	var r Reader
	if r.Len() != 0 || r.Err() != nil || r.Done() != nil {
		t.Errorf("zero Reader: Len %d, Err %v, Done %v", r.Len(), r.Err(), r.Done())
	}
	if p := r.Bytes(0); len(p) != 0 || r.Err() != nil {
		t.Errorf("Bytes(0) = %x, %v", p, r.Err())
	}
	if v := r.Varint(); v != 0 || !errors.Is(r.Err(), ErrTruncated) {
		t.Errorf("Varint of nothing = %d, %v", v, r.Err())
	}
}

// TestBytesCapped checks that appending to a slice that the Reader gave cannot
// overwrite what follows it in the datagram.
func TestBytesCapped(t *testing.T) {
	b := []byte("abcd")
	r := NewReader(b)
	_ = append(r.Bytes(2), 'X')
	if string(b) != "abcd" {
		t.Errorf("append reached the rest: %q", b)
	}
}

// TestVarint uses the examples of RFC 9000, appendix A.1, and both sides of
// every change of length.
func TestVarint(t *testing.T) {
	tests := []struct {
		v    uint64
		wire []byte
	}{
		{0, []byte{0}},
		{37, []byte{0x25}},
		{63, []byte{0x3f}},
		{64, []byte{0x40, 0x40}},
		{15293, []byte{0x7b, 0xbd}},
		{1<<14 - 1, []byte{0x7f, 0xff}},
		{1 << 14, []byte{0x80, 0, 0x40, 0}},
		{494878333, []byte{0x9d, 0x7f, 0x3e, 0x7d}},
		{1<<30 - 1, []byte{0xbf, 0xff, 0xff, 0xff}},
		{1 << 30, []byte{0xc0, 0, 0, 0, 0x40, 0, 0, 0}},
		{151288809941952652, []byte{0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}},
		{MaxVarint, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	}
	for _, tt := range tests {
		got := AppendVarint([]byte{0xee}, tt.v)
		if diff := cmp.Diff(append([]byte{0xee}, tt.wire...), got); diff != "" {
			t.Errorf("AppendVarint(%d) (-want +got):\n%s", tt.v, diff)
		}
		r := NewReader(tt.wire)
		if v := r.Varint(); v != tt.v || r.Done() != nil {
			t.Errorf("Varint(%x) = %d, %v, want %d", tt.wire, v, r.Done(), tt.v)
		}
		for n := range tt.wire {
			r := NewReader(tt.wire[:n])
			if v := r.Varint(); v != 0 || !errors.Is(r.Err(), ErrTruncated) {
				t.Errorf("Varint(%x) = %d, %v, want 0 and ErrTruncated", tt.wire[:n], v, r.Err())
			}
		}
	}
}

func TestVarintLongForm(t *testing.T) {
	r := NewReader([]byte{0x40, 0x25})
	if v := r.Varint(); v != 37 || r.Done() != nil {
		t.Errorf("a longer form than needed = %d, %v, want 37", v, r.Done())
	}
}

func TestAppendVarintTooLarge(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic above MaxVarint")
		}
	}()
	AppendVarint(nil, MaxVarint+1)
}

// TestTypes pins the first bytes of W-1: they tell datagrams apart before
// anything is authenticated, so they must never change within a version.
func TestTypes(t *testing.T) {
	got := []byte{TypeData, TypeInit, TypeResp, TypeCookie}
	if diff := cmp.Diff([]byte{0x10, 0x11, 0x12, 0x13}, got); diff != "" {
		t.Errorf("datagram types (-want +got):\n%s", diff)
	}
}

func TestNoAllocations(t *testing.T) {
	b := AppendVarint(make([]byte, 0, 64), 1<<40)
	b = append(b, make([]byte, 15)...)
	dst := make([]byte, 0, 8)
	n := testing.AllocsPerRun(100, func() {
		r := NewReader(b)
		dst = AppendVarint(dst[:0], r.Varint())
		r.U8()
		r.U16()
		r.U32()
		r.Bytes(8)
		if r.Done() != nil {
			t.Error(r.Done())
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

// FuzzReader drives the Reader by a script of operations and compares it with
// an obvious model: a position in the slice and a flag. Threat: every length
// and every field of an unauthenticated datagram is chosen by a stranger; no
// input may panic, read beyond the end, or yield data after a failure (W-3).
func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4}, []byte("0123456789abcdef"))
	f.Add([]byte{4, 4, 4}, []byte{0xc0, 1, 2})
	f.Add([]byte{5, 0x85, 6}, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, script, b []byte) {
		r := NewReader(b)
		pos, failed := 0, false
		take := func(n int) []byte {
			if failed || n < 0 || n > len(b)-pos {
				failed, pos = true, len(b)
				return nil
			}
			pos += n
			return b[pos-n : pos]
		}
		number := func(n int) (v uint64) {
			for _, c := range take(n) {
				v = v<<8 | uint64(c)
			}
			return v
		}
		for i, op := range script {
			var got, want uint64
			switch op % 7 {
			case 0:
				got, want = uint64(r.U8()), number(1)
			case 1:
				got, want = uint64(r.U16()), number(2)
			case 2:
				got, want = uint64(r.U32()), number(4)
			case 3:
				got, want = r.U64(), number(8)
			case 4:
				n := 1
				if pos < len(b) {
					n = 1 << (b[pos] >> 6)
				}
				got, want = r.Varint(), number(n)&(1<<(8*n-2)-1)
			case 5:
				n := int(int8(op))
				if g, w := r.Bytes(n), take(n); !bytes.Equal(g, w) {
					t.Fatalf("step %d: Bytes(%d) = %x, want %x", i, n, g, w)
				}
			case 6:
				if g, w := r.Rest(), take(len(b)-pos); !bytes.Equal(g, w) {
					t.Fatalf("step %d: Rest = %x, want %x", i, g, w)
				}
			}
			if got != want {
				t.Fatalf("step %d: operation %d = %#x, want %#x", i, op%7, got, want)
			}
			if (r.Err() != nil) != failed || r.Len() != len(b)-pos {
				t.Fatalf("step %d: Err %v, Len %d; model: failed %v, %d left", i, r.Err(), r.Len(), failed, len(b)-pos)
			}
		}
	})
}

// FuzzVarint checks that what was parsed is encoded to the same value in no
// more bytes, and that the encoding is a fixed point. Threat: as FuzzReader.
func FuzzVarint(f *testing.F) {
	f.Add([]byte{0x25})
	f.Add([]byte{0x40, 0x25})
	f.Add(binary.BigEndian.AppendUint64(nil, 0xffffffffffffffff))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		v := r.Varint()
		if r.Err() != nil {
			return
		}
		used := len(b) - r.Len()
		enc := AppendVarint(nil, v)
		if len(enc) > used {
			t.Fatalf("%d takes %d bytes, was read from %d", v, len(enc), used)
		}
		r = NewReader(enc)
		if again := r.Varint(); again != v || r.Done() != nil {
			t.Fatalf("%d came back as %d, %v", v, again, r.Done())
		}
	})
}
