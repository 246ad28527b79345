package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/totg/totg/tunnel/control"
)

func TestUnits(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{span(-time.Second), "0 s"},
		{span(0), "0 s"},
		{span(59 * time.Second), "59 s"},
		{span(60 * time.Second), "1 min"},
		{span(61 * time.Second), "1 min 1 s"},
		{span(3*time.Hour + 12*time.Minute + 5*time.Second), "3 h 12 min"},
		{span(24*time.Hour + time.Minute), "1 d"},
		{span(50 * time.Hour), "2 d 2 h"},
		{milliseconds(41234 * time.Microsecond), "41.2 ms"},
		{milliseconds(123 * time.Microsecond), "0.123 ms"},
		{milliseconds(612 * time.Millisecond), "612 ms"},
		{percent(0.201), "20.1 %"},
		{percent(1), "100.0 %"},
		{byteCount(0), "0 B"},
		{byteCount(999), "999 B"},
		{byteCount(1000), "1.00 kB"},
		{byteCount(999_499), "999 kB"},
		{byteCount(999_999), "1.00 MB"},
		{byteCount(12_345_678), "12.3 MB"},
		{byteCount(1<<64 - 1), "18.4 EB"},
		{bitRate(50_000_000), "50 Mbit/s"},
		{bitRate(2_500_000), "2.5 Mbit/s"},
		{bitRate(0), "0 bit/s"},
		{dropList(map[string]uint64{"b_c": 1, "a": 2, "z": 0}), "a 2, b c 1"},
		{printable("a\x1b[31m\nb"), "a[31mb"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestStatusTable(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	st := control.Status{
		Interface: "totg0", Mode: "tun", MTU: 1500, PublicKey: "9Q0mNrYz0kGx0g8d3b6XxV0q1c2mJ4u5w6y7z8A9B0E=", Listen: "[::]:4430",
		RateMode: "fair", RateBits: 50_000_000, Uptime: 3*time.Hour + 12*time.Minute, Drops: map[string]uint64{"wrong_mac": 12, "no_peer": 0},
		Peers: []control.PeerStatus{
			{
				Name: "office", State: control.StateUp, Endpoint: "198.51.100.2:4430", LastHandshake: now.Add(-72 * time.Second),
				TxBytes: 1_234_567_890, RxBytes: 45_678_901, TxDatagrams: 1_100_000, Resent: 220_000, Loss: 0.201, RTT: 41234 * time.Microsecond,
				QueueBytes: 64_000, DatagramSize: 1400, Drops: map[string]uint64{"replay": 3, "queue_full": 1},
			},
			{Name: "Umlaut-ä", State: control.StateConnecting},
		},
	}
	golden(t, filepath.Join("testdata", "status.txt"), statusTable(st, now)+"\n")
}
