package tun

import (
	"bytes"
	"errors"
	"testing"
)

// TestUnitR1 checks the unit encoding of requirement R-1.
func TestUnitR1(t *testing.T) {
	h, p := superPacket{payload: 3000, size: 1000, flags: 0x10}.build()
	super := append(append([]byte{flagVirtio}, h.bytes()...), p...)
	edited := func(at int, v byte) []byte {
		b := bytes.Clone(super)
		b[at] = v
		return b
	}
	zero := make([]byte, 1+virtioLen+20)
	zero[0] = flagVirtio
	tests := []struct {
		name string
		unit []byte
		tap  bool
		ok   bool
	}{
		{"plain", []byte{0, 0x45}, false, true},
		{"frame", []byte{flagEthernet, 1}, true, true},
		{"super-packet", super, false, true},
		{"super-packet with the ECN bit", edited(2, gsoTCPv4|gsoECN), false, true},
		{"zero header", zero, false, true},
		{"largest", make([]byte, 1+maxPacket), false, true},

		{"empty", nil, false, false},
		{"flags only", []byte{0}, false, false},
		{"unknown flag", []byte{4, 0x45}, false, false},
		{"packet for TAP", []byte{0, 0x45}, true, false},
		{"frame for TUN", []byte{flagEthernet, 1}, false, false},
		{"frame with header", append([]byte{flagEthernet | flagVirtio}, super[1:]...), true, false},
		{"too large", make([]byte, 2+maxPacket), false, false},
		{"cut header", super[:virtioLen], false, false},
		{"header without packet", super[:1+virtioLen], false, false},
		{"unknown header flag", edited(1, 0x81), false, false},
		{"GSO without checksum", edited(1, 0), false, false},
		{"UDP fragmentation", edited(2, 3), false, false},
		{"unknown GSO", edited(2, 77), false, false},
		{"GSO of size 0", func() []byte { b := edited(5, 0); b[6] = 0; return b }(), false, false},
		{"checksum in the IP header", edited(7, 19), false, false},
		{"checksum beyond the end", edited(8, 255), false, false},
		{"offset beyond the end", edited(10, 255), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseUnit(tt.unit, tt.tap)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrUnit) {
				t.Errorf("parseUnit = %v", err)
			}
		})
	}
}

func TestHeaderPlain(t *testing.T) {
	for _, tt := range []struct {
		h    header
		want bool
	}{
		{header{}, true},
		{header{flags: dataValid}, true},
		{header{flags: needsChecksum}, false},
		{header{gso: gsoTCPv4}, false},
	} {
		if got := tt.h.plain(); got != tt.want {
			t.Errorf("%+v plain = %v, want %v", tt.h, got, tt.want)
		}
	}
}
