package lab

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// captured is one packet of a pcapng file.
type captured struct {
	end  uint32
	at   int64
	data string
}

// readCapture reads a pcapng file strictly: each block's length stands at its end
// too.
func readCapture(t *testing.T, path string) (all []captured) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	kinds := map[uint32]int{}
	for len(b) > 0 {
		if len(b) < 12 {
			t.Fatalf("%d bytes are left", len(b))
		}
		kind, size := le.Uint32(b), le.Uint32(b[4:])
		if size%4 != 0 || int(size) > len(b) || le.Uint32(b[size-4:]) != size {
			t.Fatalf("block of kind %#x and %d bytes, of %d", kind, size, len(b))
		}
		if kinds[kind]++; kind == 6 {
			n := le.Uint32(b[20:])
			all = append(all, captured{le.Uint32(b[8:]), int64(le.Uint32(b[12:]))<<32 | int64(le.Uint32(b[16:])), string(b[28+14 : 28+n])})
		}
		b = b[size:]
	}
	if kinds[0x0a0d0d0a] != 1 || kinds[1] != 2 {
		t.Errorf("blocks by kind: %v", kinds)
	}
	return all
}

// Both directions come out in one order of time, whatever they hand over when.
func TestCaptureMerges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcapng")
	c, err := newCapture(path)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(1_700_000_000, 0)
	const n = 3000
	for i := range n {
		now := start.Add(time.Duration(i) * time.Millisecond)
		way := 0
		if i%7 == 0 || i > 2000 { // one is silent in the end
			way = 1
		}
		c.tapes[way].add(uint32(way), now, bytes.Repeat([]byte{byte(i)}, i%1501))
		if i%100 == 0 {
			c.tapes[1-way].flush(now)
		}
	}
	if missing, err := c.close(); err != nil || missing != 0 {
		t.Fatalf("%d missing, %v", missing, err)
	}
	all := readCapture(t, path)
	if len(all) != n {
		t.Fatalf("%d packets, want %d", len(all), n)
	}
	for i, p := range all {
		if want := start.Add(time.Duration(i) * time.Millisecond).UnixNano(); p.at != want || p.data != strings.Repeat(string([]byte{byte(i)}), i%1501) {
			t.Fatalf("packet %d: at %d, %d bytes; want %d", i, p.at, len(p.data), want)
		}
	}
	var none *tape
	none.add(0, start, []byte{1})
	none.flush(start)
	if _, err := newCapture(filepath.Join(path, "no")); err == nil {
		t.Error("a capture in a file that is no folder")
	}
}

// A run records what each host sent and got; every packet that B got had left A.
func TestLabCaptures(t *testing.T) {
	dir := t.TempDir()
	pcap, report := filepath.Join(dir, "x.pcapng"), filepath.Join(dir, "x.json")
	o := job{
		Settings: map[string]string{"rate": "10mbit", "rtt": "20ms", "loss": "30"}, Quiet: true, Pcap: pcap, Report: report,
		Command: []string{"/bin/sh", "-c", "ping -q -c 20 -i 0.02 -W 1 10.99.0.2; true"},
	}.run(t)
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	var reports []Report
	b, err := os.ReadFile(report)
	if err != nil || json.Unmarshal(b, &reports) != nil || len(reports) != 1 {
		t.Fatalf("%v in %s", err, b)
	}
	r := reports[0]
	if r.Peer != "direct" || r.ExitCode != 0 || r.Up.Sent == 0 || r.Up.Sent != r.Up.Delivered+r.Up.Lost {
		t.Errorf("%+v", r)
	}
	seen, last := map[uint32]uint64{}, int64(0)
	sent := map[string]bool{}
	for _, p := range readCapture(t, pcap) {
		if p.at < last {
			t.Fatal("the times are not in order")
		}
		last = p.at
		seen[p.end]++
		toB := p.data[16:20] == "\x0a\x63\x00\x02"
		if toB && p.end == 0 {
			sent[p.data] = true
		}
		if toB && p.end == 1 && !sent[p.data] {
			t.Error("host B got a packet that A had not sent")
		}
	}
	if got := seen[0] + seen[1]; got != r.Up.Sent+r.Up.Delivered+r.Down.Sent+r.Down.Delivered {
		t.Errorf("%d packets in the capture, %+v", got, r)
	}
}
