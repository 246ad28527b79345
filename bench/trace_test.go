package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const traceHead = "peer,return_loss,time_s,phase,rate_bps,estimate_bps,queue_ms,ahead_ms,target_ms,jitter_ms,rtt_ms,base_ms,loss,shallow\n"

func TestReadTrace(t *testing.T) {
	rows := "a,0.1,1.0,run,5000000,4000000,3.5,1,9,0.1,40,20,0.2,false\n" +
		"b,0.1,1.0,run,1,1,1,1,1,1,1,1,0,false\n" +
		"a,0.1,2.0,drain,6000000,4000000,2.5,1,9,0.1,40,20,0.3,false\n"
	tr, err := readTrace(strings.NewReader(traceHead + rows))
	if err != nil {
		t.Fatal(err)
	}
	rate, loss := tr.columns["rate_bps"], tr.columns["loss"]
	if len(rate) != 2 || rate[1].X != 2 || rate[1].Y != 6 || loss[1].Y != 30 {
		t.Errorf("%v %v", rate, loss)
	}
}

func TestBadTraces(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "another table": "a,b\n1,2\n", "no rows": traceHead,
		"a word":    traceHead + "a,0,x,run,1,1,1,1,1,1,1,1,0,false\n",
		"no number": traceHead + "a,0,1,run,NaN,1,1,1,1,1,1,1,0,false\n",
		"short row": traceHead + "a,0,1\n",
	} {
		if _, err := readTrace(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlotTrace(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "x.csv"), filepath.Join(dir, "y.png")
	text := traceHead + "a,0.1,1.0,run,5000000,4000000,3.5,1,9,0.1,40,20,0.2,false\na,0.1,2.0,run,6000000,4000000,3.5,1,9,0.1,40,20,0.2,false\n"
	if err := os.WriteFile(from, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := runPlotTrace([]string{from, "-o", to}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil || img.Bounds().Dx() < 500 {
		t.Error(err, img.Bounds())
	}
	for _, args := range [][]string{nil, {"-o", to}, {from, "-x"}, {from, "-o", from}, {filepath.Join(dir, "none.csv")}} {
		if err := runPlotTrace(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
