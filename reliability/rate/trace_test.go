package rate

import (
	"encoding/csv"
	"strings"
	"testing"
	"time"
)

func TestTraceIsCSV(t *testing.T) {
	s := Snapshot{
		Phase: Run, Rate: 20e6, Estimate: 21e6, Queue: 11500 * time.Microsecond, Target: 12 * time.Millisecond,
		RTT: 40 * time.Millisecond, Base: -3 * time.Second, Loss: 0.25, Shallow: true,
	}
	text := TraceHeader + string(s.AppendTrace(nil, 1500*time.Millisecond))
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll() // checks the number of columns, too
	if err != nil {
		t.Fatal(err)
	}
	want := "1.500000,run,20000000,21000000,11.500,0.000,12.000,0.000,40.000,-3000.000,0.2500,true"
	if got := strings.Join(rows[1], ","); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
