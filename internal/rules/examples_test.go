package rules_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/tunnel/config"
)

var (
	tomlRE        = regexp.MustCompile("(?s)\n```toml\n(.*?)\n```\n")
	placeholderRE = regexp.MustCompile(`PUBLIC KEY OF [A-Z]`)
)

// TestExamples loads every configuration that the introductory documents show,
// with real keys in the place of the words that stand for them.
func TestExamples(t *testing.T) {
	for _, name := range []string{"README.md", "docs/getting-started.md"} {
		examples := tomlRE.FindAllStringSubmatch(read(t, name), -1)
		if len(examples) == 0 {
			t.Errorf("%s: no configuration found", name)
		}
		for i, m := range examples {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "host.key"), newKey(t).Base64()+"\n")
			path := filepath.Join(dir, "totg0.toml")
			write(t, path, placeholderRE.ReplaceAllStringFunc(m[1], func(string) string {
				return newKey(t).Public().Base64()
			}))
			if _, err := config.Load(path); err != nil {
				t.Errorf("%s, example %d: %v", name, i+1, strings.ReplaceAll(err.Error(), dir, ""))
			}
		}
	}
}

func newKey(t *testing.T) handshake.PrivateKey {
	t.Helper()
	k, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
