package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// synthetic are results as a run would leave them: wireguard fails from 10 % on,
// and nothing else was measured of it there.
func synthetic() (Grid, Results) {
	g := fullGrid()
	g.Links, g.Losses, g.Peers, g.Repeats = g.Links[:1], []float64{0, 10, 50}, []string{"totg", "wireguard", "tcp-cubic"}, 3
	all := Results{}
	goodput := map[string][]float64{"totg": {45e6, 40e6, 20e6}, "wireguard": {46.5e6, 1000}, "tcp-cubic": {45.9e6, 1e6, 100e3}}
	for _, p := range g.points() {
		i := slices.Index(g.Losses, p.Loss)
		if i >= len(goodput[p.Peer]) {
			continue
		}
		r := Result{
			Point: p, At: time.Date(2026, 1, 2+p.Repeat, 3, 4, 5, 0, time.UTC), Machine: "a machine", Busy: 0.01,
			Goodput: goodput[p.Peer][i] * (1 + 0.002*float64(p.Repeat-1)), CPU: 1, Setup: 0.1, First: 0.08, LateP99: 0.0001,
		}
		r.Bytes = int64(r.Goodput)
		r.Wire = uint64(r.Bytes) * 2
		for q := range 101 {
			r.Echo = append(r.Echo, 0.04+float64(q)/1000)
		}
		all[p] = r
	}
	return g, all
}

func TestTableMarksTheBest(t *testing.T) {
	g, all := synthetic()
	got := table(g, all, g.Links[0], metrics()[0])
	want := `| loss % | totg | wireguard | tcp-cubic |
|---|---|---|---|
| 0 | 45.0 (44.9–45.1) | **46.5** (46.4–46.6) | **45.9** (45.8–46.0) |
| 10 | **40.0** (39.9–40.1) | 0.0 | 1.0 |
| 50 | **20.0** | – | 0.1 |
`
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	// Less is better, failures have no figure, and a kernel's TCP has no programs.
	got = table(g, all, g.Links[0], metrics()[3])
	if !strings.Contains(got, "| loss % | totg | wireguard |\n") || !strings.Contains(got, "| 10 | **25.0** | – |\n") {
		t.Error(got)
	}
	if raw := rawTable(g, all); !strings.Contains(raw, "| totg | wireguard |\n|---|---|\n| 45 | **46**") && !strings.Contains(raw, "**") {
		t.Error(raw)
	}
}

// A peer that failed is not tried at higher losses, but is repeated where it failed.
func TestHopelessPeersAreNotTried(t *testing.T) {
	g, all := synthetic()
	link := g.Links[0]
	for loss, want := range map[float64]bool{0: false, 10: false, 50: true} {
		if got := all.hopeless(g, Point{link, loss, "wireguard", 0}); got != want {
			t.Errorf("wireguard at %g %%: %v", loss, got)
		}
	}
	if all.hopeless(g, Point{link, 50, "totg", 0}) || all.hopeless(g, Point{Peer: "wireguard"}) {
		t.Error("given up too early")
	}
	better := all[Point{link, 10, "wireguard", 1}]
	better.Goodput = 1e6
	all[better.Point] = better
	if all.hopeless(g, Point{link, 50, "wireguard", 0}) {
		t.Error("one repetition did not fail")
	}
}

func TestGridIsInterleavedAndAscends(t *testing.T) {
	points := fullGrid().points()
	if want := 3 * (3*9*7 + 2); len(points) != want {
		t.Fatalf("%d points, want %d", len(points), want)
	}
	files := map[string]bool{}
	for i, p := range points {
		files[p.file()] = true
		if i > 0 && p.Repeat < points[i-1].Repeat {
			t.Fatal("the repetitions are not interleaved")
		}
		if i > 0 && p.Link == points[i-1].Link && p.Repeat == points[i-1].Repeat && p.Loss < points[i-1].Loss {
			t.Fatal("the losses do not ascend")
		}
	}
	if len(files) != len(points) {
		t.Error("two points have one file")
	}
}

func TestResultsAreKept(t *testing.T) {
	dir := t.TempDir()
	g, all := synthetic()
	for _, r := range all {
		if err := r.save(dir); err != nil {
			t.Fatal(err)
		}
	}
	again, err := loadResults(dir, g.points())
	if err != nil || len(again) != len(all) || report(g, again) != report(g, all) {
		t.Errorf("%d of %d results, %v", len(again), len(all), err)
	}
	p := Point{g.Links[0], 10, "totg", 0}
	if err := os.WriteFile(filepath.Join(dir, p.file()), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadResults(dir, g.points()); err == nil {
		t.Error("a damaged result was accepted")
	}
}

func TestPlots(t *testing.T) {
	dir := t.TempDir()
	g, all := synthetic()
	if err := plots(dir, g, all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"goodput", "latency", "cpu"} {
		for _, ext := range []string{".png", ".svg"} {
			info, err := os.Stat(filepath.Join(dir, name+"-50mbit-40ms"+ext))
			if err != nil || info.Size() < 2000 {
				t.Errorf("%s%s: %v", name, ext, err)
			}
		}
	}
	if err := plots(t.TempDir(), g, Results{}); err != nil {
		t.Errorf("without results: %v", err)
	}
}

// A document starts from the embedded one, and changes no more when it is written
// again. What a busy machine measured is left out, or marked where there is nothing else.
func TestPublish(t *testing.T) {
	document := filepath.Join(t.TempDir(), "x.md")
	g, all := synthetic()
	g.Links = fullGrid().Links // the document names them all
	if err := publish(document, g, all); err != nil {
		t.Fatal(err)
	}
	first := check(t, document)
	for _, want := range []string{
		"2026-01-02 to 2026-01-04 on a machine", "| 50 | **20.0** | – |", // that the rest of a document is there:
		"| 50 Mbit/s, 40 ms | 0 | goodput, Mbit/s | 45.0 | wireguard 46.5 |", "| 50 | 50 | 48 | 40.0 | 5 | 0.2 |",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	if err := publish(document, g, all); err != nil || check(t, document) != first {
		t.Errorf("the second time differs, %v", err)
	}
	if err := os.WriteFile(document, []byte(strings.Replace(first, "**20.0**", "**29.0**", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := compareWithSource(document); err == nil {
		t.Error("a figure that was not measured went unnoticed")
	}
	disturb := func(repeat int) {
		p := Point{g.Links[0], 10, "totg", repeat}
		r := all[p]
		r.Busy, r.Goodput = 0.2, 1e6
		all[p] = r
	}
	disturb(0)
	if err := publish(document, g, all); err != nil {
		t.Fatal(err)
	}
	if text := check(t, document); strings.Contains(text, "(1.0–") || strings.Contains(text, "worth little") {
		t.Errorf("a busy machine's figure counts beside others:\n%s", text)
	}
	disturb(1)
	disturb(2)
	if err := publish(document, g, all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 10 | **1.0**† |", "in 3 of the measurements (†)"} {
		if text := check(t, document); !strings.Contains(text, want) {
			t.Errorf("nothing tells of a busy machine:\n%s", text)
		}
	}
	if _, err := fill("<!-- figures: nonsense -->\n<!-- end of figures -->\n", published{}); err == nil {
		t.Error("unknown figures")
	}
}

func check(t *testing.T, document string) string {
	t.Helper()
	if err := compareWithSource(document); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every figure of docs/benchmarks.md comes from docs/benchmarks.json.
func TestPublishedFigures(t *testing.T) {
	const document = "../docs/benchmarks.md"
	if _, err := os.Stat(document); errors.Is(err, fs.ErrNotExist) {
		t.Log("no figures are published yet")
		return
	}
	if err := compareWithSource(document); err != nil {
		t.Error(err)
	}
}

func TestLabArguments(t *testing.T) {
	b := &Bench{totg: "totg", self: "/it's/bench", grid: quickGrid()}
	link := Link{50e6, 40 * time.Millisecond}
	for peer, want := range map[string]string{
		"totg":      "--rate 50000000bit --rtt 40ms --queue 1BDP --loss 12.5 -- /it's/bench -role probe -target $TOTG_PEER:5201 -load 3s -patience 6s",
		"wireguard": "--loss 12.5 --no-tunnel --compare wireguard -- ",
		"quic":      `--a exec '/it'\''s/bench' -role quic-client -server $TOTG_DIRECT`,
	} {
		got := strings.Join(b.arguments(Point{link, 12.5, peer, 0}, "r"), " ")
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s", peer, got)
		}
	}
	if got := strings.Join(b.arguments(Point{Peer: "totg"}, "r"), " "); !strings.Contains(got, "--cable --bandwidth 10000000000bit") {
		t.Error(got)
	}
}
