package config

import (
	"fmt"
	"math"
	"testing"
)

// redundancy is "auto" or a number, whole or not, in every form that TOML has.
func TestLoadRedundancy(t *testing.T) {
	own, b := newPair(t), newPair(t)
	for value, want := range map[string]Redundancy{
		`"auto"`: AutoRedundancy, `'auto'`: AutoRedundancy, "0": 0, "0.0": 0, "-0.0": 0, "1": 1, "0.05": 0.05, "5e-2": 0.05, "100": 100, "100.0": 100, "0x10": 16,
	} {
		folder(t, fmt.Sprintf("[interface]\nprivate_key_file = \"a.key\"\naddresses = [\"10.77.0.1/24\"]\nbandwidth = \"1Gbit\"\nredundancy = %s\narq = false\n"+
			"[[peer]]\npublic_key = %q\nallowed_ips = [\"10.77.0.2/32\"]\n", value, b.public), own)
		got, err := Load("totg.toml")
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		if r := got.Interface.Redundancy; r != want || math.Signbit(float64(r)) != math.Signbit(float64(want)) || got.Interface.ARQ {
			t.Errorf("%s: got %v (ARQ %v), want %v", value, r, got.Interface.ARQ, want)
		}
	}
}

func TestRedundancy(t *testing.T) {
	for text, want := range map[string]string{
		"auto": "auto", "0": "0", "-0": "0", "0.50": "0.5", "100": "100", "1e-9": "1e-09",
	} {
		got, err := ParseRedundancy(text)
		if err != nil || got.String() != want {
			t.Errorf("ParseRedundancy(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": `"" is no redundancy`, "some": `"some" is no redundancy`, "NaN": `"NaN" is no redundancy`, "10%": `"10%" is no redundancy`,
		"-1": `"-1" is out of range`, "101": `"101" is out of range`, "Inf": `"Inf" is out of range`, "1e999": `"1e999" is out of range`,
	} {
		want += `: write "auto" or a number from 0 to 100`
		if got, err := ParseRedundancy(text); err == nil || err.Error() != want {
			t.Errorf("ParseRedundancy(%q) = %v, %v, want %s", text, got, err, want)
		}
	}
}

// FuzzRedundancy: the text comes from the user. What is accepted is in range and has a text that means the same.
func FuzzRedundancy(f *testing.F) {
	f.Add("auto")
	f.Add("0.25")
	f.Add("-1e999")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseRedundancy(text)
		if err != nil {
			return
		}
		if again, err := ParseRedundancy(got.String()); err != nil || again != got || got != AutoRedundancy && !(got >= 0 && got <= MaxRedundancy) {
			t.Errorf("%q gives %v, again %v, %v", text, got, again, err)
		}
	})
}
