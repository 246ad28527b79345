package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/totg/totg/internal/theseus"
)

// the command shows both: that vote-once does not split, and that the
// published rule does.
func TestTheseus(t *testing.T) {
	if got := ok(t, "", "theseus", "--runs", "2", "--deadline", "20"); !strings.Contains(got, "42 runs, none asymmetric") {
		t.Error(got)
	}
	if got := ok(t, "", "theseus", "--runs", "6", "--rule", "paper4", "--deadline", "7"); !strings.Contains(got, "ASYMMETRIC: one side attacked") {
		t.Error(got)
	}
	var table theseus.Table
	if err := json.Unmarshal([]byte(ok(t, "", "theseus", "--runs", "1", "--json")), &table); err != nil {
		t.Fatal(err)
	}
	if table.Rule != "vote-once" || len(table.Rows) != 21 || table.Rows[20].Runs != 1 {
		t.Errorf("%+v", table)
	}
}
