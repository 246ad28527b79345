package handshake

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// testRandom is a reproducible source for keys and handshakes.
func testRandom(seed byte) io.Reader { return rand.NewChaCha8([32]byte{0: seed, 31: 1}) }

func testKey(tb testing.TB, seed byte) PrivateKey {
	tb.Helper()
	k, err := GenerateKey(testRandom(seed))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func fromHex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestKeyVectors holds identities to RFC 8032, section 7.1, and their X25519
// form to an independent derivation from the private scalar (H-1).
func TestKeyVectors(t *testing.T) {
	for _, v := range []struct{ seed, public string }{
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},
		{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"},
	} {
		key, err := ParsePrivateKey(base64.StdEncoding.EncodeToString(fromHex(t, v.seed)))
		if err != nil {
			t.Fatal(err)
		}
		public := key.Public()
		if got := hex.EncodeToString(public[:]); got != v.public {
			t.Errorf("public key of %s: %s, want %s", v.seed, got, v.public)
		}
		private, err := ecdh.X25519().NewPrivateKey((*key.k).dh.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := public.X25519(); err != nil || !bytes.Equal(got[:], private.PublicKey().Bytes()) {
			t.Errorf("X25519 of %s: %x, %v; want %x", v.public, got, err, private.PublicKey().Bytes())
		}
	}
}

// TestBasePoint: the map takes the base point of Ed25519 to that of X25519,
// RFC 7748, section 4.1 (H-1).
func TestBasePoint(t *testing.T) {
	base := PublicKey(fromHex(t, "58"+strings.Repeat("66", 31)))
	got, err := base.X25519()
	if want := ([32]byte{9}); err != nil || got != want {
		t.Errorf("X25519 of the base point: %x, %v", got, err)
	}
}

// TestBadPoints: what is no key, or one whose secrets everybody knows, is
// refused (H-1).
func TestBadPoints(t *testing.T) {
	const p = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" // 2^255-1
	for name, s := range map[string]string{
		"zero key, order 4":          strings.Repeat("00", 32),
		"order 4, other sign":        strings.Repeat("00", 31) + "80",
		"identity, order 1":          "01" + strings.Repeat("00", 31),
		"order 2":                    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 8":                    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8, other sign":        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"order 8, other y":           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, other y and sign":  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"identity, sign set":         "01" + strings.Repeat("00", 30) + "80",
		"identity, not reduced":      "ee" + p[2:],
		"zero, not reduced":          "ed" + p[2:],
		"y = 2, not on the curve":    "02" + strings.Repeat("00", 31),
		"y = 3, second encoding":     "f0" + p[2:],
		"all ones, neither":          strings.Repeat("ff", 32),
		"base point, wrong top byte": "58" + strings.Repeat("66", 30) + "67",
	} {
		k := PublicKey(fromHex(t, s))
		if _, err := k.X25519(); !errors.Is(err, ErrKeyPoint) {
			t.Errorf("%s: X25519: %v, want ErrKeyPoint", name, err)
		}
		if _, err := ParsePublicKey(k.Base64()); !errors.Is(err, ErrKeyPoint) {
			t.Errorf("%s: ParsePublicKey: %v, want ErrKeyPoint", name, err)
		}
	}
}

func TestKeyText(t *testing.T) {
	private := testKey(t, 1)
	public := private.Public()
	psk, err := GeneratePresharedKey(testRandom(2))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParsePrivateKey(private.Base64()); err != nil || !got.Equal(private) {
		t.Errorf("private key: %v", err)
	}
	if got, err := ParsePublicKey(public.Base64()); err != nil || got != public {
		t.Errorf("public key: %v, %v", got, err)
	}
	if got, err := ParsePresharedKey(psk.Base64()); err != nil || !got.Equal(psk) {
		t.Errorf("preshared key: %v", err)
	}
	text, err := public.MarshalText()
	if err != nil || string(text) != public.Base64() {
		t.Errorf("MarshalText: %q, %v", text, err)
	}

	good := public.Base64()
	for name, s := range map[string]string{
		"empty": "", "short": good[:43], "long": good + "=", "newline": good[:43] + "\n", "newline after": good + "\n",
		"space": " " + good[:43], "not base64": strings.Repeat("*", 44), "URL alphabet": strings.Repeat("-", 43) + "=",
		"no padding": strings.Repeat("A", 44), "31 bytes": strings.Repeat("A", 42) + "==",
		"bits after the end": strings.Repeat("A", 42) + "B=", "hex": strings.Repeat("0", 64),
	} {
		gotPublic, gotPrivate, gotPSK := public, private, psk
		for kind, err := range map[string]error{
			"public": gotPublic.UnmarshalText([]byte(s)), "private": gotPrivate.UnmarshalText([]byte(s)), "psk": gotPSK.UnmarshalText([]byte(s)),
		} {
			if !errors.Is(err, ErrKeyText) {
				t.Errorf("%s: %s key: %v, want ErrKeyText", name, kind, err)
			}
		}
		if gotPublic != public || gotPrivate != private || gotPSK != psk {
			t.Errorf("%s: a failed UnmarshalText changed the key", name)
		}
	}
	var (
		newPublic  PublicKey
		newPrivate PrivateKey
		newPSK     PresharedKey
	)
	if err := errors.Join(newPublic.UnmarshalText([]byte(good)), newPrivate.UnmarshalText([]byte(private.Base64())),
		newPSK.UnmarshalText([]byte(psk.Base64()))); err != nil {
		t.Fatal(err)
	}
	if newPublic != public || !newPrivate.Equal(private) || newPSK != psk {
		t.Error("UnmarshalText gives another key")
	}
}

// TestPrinting: no verb and no encoder shows a secret, however deep it sits.
func TestPrinting(t *testing.T) {
	private := testKey(t, 1)
	public, psk := private.Public(), PresharedKey(bytes.Repeat([]byte{0xA5}, 32))
	values := []any{
		private, &private, psk, &psk,
		struct{ K PrivateKey }{private},
		struct{ k PrivateKey }{private},
		struct{ K PresharedKey }{psk},
		[]PrivateKey{private},
		map[string]PresharedKey{"a": psk},
		InitConfig{Private: private, PSK: psk},
		RespondConfig{PSK: psk},
	}
	seed := (*private.k).seed
	secrets := []string{}
	for _, b := range [][]byte{seed[:], (*private.k).dh.Bytes(), psk[:]} {
		first := b[:4]
		decimal := strings.Trim(fmt.Sprintf("%d", first), "[]")
		secrets = append(secrets, hex.EncodeToString(first), strings.ToUpper(hex.EncodeToString(first)), string(first),
			base64.StdEncoding.EncodeToString(b)[:8], decimal, strings.ReplaceAll(decimal, " ", ","),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", first), "[]byte{"), "}"))
	}
	var out []string
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%g", "%5.2v"} {
			out = append(out, fmt.Sprintf(verb, v))
		}
		b, err := json.Marshal(v)
		if err == nil {
			out = append(out, string(b))
		}
	}
	for _, s := range out {
		for _, secret := range secrets {
			if strings.Contains(s, secret) {
				t.Errorf("%q shows %q", s, secret)
			}
		}
	}

	short := public.String()
	if !strings.HasPrefix(public.Base64(), strings.TrimSuffix(short, "…")) || len(short) > 12 {
		t.Errorf("fingerprint %q of %s", short, public.Base64())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, public); got != short {
			t.Errorf("%s of a public key: %q, want %q", verb, got, short)
		}
		if got := fmt.Sprintf(verb, private); !strings.Contains(got, short) {
			t.Errorf("%s of a private key: %q, want the fingerprint %q", verb, got, short)
		}
	}
	if got := fmt.Sprint(PublicKey{}, PrivateKey{}, PresharedKey{}); got != "(no key) (private key of (no key)) (no preshared key)" {
		t.Errorf("zero keys: %q", got)
	}
}

func TestZeroKeys(t *testing.T) {
	var private PrivateKey
	if !private.IsZero() || private.Base64() != "" || private.Public() != (PublicKey{}) || !private.Equal(PrivateKey{}) {
		t.Error("zero PrivateKey")
	}
	if k := testKey(t, 1); k.IsZero() || k.Equal(private) || private.Equal(k) || k.Equal(testKey(t, 2)) {
		t.Error("Equal or IsZero of private keys")
	}
	if (PublicKey{1}).IsZero() || !(PublicKey{}).IsZero() || (PresharedKey{31: 1}).IsZero() || !(PresharedKey{}).IsZero() {
		t.Error("IsZero")
	}
}

func TestLess(t *testing.T) {
	keys := []PublicKey{{}, {31: 1}, {0: 1}, {0: 1, 31: 9}, {0: 2}, {0: 0x80}, {0: 0xff}}
	for i, a := range keys {
		for j, b := range keys {
			if a.Less(b) != (i < j) {
				t.Errorf("%d less than %d: %v", i, j, a.Less(b))
			}
		}
	}
	if !slices.IsSortedFunc(keys, func(a, b PublicKey) int { return bytes.Compare(a[:], b[:]) }) {
		t.Error("test keys")
	}
}

func TestGenerateNeedsRandomness(t *testing.T) {
	if _, err := GenerateKey(nil); !errors.Is(err, ErrNoRandom) {
		t.Error(err)
	}
	if _, err := GeneratePresharedKey(nil); !errors.Is(err, ErrNoRandom) {
		t.Error(err)
	}
	for n := range KeyLen {
		short := bytes.NewReader(make([]byte, n))
		if _, err := GenerateKey(short); err == nil {
			t.Errorf("a key out of %d bytes", n)
		}
		short.Reset(make([]byte, n))
		if _, err := GeneratePresharedKey(short); err == nil {
			t.Errorf("a preshared key out of %d bytes", n)
		}
	}
}

// a signature holds for its text and its key alone, and is the same at
// every call.
func TestSign(t *testing.T) {
	a, b := testKey(t, 1), testKey(t, 2)
	text := []byte("totg 1 test")
	sig := a.Sign(text)
	if sig != a.Sign(text) || !a.Public().Verify(text, &sig) {
		t.Error("a signature does not verify")
	}
	if b.Public().Verify(text, &sig) || a.Public().Verify(text[1:], &sig) || (PublicKey{}).Verify(text, &sig) {
		t.Error("a signature verifies for another key or text")
	}
	sig[0] ^= 1
	if a.Public().Verify(text, &sig) {
		t.Error("a damaged signature verifies")
	}
}
