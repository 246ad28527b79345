package handshake

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/internal/wire"
)

var cmpPayload = cmp.AllowUnexported(payload{})

// TestPayloadRoundTrip: what is appended parses to the same, and every cut of
// it to nothing (H-3).
func TestPayloadRoundTrip(t *testing.T) {
	for _, p := range []payload{
		{ladder: []byte{}},
		{index: 1<<32 - 1, timestamp: NewTimestamp(testTime()), params: Params{AES: true}, ladder: []byte{1, 0}},
		{index: 5, timestamp: Timestamp{11: 1}, ladder: bytes.Repeat([]byte{0}, MaxLadder)},
	} {
		b := p.appendInit(nil)
		if got, err := parseInitPayload(b); err != nil || !cmp.Equal(p, got, cmpPayload) {
			t.Errorf("INIT: %v\n%s", err, cmp.Diff(p, got, cmpPayload))
		}
		whole := initFixed + paramsLen + 2 + len(p.ladder)
		for n := range whole { // beyond it there is padding
			if got, err := parseInitPayload(b[:n]); !errors.Is(err, ErrPayload) || !cmp.Equal(got, payload{}, cmpPayload) {
				t.Errorf("INIT cut to %d of %d: %v", n, whole, err)
			}
		}
		if n := initOverhead + len(b); n < MinInit || n > MaxInit {
			t.Errorf("INIT of %d bytes", n)
		}
		p.timestamp = Timestamp{}
		b = p.appendResp(nil)
		if got, err := parseRespPayload(b); err != nil || !cmp.Equal(p, got, cmpPayload) {
			t.Errorf("RESP: %v\n%s", err, cmp.Diff(p, got, cmpPayload))
		}
		for n := range b {
			if got, err := parseRespPayload(b[:n]); !errors.Is(err, ErrPayload) || !cmp.Equal(got, payload{}, cmpPayload) {
				t.Errorf("RESP cut to %d: %v", n, err)
			}
		}
		if _, err := parseRespPayload(append(b, 0)); !errors.Is(err, ErrPayload) {
			t.Errorf("RESP with a trailing byte: %v", err)
		}
	}
}

// TestPayloadStrict: a ladder above its limit and padding that is not zero are
// refused (H-3).
func TestPayloadStrict(t *testing.T) {
	p := payload{ladder: make([]byte, MaxLadder+1)}
	if _, err := parseInitPayload(p.appendInit(nil)); !errors.Is(err, ErrPayload) {
		t.Errorf("INIT with a long ladder: %v", err)
	}
	if _, err := parseRespPayload(p.appendResp(nil)); !errors.Is(err, ErrPayload) {
		t.Errorf("RESP with a long ladder: %v", err)
	}
	p.ladder = nil
	b := p.appendInit(nil)
	for i := initFixed + paramsLen + 2; i < len(b); i++ {
		c := slices.Clone(b)
		c[i] = 1
		if _, err := parseInitPayload(c); !errors.Is(err, ErrPayload) {
			t.Errorf("padding byte %d: %v", i, err)
		}
	}
}

// TestParams: what later versions may send is ignored, and what is wrong is
// refused (H-3, W-2).
func TestParams(t *testing.T) {
	for _, c := range []struct {
		name string
		list string
		want Params
		ok   bool
	}{
		{"none", "0000", Params{}, true},
		{"no AES", "0003010100", Params{}, true},
		{"AES", "0003010101", Params{AES: true}, true},
		{"AES and unknown bits", "00030101ff", Params{AES: true}, true},
		{"unknown bits", "00030101fe", Params{}, true},
		{"unknown before and after", "000a000201020101010200", Params{AES: true}, false}, // 9 bytes said to be 10
		{"unknown around", "00090002aabb0101010200", Params{AES: true}, true},
		{"unknown of 253 bytes", "00fffffd" + string(bytes.Repeat([]byte("00"), 253)), Params{}, true},
		{"all that fits", "0100fffe" + string(bytes.Repeat([]byte("00"), 254)), Params{}, true},
		{"more than fits", "0101" + "000101" + "fffc" + string(bytes.Repeat([]byte("00"), 252)), Params{}, false},
		{"value of 0", "00020100", Params{}, false},
		{"value of 2", "000401020100", Params{}, false},
		{"twice", "0006010101010101", Params{}, false},
		{"unknown twice", "000405000500", Params{}, false},
		{"out of order", "000505000101" + "01", Params{}, false},
		{"id alone", "000101", Params{}, false},
		{"value cut", "00020101", Params{}, false},
		{"list cut", "00030101", Params{}, false},
		{"length cut", "00", Params{}, false},
	} {
		r := wire.NewReader(fromHex(t, c.list))
		got, err := parseParams(&r)
		if ok := err == nil; ok != c.ok || ok && (got != c.want || r.Len() != 0) {
			t.Errorf("%s: %+v, %v, %d bytes left", c.name, got, err, r.Len())
		}
	}
}
