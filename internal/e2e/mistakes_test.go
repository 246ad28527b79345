package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

// fails runs a program on the host that must end by itself with an exit code, with
// complaints of as many lines on standard error, all of which name the words.
func (h *host) fails(code, lines int, words []string, cmd *exec.Cmd) {
	h.t.Helper()
	before := h.snapshot()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	if cmd.Env == nil {
		cmd.Env = h.env()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err := h.do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	text := strings.TrimSpace(complaint.String())
	if !ok || exit.ExitCode() != code {
		h.t.Errorf("%v, want exit code %d; standard error: %s", err, code, text)
	}
	if n := len(strings.Split(text, "\n")); n != lines {
		h.t.Errorf("%d lines on standard error, want %d:\n%s", n, lines, text)
	}
	for _, w := range words {
		if !contains(text, w) {
			h.t.Errorf("standard error does not name %q:\n%s", w, text)
		}
	}
	h.unchanged(before)
}

// up1 is the command of a tunnel that shall not come up.
func (h *host) up1(text string) *exec.Cmd {
	h.t.Helper()
	h.write(text)
	return exec.Command(program(), "up", "-c", h.file())
}

// What a user gets wrong is one line that says so, and changes nothing.
func TestMistakes(t *testing.T) {
	a, b := newHost(t, "a"), newHost(t, "b")
	connect(a, b, 1)
	good, _ := pairConfigs(a, b, outside(1, 2))
	text := good.toml()

	t.Run("configuration", func(t *testing.T) {
		a.t = t
		bad := strings.NewReplacer(`"40Mbit"`, `"40Mbits"`, outside(1, 2)+":4430", outside(1, 2), `name = "totg0"`, "nam = \"totg0\"").Replace(text)
		words := []string{a.file() + ":", "bandwidth", "endpoint", "nam"}
		a.fails(2, 3, words, a.up1(bad))
		a.fails(2, 3, words, exec.Command(program(), "check", "-c", a.file()))
		a.fails(2, 1, []string{a.file()}, a.up1("[interface\n"))
		a.fails(2, 1, []string{"nowhere.toml"}, exec.Command(program(), "up", "-c", filepath.Join(a.dir, "nowhere.toml")))
	})
	t.Run("key file for all to read", func(t *testing.T) {
		a.t = t
		key := filepath.Join(a.dir, "key")
		if err := os.Chmod(key, 0o644); err != nil {
			t.Fatal(err)
		}
		a.fails(2, 1, []string{"chmod 600"}, a.up1(text))
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("port is taken", func(t *testing.T) {
		a.t = t
		socket := a.listenUDP("0.0.0.0:4430")
		a.fails(1, 1, []string{"4430"}, a.up1(text))
		_ = socket.Close() // nothing is in it
	})
	t.Run("interface name is taken", func(t *testing.T) {
		a.t = t
		a.ip("tuntap", "add", "dev", "totg0", "mode", "tun")
		a.fails(1, 1, []string{"totg0", "exists"}, a.up1(text))
		a.ip("link", "del", "totg0")
	})
	t.Run("it is up already", func(t *testing.T) {
		a.t = t
		d := a.up(good)
		a.fails(1, 1, []string{"totg0", "already up"}, a.up1(text))
		d.stop()
		a.fails(1, 1, []string{"totg0"}, exec.Command(program(), "down", "totg0"))
	})
	t.Run("no such address", func(t *testing.T) {
		a.t = t
		c := good
		c.listen = "198.51.100.77:4430"
		a.fails(1, 1, []string{"198.51.100.77"}, a.up1(c.toml()))
	})
	t.Run("no TUN driver", func(t *testing.T) {
		a.t = t
		a.write(text)
		a.fails(1, 1, []string{"/dev/net/tun", "modprobe tun"}, exec.Command("unshare", "--mount", "sh", "-c",
			"mount -t tmpfs none /dev/net && exec "+program()+" up -c "+a.file()))
	})
	t.Run("no capability", func(t *testing.T) {
		a.t = t
		a.write(text)
		a.fails(1, 1, []string{"CAP_NET_ADMIN"}, exec.Command("setpriv", "--bounding-set", "-all", "--inh-caps", "-all",
			program(), "up", "-c", a.file()))
	})
	t.Run("not root", func(t *testing.T) {
		a.t = t
		a.fails(1, 1, []string{"root"}, a.asNobody(text))
	})
}

// asNobody is the command of an ordinary user who forgot sudo.
func (h *host) asNobody(text string) *exec.Cmd {
	h.t.Helper()
	const nobody = 65534
	dir := h.dir + ".nobody"
	secret, err := os.ReadFile(filepath.Join(h.dir, "key"))
	if err == nil {
		err = os.Mkdir(dir, 0o755)
	}
	copied := filepath.Join(dir, "totg")
	if err == nil {
		err = os.Chown(dir, nobody, nobody)
	}
	for name, content := range map[string][]byte{"key": secret, "totg.toml": []byte(text)} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err == nil {
			err = os.Chown(filepath.Join(dir, name), nobody, nobody)
		}
	}
	// The program itself is in a folder that nobody may enter.
	if err == nil {
		var code []byte
		if code, err = os.ReadFile(program()); err == nil {
			err = os.WriteFile(copied, code, 0o755)
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command(copied, "up", "-c", filepath.Join(dir, "totg.toml"))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // the folder of sockets is the usual one
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

// H-1, H-2: with a wrong key a tunnel never comes up, and status says so.
func TestWrongKey(t *testing.T) {
	a, b, other := newHost(t, "a"), newHost(t, "b"), newHost(t, "o")
	connect(a, b, 1)
	for _, c := range []struct {
		name   string
		change func(ca, cb *tunnel)
	}{
		{"of the called side", func(ca, _ *tunnel) { ca.peers[0].key = other.public }},
		{"of the caller", func(_, cb *tunnel) { cb.peers[0].key = other.public }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.t, b.t = t, t
			ca, cb := pairConfigs(a, b, outside(1, 2))
			c.change(&ca, &cb)
			b.up(cb)
			a.up(ca)
			// So that it is not just early: b has refused several calls.
			eventually(t, patience, func() error {
				s, err := b.status("totg0")
				if err == nil && s.Drops["bad_init"] < 10 {
					err = fmt.Errorf("b has refused %d calls: %v", s.Drops["bad_init"], s.Drops)
				}
				return err
			})
			if a.ping(inside(2)) == nil {
				t.Error("the tunnel works with a wrong key")
			}
			s, err := a.peerStatus("b")
			if err != nil || s.State != "connecting" || !s.LastHandshake.IsZero() {
				t.Errorf("status of the caller: %+v, %v; want state connecting", s, err)
			}
			if s, err := b.peerStatus("a"); err != nil || s.State == "up" {
				t.Errorf("status of the called side: %+v, %v", s, err)
			}
			if text := a.totg("status", "totg0"); !contains(text, "connecting") || !contains(text, "never") {
				t.Errorf("status for people:\n%s", text)
			}
		})
	}
}
