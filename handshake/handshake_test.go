package handshake

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

const (
	indexA = 0xA1A2A3A4
	indexB = 0xB1B2B3B4
)

func testTime() time.Time { return time.Date(2026, 5, 17, 12, 0, 0, 123456789, time.UTC) }

// pair is an initiator and a responder that know each other.
type pair struct {
	tb       testing.TB
	now      time.Time
	init     InitConfig
	identity Identity
	resp     RespondConfig
}

func newPair(tb testing.TB) *pair {
	tb.Helper()
	a, b := testKey(tb, 1), testKey(tb, 2)
	identity, err := NewIdentity(b)
	if err != nil {
		tb.Fatal(err)
	}
	psk := PresharedKey(bytes.Repeat([]byte{7}, 32))
	return &pair{
		tb: tb, now: testTime(), identity: identity,
		init: InitConfig{Private: a, Peer: b.Public(), PSK: psk, Index: indexA, Random: testRandom(3)},
		resp: RespondConfig{PSK: psk, Index: indexB, Random: testRandom(4)},
	}
}

func (p *pair) newInit() *Initiator {
	p.tb.Helper()
	i, err := NewInit(p.now, p.init)
	if err != nil {
		p.tb.Fatal(err)
	}
	return i
}

func (p *pair) open(b []byte) *Init {
	p.tb.Helper()
	in, err := p.identity.OpenInit(b)
	if err != nil {
		p.tb.Fatal(err)
	}
	return in
}

// run does a whole handshake: the sessions of initiator and responder.
func (p *pair) run() (a, b *Session) {
	p.tb.Helper()
	i := p.newInit()
	resp, b, err := p.open(i.Datagram()).Respond(p.resp)
	if err != nil {
		p.tb.Fatal(err)
	}
	if a, err = i.HandleResp(resp); err != nil {
		p.tb.Fatal(err)
	}
	return a, b
}

// checkTalk sends a datagram each way.
func checkTalk(t *testing.T, a, b *Session) {
	t.Helper()
	for n, dir := range []struct{ from, to *Session }{{a, b}, {b, a}} {
		ad, text := []byte{1, 2, 3}, fmt.Appendf(nil, "direction %d", n)
		sealed := dir.from.Send.Seal(nil, ad, text, 0, uint64(n))
		got, err := dir.to.Recv.Open(nil, ad, sealed, 0, uint64(n))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("direction %d: %q, %v", n, got, err)
		}
		if _, err := dir.from.Recv.Open(nil, ad, sealed, 0, uint64(n)); !errors.Is(err, ErrOpen) {
			t.Errorf("direction %d: the sender opens its own datagram", n)
		}
	}
}

// TestHandshake: one round trip, and both ends have the same session (H-2,
// H-3), under the AEAD that both can do fast (W-2).
func TestHandshake(t *testing.T) {
	for _, aesA := range []bool{false, true} {
		for _, aesB := range []bool{false, true} {
			t.Run(fmt.Sprintf("AES %v %v", aesA, aesB), func(t *testing.T) {
				p := newPair(t)
				p.init.Params.AES, p.resp.Params.AES = aesA, aesB
				p.init.Ladder, p.resp.Ladder = []byte("C of A"), []byte("C and D of B")
				i := p.newInit()
				in := p.open(i.Datagram())
				static, err := p.init.Private.Public().X25519()
				if err != nil {
					t.Fatal(err)
				}
				if in.Remote != static || in.Index != indexA || in.Timestamp != NewTimestamp(p.now) ||
					in.Params != p.init.Params || string(in.Ladder) != "C of A" {
					t.Errorf("INIT: %+v", in)
				}
				resp, b, err := in.Respond(p.resp)
				if err != nil {
					t.Fatal(err)
				}
				a, err := i.HandleResp(resp)
				if err != nil {
					t.Fatal(err)
				}
				both := aesA && aesB
				wantA := &Session{
					LocalIndex: indexA, RemoteIndex: indexB, Initiator: true, AES: both,
					Remote: p.resp.Params, RemoteLadder: []byte("C and D of B"), Hash: b.Hash,
				}
				wantB := &Session{
					LocalIndex: indexB, RemoteIndex: indexA, AES: both,
					Remote: p.init.Params, RemoteLadder: []byte("C of A"), Hash: a.Hash,
				}
				keys := cmp.FilterPath(func(p cmp.Path) bool {
					return slices.Contains([]string{".Send", ".Recv", ".epoch", ".chain"}, p.Last().String())
				}, cmp.Ignore())
				if d := cmp.Diff(wantA, a, keys); d != "" {
					t.Errorf("initiator's session (-want +got):\n%s", d)
				}
				if d := cmp.Diff(wantB, b, keys); d != "" {
					t.Errorf("responder's session (-want +got):\n%s", d)
				}
				if a.Hash == ([32]byte{}) {
					t.Error("no handshake hash")
				}
				checkTalk(t, a, b)
			})
		}
	}
}

// TestAgainstReference builds INIT and RESP a second time from the
// specification and compares every byte, hash and key (H-2, H-3, H-5, W-2).
func TestAgainstReference(t *testing.T) {
	p := newPair(t)
	p.init.Params.AES, p.resp.Params.AES = true, true
	p.init.Ladder, p.resp.Ladder = []byte{0xC1, 0xC2}, []byte{0xD1, 0xD2, 0xD3}
	keyA := refKey(t, (*p.init.Private.k).dh.Bytes())
	keyB := refKey(t, (*p.identity.private.k).dh.Bytes())
	staticA, staticB := keyA.PublicKey().Bytes(), keyB.PublicKey().Bytes()
	random := func(seed byte) []byte {
		b := make([]byte, 32)
		if _, err := testRandom(seed).Read(b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	ephemeralA, ephemeralB := refKey(t, random(3)), refKey(t, random(4))

	ref := newRefNoise(t, "totg 1", staticB)
	payload := fromHex(t, "a1a2a3a4"+"400000006a09adca"+"075bcd15"+"0003010101"+"0002c1c2")
	payload = append(payload, make([]byte, MinInit-133-len(payload))...)
	wantInit := refInit(indexA, ref.message1(keyA, ephemeralA, staticB, payload), staticB)
	i := p.newInit()
	if d := cmp.Diff(wantInit, i.Datagram()); d != "" {
		t.Fatalf("INIT (-want +got):\n%s", d)
	}
	resp, b, err := p.open(i.Datagram()).Respond(p.resp)
	if err != nil {
		t.Fatal(err)
	}
	payload = fromHex(t, "b1b2b3b4"+"0003010101"+"0003d1d2d3")
	wantResp := refResp(indexB, indexA, ref.message2(ephemeralB, ephemeralA.PublicKey().Bytes(), staticA, p.init.PSK[:], payload), staticA)
	if d := cmp.Diff(wantResp, resp); d != "" {
		t.Fatalf("RESP (-want +got):\n%s", d)
	}
	a, err := i.HandleResp(resp)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Hash[:], ref.h) || b.Hash != a.Hash {
		t.Errorf("handshake hash %x and %x, want %x", a.Hash, b.Hash, ref.h)
	}
	split := ref.hkdf(nil, 2)
	for n, keys := range []struct{ send, recv *Key }{{a.Send, b.Recv}, {b.Send, a.Recv}} {
		sealed := keys.send.Seal(nil, []byte("ad"), []byte("text"), 5, 6)
		if want := refSealAES(t, split[n], []byte("ad"), []byte("text"), 5, 6); !bytes.Equal(sealed, want) {
			t.Errorf("direction %d: sealed %x, want %x", n, sealed, want)
		}
		if _, err := keys.recv.Open(nil, []byte("ad"), sealed, 5, 6); err != nil {
			t.Errorf("direction %d: %v", n, err)
		}
	}
}

// TestGolden keeps the bytes on the wire what they are: a change here is a
// change of protocol version (H-2, H-3).
func TestGolden(t *testing.T) {
	var out strings.Builder
	for _, aes := range []bool{false, true} {
		p := newPair(t)
		p.init.Params.AES, p.resp.Params.AES = aes, aes
		i := p.newInit()
		resp, b, err := p.open(i.Datagram()).Respond(p.resp)
		if err != nil {
			t.Fatal(err)
		}
		a, err := i.HandleResp(resp)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []struct {
			name string
			b    []byte
		}{
			{"init", i.Datagram()},
			{"resp", resp},
			{"hash", a.Hash[:]},
			{"sealed by initiator, path 0, number 0", a.Send.Seal(nil, []byte("header"), []byte("datagram"), 0, 0)},
			{"sealed by responder, path 1, number 2^32", b.Send.Seal(nil, []byte("header"), []byte("datagram"), 1, 1<<32)},
		} {
			fmt.Fprintf(&out, "AES %v, %s: %s\n", aes, line.name, hex.EncodeToString(line.b))
		}
	}
	file := filepath.Join("testdata", "handshake.golden")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// TestRepeat: an INIT is the same bytes whenever it is sent (H-4), and two
// attempts have nothing in common but the peer (H-3).
func TestRepeat(t *testing.T) {
	p := newPair(t)
	i := p.newInit()
	first := slices.Clone(i.Datagram())
	if _, err := i.HandleResp([]byte("noise")); err == nil {
		t.Fatal("nonsense is a RESP")
	}
	if !bytes.Equal(first, i.Datagram()) {
		t.Error("a repeated INIT differs")
	}
	second := p.newInit().Datagram()
	if bytes.Equal(first[initHeader:initHeader+dhLen], second[initHeader:initHeader+dhLen]) {
		t.Error("two attempts with one ephemeral key")
	}
}

// TestTimestamp: labels are TAI64N and ordered as time is (H-3, H-6).
func TestTimestamp(t *testing.T) {
	if got, want := NewTimestamp(time.Unix(0, 0)), (Timestamp{0: 0x40, 7: 0x0a}); got != want {
		t.Errorf("label of the epoch %x, want %x", got, want)
	}
	now := testTime()
	for _, d := range []time.Duration{1, time.Microsecond, 876543211, time.Second, time.Hour, 1 << 60} {
		a, b := NewTimestamp(now), NewTimestamp(now.Add(d))
		if !b.After(a) || a.After(b) || a.After(a) {
			t.Errorf("%x and, %v later, %x are out of order", a, d, b)
		}
	}
}

// TestSizes: a RESP is never larger than its INIT, whatever it carries (H-5),
// and the smallest INIT has room for C and D of the ladder (H-3).
func TestSizes(t *testing.T) {
	for _, la := range []int{0, 1, 100, 163, 164, 165, 180, 181, 182, 400, MaxLadder} {
		for _, lb := range []int{0, 1, ladderCD, 236, 237, 250, 400, MaxLadder} {
			p := newPair(t)
			p.init.Ladder, p.resp.Ladder = make([]byte, la), bytes.Repeat([]byte{1}, lb)
			i := p.newInit()
			if n := len(i.Datagram()); n < MinInit || n > MaxInit {
				t.Errorf("ladder of %d: INIT of %d bytes", la, n)
			}
			in := p.open(i.Datagram())
			if len(in.Ladder) != la {
				t.Errorf("ladder of %d arrives as %d", la, len(in.Ladder))
			}
			resp, _, err := in.Respond(p.resp)
			fits := respOverhead+respFixed+paramsLen+2+lb <= len(i.Datagram())
			if lb <= ladderCD && !fits {
				t.Errorf("no room for a ladder of %d", lb)
			}
			if !fits {
				if !errors.Is(err, ErrRespSize) {
					t.Errorf("ladders of %d and %d: %v, want ErrRespSize", la, lb, err)
				}
				p.resp.Ladder = nil // nothing has changed: a smaller one goes
				if resp, _, err = in.Respond(p.resp); err != nil {
					t.Errorf("after ErrRespSize: %v", err)
				}
			} else if err != nil {
				t.Errorf("ladders of %d and %d: %v", la, lb, err)
			}
			if len(resp) > len(i.Datagram()) || len(resp) > MaxResp {
				t.Errorf("RESP of %d bytes to an INIT of %d", len(resp), len(i.Datagram()))
			}
			s, err := i.HandleResp(resp)
			if err != nil || !bytes.Equal(s.RemoteLadder, p.resp.Ladder) {
				t.Errorf("ladder of RESP: %v", err)
			}
		}
	}
}

// TestConfig: every mistake in a configuration has its error.
func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*pair)
		want   error
	}{
		"no private key": {func(p *pair) { p.init.Private = PrivateKey{} }, ErrNoKey},
		"no public key":  {func(p *pair) { p.init.Peer = PublicKey{} }, ErrKeyPoint},
		"own key":        {func(p *pair) { p.init.Peer = p.init.Private.Public() }, ErrOwnKey},
		"no randomness":  {func(p *pair) { p.init.Random = nil }, ErrNoRandom},
		"long ladder":    {func(p *pair) { p.init.Ladder = make([]byte, MaxLadder+1) }, ErrLadder},
		"short random":   {func(p *pair) { p.init.Random = bytes.NewReader(make([]byte, 31)) }, nil},
	} {
		p := newPair(t)
		c.change(p)
		if _, err := NewInit(p.now, p.init); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	p := newPair(t)
	i := p.newInit()
	in := p.open(i.Datagram())
	for name, c := range map[string]struct {
		change func(*RespondConfig)
		want   error
	}{
		"no randomness": {func(c *RespondConfig) { c.Random = nil }, ErrNoRandom},
		"long ladder":   {func(c *RespondConfig) { c.Ladder = make([]byte, MaxLadder+1) }, ErrLadder},
		"short random":  {func(c *RespondConfig) { c.Random = bytes.NewReader(make([]byte, 31)) }, nil},
	} {
		cfg := p.resp
		c.change(&cfg)
		if _, _, err := in.Respond(cfg); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	resp, _, err := in.Respond(p.resp)
	if err != nil {
		t.Fatalf("Respond after errors: %v", err)
	}
	if _, _, err := in.Respond(p.resp); !errors.Is(err, ErrFinished) {
		t.Errorf("second Respond: %v", err)
	}
	if _, _, err := new(Init).Respond(p.resp); !errors.Is(err, ErrFinished) {
		t.Errorf("Respond of a zero Init: %v", err)
	}
	if _, err := i.HandleResp(resp); err != nil {
		t.Fatal(err)
	}
	if _, err := i.HandleResp(resp); !errors.Is(err, ErrFinished) {
		t.Errorf("second RESP: %v", err)
	}
	if _, err := NewIdentity(PrivateKey{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("identity of no key: %v", err)
	}
	if _, err := new(Identity).OpenInit(i.Datagram()); !errors.Is(err, ErrNoKey) {
		t.Errorf("zero identity: %v", err)
	}
	if DefaultParams() != (Params{}) {
		t.Error("DefaultParams")
	}
}
