package main

import (
	_ "embed" // document.md
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A document has its figures between two comments,
//
//	<!-- figures: NAME -->
//	<!-- end of figures -->
//
// where NAME is "conditions", "legend", "raw", "worse", "paper", or a link and a metric:
// "50mbit-40ms 0" is the first table of that link. Beside the document lies what they come
// from, FILE.json; a test compares the two.

var blockRE = regexp.MustCompile(`(?s)(<!-- figures: ([^\n]*?) -->\n).*?(<!-- end of figures -->)`)

// published is the JSON beside a document.
type published struct {
	Grid    Grid
	Results []Result
}

// sourceOf is the file with a document's figures.
func sourceOf(document string) string {
	return strings.TrimSuffix(document, filepath.Ext(document)) + ".json"
}

// emptyDocument is what a document starts from.
//
//go:embed document.md
var emptyDocument string

// publish writes the results beside a document, its figures into it, and its plots
// into a folder of its name.
func publish(document string, g Grid, all Results) error {
	p := published{Grid: g}
	counted := all.counted()
	for _, point := range g.points() {
		if r, ok := counted[point]; ok {
			p.Results = append(p.Results, r)
		}
	}
	text, err := os.ReadFile(document)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte(emptyDocument), nil
	}
	if err != nil {
		return err
	}
	filled, err := fill(string(text), p)
	if err != nil {
		return err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	dir := strings.TrimSuffix(document, filepath.Ext(document))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := plots(dir, g, all); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(sourceOf(document), append(b, '\n'), 0o644), os.WriteFile(document, []byte(filled), 0o644))
}

// fill replaces the figures of a document.
func fill(text string, p published) (string, error) {
	all := Results{}
	for _, r := range p.Results {
		all[r.Point] = r
	}
	var failed error
	filled := blockRE.ReplaceAllStringFunc(text, func(block string) string {
		m := blockRE.FindStringSubmatch(block)
		figures, err := figures(m[2], p.Grid, all)
		failed = errors.Join(failed, err)
		return m[1] + figures + m[3]
	})
	return filled, failed
}

// figures is one block, which ends with a line break.
func figures(name string, g Grid, all Results) (string, error) {
	switch name {
	case "conditions":
		return conditions(all) + "\n", nil
	case "legend":
		return legend, nil
	case "raw":
		return rawTable(g, all), nil
	case "worse":
		return worseTable(g, all), nil
	case "paper":
		return paperTable(g, all), nil
	}
	var linkName string
	var number int
	if _, err := fmt.Sscan(name, &linkName, &number); err == nil && number >= 0 && number < len(metrics()) {
		if i := slices.IndexFunc(g.Links, func(l Link) bool { return l.name() == linkName }); i >= 0 {
			return table(g, all, g.Links[i], metrics()[number]), nil
		}
	}
	return "", fmt.Errorf("there are no figures %q", name)
}

// compareWithSource says how a document differs from what its JSON gives.
func compareWithSource(document string) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(sourceOf(document))
	if err != nil {
		return err
	}
	var p published
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	filled, err := fill(string(text), p)
	if err != nil {
		return err
	}
	have, want := strings.Split(string(text), "\n"), strings.Split(filled, "\n")
	for i := range have {
		if i >= len(want) || have[i] != want[i] {
			return fmt.Errorf("%s:%d is not what %s gives:\n%s", document, i+1, sourceOf(document), have[i])
		}
	}
	return nil
}
