package tunnel

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/totg/totg/reliability/rate"
)

// G-3: a trace is CSV with a header, its rows are as wide, and a name may have
// anything in it.
func TestTrace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.csv")
	tr, err := openTrace(name)
	if err != nil {
		t.Fatal(err)
	}
	tr.add(1500*time.Millisecond, `a "b", c`, &rate.Snapshot{Rate: 5e6, Estimate: 4e6, Queue: time.Millisecond}, 0.25)
	if err := tr.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if got := rows[1]; got[0] != `a "b", c` || got[1] != "0.2500" || got[2] != "1.500000" || got[4] != "5000000" || got[6] != "1.000" {
		t.Errorf("%q", got)
	}
}

// A trace does not fill the disk, and one that is not wanted does nothing.
func TestTraceIsBounded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.csv")
	tr, err := openTrace(name)
	if err != nil {
		t.Fatal(err)
	}
	tr.written = traceMost - 200
	for range 10 {
		tr.add(0, strings.Repeat("x", 20), &rate.Snapshot{}, 0)
	}
	if err := tr.close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() > int64(len(traceHeader))+200 {
		t.Errorf("%v bytes, %v", info.Size(), err)
	}
	none, err := openTrace("")
	if none != nil || err != nil || none.tick() != nil || none.close() != nil {
		t.Error("a trace without a name")
	}
	if _, err := openTrace(filepath.Join(t.TempDir(), "no", "x.csv")); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
