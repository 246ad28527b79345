package config

import (
	"errors"
	"math"
	"strings"
	"testing"
	"unicode"
)

// FuzzDecode: whoever may write the file already controls the interface, so the threat is not an attack but a slip (a
// binary, a log, half a file) and a generator gone wrong. Whatever the bytes, the loader neither panics nor hangs, it gives
// either a Config that keeps its promises or mistakes that are short single lines, and it tells no secret.
func FuzzDecode(f *testing.F) {
	own, b, c := newPair(f), newPair(f), newPair(f)
	keys := strings.NewReplacer("OWN_KEY", own.public, "OWN_PRIVATE", own.private, "B_KEY", b.public, "C_KEY", c.public)
	f.Add([]byte(keys.Replace(full)))
	for _, cases := range [][]mistake{interfaceMistakes, peerMistakes, fileMistakes} {
		for _, tc := range cases {
			text := tc.new
			if tc.old != "" {
				text = strings.Replace(base+second, tc.old, tc.new, 1)
			}
			if len(text) < 4096 {
				f.Add([]byte(keys.Replace(text)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > MaxFileSize {
			return
		}
		d := &decoder{file: "f.toml", dir: "/nowhere", readKey: func(string) (string, error) { return own.private, nil }}
		cfg, err := d.decode(data)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("got %v and %v", cfg, err)
		}
		if err != nil {
			checkMessages(t, err, own.private)
			return
		}
		i := cfg.Interface
		if i.PrivateKey.IsZero() || !ValidInterfaceName(i.Name) || i.MTU < MinMTU || i.MTU > MaxMTU ||
			(i.Bandwidth != 0 && i.Bandwidth < MinBandwidth) || i.Bandwidth > MaxBandwidth || (i.Bandwidth == 0 && i.Rate == RateFixed) ||
			(i.Redundancy != AutoRedundancy && (i.Redundancy < 0 || i.Redundancy > MaxRedundancy || math.IsNaN(float64(i.Redundancy)))) || len(cfg.Peers) == 0 || len(cfg.Peers) > MaxPeers {
			t.Errorf("accepted %+v", cfg)
		}
		for _, p := range cfg.Peers {
			if p.PublicKey.IsZero() || p.PublicKey == i.PrivateKey.Public() || (i.Mode == ModeTUN) != (len(p.AllowedIPs) > 0) {
				t.Errorf("accepted %+v", p)
			}
		}
	})
}

func checkMessages(t *testing.T, err error, secret string) {
	t.Helper()
	mistakes, ok := errors.AsType[Errors](err)
	if !ok || len(mistakes) == 0 || len(mistakes) > maxMistakes+1 {
		t.Fatalf("got %T with %d mistakes", err, len(mistakes))
	}
	for _, m := range mistakes {
		text := m.Error()
		if len(text) > 1024 || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("no short line: %q", text)
		}
		if strings.Contains(text, secret) {
			t.Errorf("tells the key: %q", text)
		}
	}
}
