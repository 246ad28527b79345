package lab

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/totg/totg/internal/link"
	"github.com/totg/totg/scripts/netem"
)

// DefaultProfile is the link of a lab that was told nothing else.
const DefaultProfile = "lossy-50"

// Profile is a named link.
type Profile struct {
	Name  string
	About string
	Spec  Spec
}

// Profiles returns the profiles that are built in, by name.
func Profiles() ([]Profile, error) { return ParseProfiles(netem.Profiles) }

// FindProfile returns the profile of that name.
func FindProfile(all []Profile, name string) (Profile, error) {
	var names []string
	for _, p := range all {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("%w: no profile %q; there are %s", ErrProfiles, name, strings.Join(names, ", "))
}

// ParseProfiles reads the text of a profile file. Every profile in it is valid, or
// the first mistake is reported with the profile's name and the key.
func ParseProfiles(text []byte) ([]Profile, error) {
	var file struct {
		Profile map[string]map[string]any
	}
	dec := toml.NewDecoder(strings.NewReader(string(text)))
	if err := dec.DisallowUnknownFields().Decode(&file); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrProfiles, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	var all []Profile
	for _, name := range slices.Sorted(maps.Keys(file.Profile)) {
		p, err := newProfile(name, file.Profile[name])
		if err == nil {
			_, err = p.Spec.Resolve()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: profile %q: %w", ErrProfiles, name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

func newProfile(name string, table map[string]any) (Profile, error) {
	p := Profile{Name: name}
	p.About, _ = table["about"].(string)
	sides := map[Direction]map[string]any{}
	for key, d := range map[string]Direction{"up": Up, "down": Down} {
		sub, ok := table[key].(map[string]any)
		if !ok && table[key] != nil {
			return p, fmt.Errorf("%w: %s is not a table", ErrSpec, key)
		}
		sides[d] = sub
	}
	both := maps.Clone(table)
	for _, key := range []string{"about", "up", "down", "schedule"} {
		delete(both, key)
	}
	sides[Both] = both
	for _, d := range []Direction{Both, Up, Down} { // the special after the general
		for _, key := range slices.Sorted(maps.Keys(sides[d])) {
			if err := p.Spec.Set(d, key, text(sides[d][key])); err != nil {
				return p, err
			}
		}
	}
	list, ok := table["schedule"].([]any)
	if !ok && table["schedule"] != nil {
		return p, fmt.Errorf("%w: schedule is not an array of tables", ErrSpec)
	}
	for i, entry := range list {
		sub, _ := entry.(map[string]any)
		if err := p.Spec.schedule(sub); err != nil {
			return p, fmt.Errorf("%w (entry %d of the schedule)", err, i+1)
		}
	}
	return p, nil
}

// WriteProfiles lists profiles for people.
func WriteProfiles(out io.Writer, all []Profile) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PROFILE\tDOWN/UP\tRTT\tJITTER\tLOSS\tBURST\tQUEUE DOWN/UP\tABOUT") // Flush reports
	for i := range all {
		path, err := all[i].Spec.Resolve()
		if err != nil {
			return err
		}
		d, u := path.Down, path.Up
		_, _ = fmt.Fprintf(t, "%s\t%s/%s\t%v\t%v\t%s\t%.3g\t%s/%s\t%s\n", all[i].Name, link.FormatRate(d.Rate), link.FormatRate(u.Rate),
			path.RTT(), d.Jitter, percent(d.Loss), max(1, d.Burst), formatSize(d.Queue), formatSize(u.Queue), all[i].About)
	}
	return t.Flush()
}

// Change adds a change to the schedule, written as the keys of a profile's schedule:
// "at=10s every=15s outage=100ms-300ms direction=up".
func (s *Spec) Change(words string) error {
	table := map[string]any{}
	for _, w := range strings.Fields(words) {
		key, value, ok := strings.Cut(w, "=")
		if _, twice := table[key]; !ok || twice {
			return fmt.Errorf("%w: change %q: write for example at=10s outage=2s", ErrSpec, words)
		}
		table[key] = value
	}
	if len(table) < 2 || table["at"] == nil {
		return fmt.Errorf("%w: change %q: say when and what, for example at=10s outage=2s", ErrSpec, words)
	}
	return s.schedule(table)
}

// schedule adds one change to the directions that it names.
func (s *Spec) schedule(table map[string]any) error {
	var ch link.Change
	up, down := true, true
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value := text(table[key])
		if key == "direction" {
			up, down = value == "up", value == "down"
			if !up && !down {
				return fmt.Errorf("%w: direction %q: write up or down", ErrSpec, value)
			}
			continue
		}
		if err := setChange(&ch, key, value); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSpec, key, err)
		}
	}
	if up {
		s.up.cfg.Schedule = append(s.up.cfg.Schedule, ch)
	}
	if down {
		s.down.cfg.Schedule = append(s.down.cfg.Schedule, ch)
	}
	return nil
}

func setChange(ch *link.Change, key, value string) (err error) {
	switch key {
	case "at":
		ch.At, err = parseDuration(value)
	case "every":
		ch.Every, err = parseDuration(value)
	case "outage":
		least, most, span := strings.Cut(value, "-")
		if ch.Outage, err = parseDuration(least); err == nil && span {
			ch.OutageMax, err = parseDuration(most)
		}
	case "rate":
		ch.Rate = new(int64)
		*ch.Rate, err = link.ParseRate(value)
	case "delay":
		ch.Delay = new(time.Duration)
		*ch.Delay, err = parseDuration(value)
	case "jitter":
		ch.Jitter = new(time.Duration)
		*ch.Jitter, err = parseDuration(value)
	case "loss":
		ch.Loss = new(float64)
		*ch.Loss, err = link.ParsePercent(value)
	case "burst":
		ch.Burst = new(float64)
		*ch.Burst, err = parseBurst(value)
	default:
		err = fmt.Errorf("unknown key")
	}
	return err
}

// text is a TOML value as a command line would write it. What is neither text nor
// a number nor a truth value becomes text that no key accepts.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprintf("?%T", value)
}
