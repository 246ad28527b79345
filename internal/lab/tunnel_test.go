package lab

import (
	"os"
	"testing"

	"github.com/totg/totg/tunnel/config"
)

// What the lab writes is a configuration, and says what the options say, in both hosts.
func TestConfigurations(t *testing.T) {
	none, some := 0.0, 1e-6
	for _, c := range []struct {
		opt  Options
		want config.Redundancy
	}{
		{Options{}, config.AutoRedundancy},
		{Options{Redundancy: &none}, 0},
		{Options{Redundancy: &some, ARQ: true}, 1e-6},
		{Options{ARQ: true}, config.AutoRedundancy},
	} {
		cfg := c.opt.tunnel(t.TempDir())
		tun := &tunnel{dir: cfg.dir}
		if err := tun.configure(sending{"fixed", 1e6}, sending{"fair", 2e6}, cfg.coding); err != nil {
			t.Fatal(err)
		}
		for name, rate := range map[string]config.Rate{"a": 1e6, "b": 2e6} {
			got, err := config.Load(tun.file(name, "toml"))
			if err != nil {
				t.Fatal(err)
			}
			if i := got.Interface; i.Redundancy != c.want || i.ARQ != c.opt.ARQ || i.Bandwidth != rate || i.Name != tunnelName {
				t.Errorf("host %s of %+v: %+v", name, c.opt, i)
			}
			if info, err := os.Stat(tun.file(name, "run")); err != nil || !info.IsDir() {
				t.Errorf("host %s has no folder for its socket: %v", name, err)
			}
		}
	}
}
