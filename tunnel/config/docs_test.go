package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/tunnel/agreement"
)

// documented is what docs/configuration.md says about one key.
type documented struct {
	Key
	text    string
	example string // the lines of its TOML block
}

// readDocs reads the reference: "## [interface]" and "## [[peer]]", under them "### `key`" with a TOML example.
func readDocs(t *testing.T) (docs string, keys []documented) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	docs = string(data)
	table := ""
	heading := regexp.MustCompile("(?m)^(?:## `\\[+([a-z.]+)\\]+`|### `([a-z_]+)`)$")
	all := heading.FindAllStringSubmatchIndex(docs, -1)
	for n, m := range all {
		if m[2] >= 0 {
			table = docs[m[2]:m[3]]
			continue
		}
		end := len(docs)
		if n+1 < len(all) {
			end = all[n+1][0]
		}
		k := documented{Key: Key{Table: table, Name: docs[m[4]:m[5]]}, text: docs[m[1]:end]}
		_, rest, _ := strings.Cut(k.text, "```toml\n")
		k.example, _, _ = strings.Cut(rest, "```")
		keys = append(keys, k)
	}
	return docs, keys
}

// Every key is documented with default, range and example, and every documented key exists.
func TestDocsKeys(t *testing.T) {
	_, keys := readDocs(t)
	var names []Key
	for _, k := range keys {
		names = append(names, k.Key)
		for _, want := range []string{"\n- Default: ", "\n- Range: "} {
			if !strings.Contains(k.text, want) {
				t.Errorf("%s.%s has no %q", k.Table, k.Name, strings.TrimSpace(want))
			}
		}
		if !strings.Contains("\n"+k.example, "\n"+k.Name+" = ") {
			t.Errorf("%s.%s has no example", k.Table, k.Name)
		}
	}
	if diff := cmp.Diff(Keys(), names); diff != "" {
		t.Errorf("keys (-program +documentation):\n%s", diff)
	}
}

// Every example in the reference is accepted as it stands.
func TestDocsExamples(t *testing.T) {
	docs, keys := readDocs(t)
	own, b := newPair(t), newPair(t)
	replace := strings.NewReplacer("BASE64_PRIVATE_KEY", own.private, "BASE64_PUBLIC_KEY", b.public, "BASE64_PRESHARED_KEY", psk)
	load := func(name, text string) {
		folder(t, replace.Replace(text), own)
		write(t, "totg.key", own.private, 0o600)
		write(t, "office.psk", psk, 0o600)
		if _, err := Load("totg.toml"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, whole, ok := strings.Cut(docs, "```toml\n[interface]\n")
	if !ok {
		t.Fatal("no complete example")
	}
	whole, _, _ = strings.Cut(whole, "```")
	load("complete example", "[interface]\n"+whole)
	for _, k := range keys {
		lines := map[string][]string{
			tableInterface: {`private_key_file = "totg.key"`, `addresses = ["10.77.0.1/24"]`, `bandwidth = "1Gbit"`},
			tablePeer:      {`public_key = "BASE64_PUBLIC_KEY"`, `allowed_ips = ["10.77.0.2/32"]`},
			tableRule:      {`mode = "z"`},
		}
		var rest []string
		for _, line := range lines[k.Table] {
			key, _, _ := strings.Cut(line, " ")
			if key != k.Name && key != k.Name+"_file" {
				rest = append(rest, line)
			}
		}
		lines[k.Table] = append(rest, strings.TrimSpace(k.example))
		if strings.Contains(k.example, `"tap"`) {
			lines[tablePeer] = lines[tablePeer][:1]
		}
		rule := ""
		if k.Table == tableRule {
			rule = "[[peer.rule]]\n" + strings.Join(lines[tableRule], "\n") + "\n"
		}
		load(k.Table+"."+k.Name, "[interface]\n"+strings.Join(lines[tableInterface], "\n")+"\n[[peer]]\n"+strings.Join(lines[tablePeer], "\n")+"\n"+rule)
	}
}

// The limits that the reference states are the program's.
func TestDocsLimits(t *testing.T) {
	docs, _ := readDocs(t)
	for _, want := range []string{
		"from 576 to 65535", "at least 1280", "at most 65517", "at most 64 addresses", "at most 1024 prefixes", "at most 1024 peers", "at most 1 MiB",
		"at most 64 rules", "at most 64 elements", "from " + MinDeadline.String() + " to " + shortDuration(MaxDeadline),
		"from " + MinBandwidth.String() + " to " + MaxBandwidth.String(),
		fmt.Sprintf("from 0 to %v", MaxRedundancy),
		"from " + MinKeepalive.String() + " to " + shortDuration(MaxKeepalive),
		"from " + MinRekey.String() + " to " + shortDuration(MaxRekey), fmt.Sprintf("up to %d patterns of 1 to %d letters", agreement.MaxPatterns, agreement.MaxName),
	} {
		if !strings.Contains(docs, want) {
			t.Errorf("docs/configuration.md does not say %q", want)
		}
	}
	const _ = uint(MinMTU-576) + uint(576-MinMTU) + uint(MaxMTUTAP-65517) + uint(65517-MaxMTUTAP) + uint(MinMTU6-1280) + uint(1280-MinMTU6) +
		uint(MaxAddresses-64) + uint(64-MaxAddresses) + uint(MaxPeers-1024) + uint(1024-MaxPeers) + uint(MaxAllowedIPs-1024) + uint(1024-MaxAllowedIPs) + uint(MaxRules-64) + uint(64-MaxRules) +
		uint(MaxRuleItems-64) + uint(64-MaxRuleItems)
}
