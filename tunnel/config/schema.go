package config

import "slices"

// A Key is one key of the file.
type Key struct {
	Table string // "interface", "peer" or "peer.rule"
	Name  string
}

// Keys lists every key that a file may hold, in the order of the documentation.
func Keys() []Key {
	var keys []Key
	for _, name := range interfaceKeys() {
		keys = append(keys, Key{Table: tableInterface, Name: name})
	}
	for _, name := range peerKeys() {
		keys = append(keys, Key{Table: tablePeer, Name: name})
	}
	for _, name := range ruleKeys() {
		keys = append(keys, Key{Table: tableRule, Name: name})
	}
	return keys
}

const (
	tableInterface = "interface"
	tablePeer      = "peer"
	tableRule      = "peer.rule"
)

func interfaceKeys() []string {
	return []string{
		"name", "private_key_file", "private_key", "addresses", "listen", "mtu", "mode", "bandwidth", "rate",
		"redundancy", "arq", "routes", "rekey",
	}
}

func peerKeys() []string {
	return []string{
		"name", "public_key", "endpoint", "allowed_ips", "preshared_key_file", "preshared_key", "keepalive", "agree",
	}
}

func ruleKeys() []string {
	return []string{"protocol", "from", "to", "ports", "dscp", "mode", "deadline", "priority"}
}

// nearest gives the known word that s was probably meant to be, or "".
func nearest(s string, words []string) string {
	best, most := "", len(s)/3+1 // changes that still look like a slip
	for _, w := range words {
		if n := editDistance(s, w); n <= most {
			best, most = w, n-1
		}
	}
	return best
}

// editDistance counts the insertions, deletions and replacements of bytes between two words, as Levenshtein did.
func editDistance(a, b string) int {
	if len(a) > maxQuoted {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// sortedKeys gives a table's keys in a fixed order, so that equal files give equal messages.
func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
