package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/totg/totg/handshake"
)

// pair is the key pair of a test host.
type pair struct{ private, public string }

func newPair(tb testing.TB) pair {
	tb.Helper()
	k, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return pair{private: k.Base64(), public: k.Public().Base64()}
}

// psk is a preshared key.
var psk = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("p", 32)))

// folder makes a folder with key files and a configuration, and goes there, so that messages name files without their path.
func folder(t *testing.T, toml string, own pair) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "a.key", own.private+"\n", 0o600)
	write(t, "psk", psk+"\n", 0o600)
	write(t, "open.key", own.private, 0o644)
	write(t, "group.key", own.private, 0o640)
	write(t, "bad.key", "hush-hush\n", 0o600)
	write(t, "empty.key", "", 0o600)
	write(t, "huge.key", strings.Repeat("A", maxKeyFileSize+1), 0o600)
	write(t, "totg.toml", toml, 0o600)
}

func write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

const full = `# every key once
[interface]
name = "totg7"
private_key_file = "a.key"
addresses = ["10.77.0.1/24", "fd77::1/64"]
listen = "0.0.0.0:4431"
mtu = 1400
mode = "tun"
bandwidth = "2.5Mbit"
rate = "fixed"
redundancy = 0.25
arq = true
routes = "committed"
rekey = "90s"

[[peer]]
name = "b"
public_key = "B_KEY"
endpoint = "198.51.100.2:4430"
allowed_ips = ["10.77.0.2/32", "fd77::2/128", "0.0.0.0/0"]
preshared_key_file = "psk"
agree = ["switch-*", "backup"]
keepalive = "1m30s"

[[peer]]
public_key = "C_KEY"
allowed_ips = ["10.77.0.3/32"]
`

func TestLoadFull(t *testing.T) {
	own, b, c := newPair(t), newPair(t), newPair(t)
	folder(t, strings.NewReplacer("B_KEY", b.public, "C_KEY", c.public).Replace(full), own)
	got, err := Load("totg.toml")
	if err != nil {
		t.Fatal(err)
	}
	key := func(s string) handshake.PublicKey {
		k, err := handshake.ParsePublicKey(s)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	shared, err := handshake.ParsePresharedKey(psk)
	if err != nil {
		t.Fatal(err)
	}
	private, err := handshake.ParsePrivateKey(own.private)
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Path: "totg.toml",
		Interface: Interface{
			Name: "totg7", Mode: ModeTUN, PrivateKey: private,
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("fd77::1/64")},
			Listen:    netip.MustParseAddrPort("0.0.0.0:4431"), MTU: 1400, Bandwidth: 2_500_000, Rate: RateFixed,
			Redundancy: 0.25, ARQ: true, Routes: RoutesCommitted, Rekey: 90 * time.Second,
		},
		Peers: []Peer{
			{
				Name: "b", PublicKey: key(b.public), Endpoint: "198.51.100.2:4430",
				AllowedIPs: []netip.Prefix{
					netip.MustParsePrefix("10.77.0.2/32"), netip.MustParsePrefix("fd77::2/128"), netip.MustParsePrefix("0.0.0.0/0"),
				},
				PresharedKey: shared, Keepalive: 90 * time.Second, Agree: []string{"switch-*", "backup"},
			},
			{Name: key(c.public).String(), PublicKey: key(c.public), AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.77.0.3/32")}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{})); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

// Every value may be written in any form that TOML has for it, and defaults fill the gaps.
// G-4: the rate is found, and the bandwidth is a ceiling.
func TestLoadForms(t *testing.T) {
	own, b := newPair(t), newPair(t)
	text := fmt.Sprintf("interface = { private_key = %q, addresses = [\r\n'10.77.0.1/24',\r\n], bandwidth = \"50 mbit/s\" }\r\n"+
		"peer = [ { public_key = %q, allowed_ips = [\"10.77.0.2/32\"], preshared_key = %q } ]\r\n", own.private, b.public, psk)
	folder(t, text, own)
	got, err := Load("./totg.toml")
	if err != nil {
		t.Fatal(err)
	}
	i := got.Interface
	if i.Name != DefaultName || i.Mode != ModeTUN || i.MTU != DefaultMTU || i.Bandwidth != 50*Megabit || i.Rate != RateFair ||
		i.Redundancy != AutoRedundancy || i.ARQ || i.Listen != netip.MustParseAddrPort("[::]:4430") {
		t.Errorf("defaults: got %+v", i)
	}
}

func TestLoadTAP(t *testing.T) {
	own, b := newPair(t), newPair(t)
	folder(t, fmt.Sprintf("[interface]\nprivate_key_file = \"a.key\"\nmode = \"tap\"\nbandwidth = \"1Gbit\"\n[[peer]]\npublic_key = %q\n", b.public), own)
	if _, err := Load("totg.toml"); err != nil {
		t.Fatal(err)
	}
}

// A key file is found beside the configuration, not in the working folder.
func TestKeyFileBesideConfig(t *testing.T) {
	own, b, c := newPair(t), newPair(t), newPair(t)
	folder(t, strings.NewReplacer("B_KEY", b.public, "C_KEY", c.public).Replace(full), own)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if _, err := Load(filepath.Join(here, "totg.toml")); err != nil {
		t.Fatal(err)
	}
}

// Hundreds of mistakes are counted, not printed.
func TestManyMistakes(t *testing.T) {
	folder(t, "[interface]\n"+func() string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, "zz%d = 1\n", i)
		}
		return b.String()
	}(), newPair(t))
	_, err := Load("totg.toml")
	mistakes, ok := errors.AsType[Errors](err)
	if !ok || len(mistakes) != maxMistakes+1 {
		t.Fatalf("got %d mistakes, want %d", len(mistakes), maxMistakes+1)
	}
	if got, want := mistakes[maxMistakes].Error(), "totg.toml: and 71 more mistakes"; got != want {
		t.Errorf("last: got %q, want %q", got, want)
	}
	if _, ok := errors.AsType[*Mistake](err); !ok {
		t.Error("errors.As finds no *Mistake")
	}
}

// The largest sensible file is read, and one a little larger is refused, both quickly enough for a test.
func TestLoadLarge(t *testing.T) {
	own := newPair(t)
	var b strings.Builder
	b.WriteString("[interface]\nprivate_key_file = \"a.key\"\naddresses = [\"10.0.0.1/8\"]\nbandwidth = \"1Gbit\"\n")
	for i := range MaxPeers {
		fmt.Fprintf(&b, "[[peer]]\nname = \"p%d\"\npublic_key = %q\nendpoint = \"192.0.2.1:4430\"\nallowed_ips = [\"10.1.%d.%d/32\"]\npreshared_key = %q\nkeepalive = \"15s\"\n",
			i, newPair(t).public, i>>8, i&255, psk)
	}
	folder(t, b.String(), own)
	cfg, err := Load("totg.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Peers) != MaxPeers {
		t.Errorf("got %d peers, want %d", len(cfg.Peers), MaxPeers)
	}
	fmt.Fprintf(&b, "[[peer]]\npublic_key = %q\nallowed_ips = [\"10.2.0.1/32\"]\n", newPair(t).public)
	write(t, "totg.toml", b.String(), 0o600)
	_, err = Load("totg.toml")
	if want := "totg.toml:7173: peer: there are 1025 peers; at most 1024 are possible"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"50Mbit": 50 * Megabit, "50mbit/s": 50 * Megabit, " 2.5 Gbit ": 2500 * Megabit, "512kbit": 512 * Kilobit, "0.1Gbit": 100 * Megabit,
		"1234567bit": 1234567,
	} {
		got, err := ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", text, got, err, want)
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", got.String(), again, err, got)
		}
	}
	for _, text := range []string{"", "Mbit", "-1Mbit", "1e3Mbit", "NaNMbit", "0x1Mbit", "1..2Mbit", "50", "50M", "50MiB", "99999999999999Gbit"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzRate(f *testing.F) {
	f.Add("50Mbit")
	f.Add("1.00000001kbit")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseRate(text)
		if err != nil || got > MaxBandwidth {
			return
		}
		if again, err := ParseRate(got.String()); err != nil || again != got {
			t.Errorf("%q gives %d, its text %q gives %d, %v", text, got, got.String(), again, err)
		}
	})
}
