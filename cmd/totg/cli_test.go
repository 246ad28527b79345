package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/totg/totg/tunnel"
	"github.com/totg/totg/tunnel/config"
	"github.com/totg/totg/tunnel/control"
)

// mainVariable makes the test binary the program, with fakeTunnel for the real one.
const mainVariable = "TOTG_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(mainVariable) != "" {
		os.Exit(exitCode(newRootCmd(fakeTunnel).ExecuteContext(context.Background()), os.Stderr))
	}
	os.Exit(m.Run())
}

// fakeTunnel is a tunnel without interface and network: a control socket and a log.
func fakeTunnel(ctx context.Context, opt tunnel.Options) error {
	name := opt.Config.Interface.Name
	s, err := control.Listen(control.Path(name))
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // never fails
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	opt.Log.Info("up", slog.String("interface", name))
	opt.Log.Debug("more")
	go func() {
		for {
			select {
			case cfg := <-opt.Reload:
				opt.Log.Info("reload", slog.Int("mtu", cfg.Interface.MTU))
			case <-ctx.Done():
				return
			}
		}
	}()
	return s.Serve(ctx, fakeHandler{name, stop})
}

type fakeHandler struct {
	name string
	stop func()
}

func (h fakeHandler) Status(_ context.Context, channels bool) (control.Status, error) {
	st := control.Status{Interface: h.name, Mode: "tun", MTU: 1500, Version: version}
	if channels {
		st.Peers = []control.PeerStatus{{Name: "p", Channels: []control.ChannelStatus{{
			ID: "0001:0002", Mode: "Streaming 2", State: "established", Flows: 3, TxUnits: 4, RxUnits: 5, Skipped: 6, Late: 7, Resent: 8,
			QueueBytes: 9000, Age: 61,
		}, {ID: "0003:0004", Mode: "Z", State: "established", ByPeer: true}}}}
	}
	return st, nil
}

// Agree ends as the name of the action says.
func (h fakeHandler) Agree(_ context.Context, p control.Proposal) (control.Agreement, error) {
	a := control.Agreement{Peer: p.Peer, Name: p.Name, Outcome: control.OutcomeCommitted, Receipt: "ab01"}
	switch p.Name {
	case "abort":
		a.Outcome, a.Receipt = control.OutcomeAborted, ""
	case "doubt":
		a.Outcome, a.Receipt = control.OutcomeInDoubt, ""
	}
	return a, nil
}

func (h fakeHandler) Agreements(context.Context) ([]control.Agreement, error) {
	return []control.Agreement{
		{Peer: "office", Name: "switch-1", Outcome: control.OutcomeCommitted, Receipt: "ab01", Resolved: true},
		{Peer: "office", Name: "switch-2", Outcome: control.OutcomeInDoubt},
	}, nil
}

func (h fakeHandler) Stop() { h.stop() }

// totg is the program as a process of its own.
func totg(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env = append(os.Environ(), mainVariable+"=1")
	return cmd
}

// result is what a run left behind.
type result struct {
	code        int
	out, errors string
}

// run runs the program within this process.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	if args == nil {
		args = []string{} // else cobra takes the test's own
	}
	var out, errs bytes.Buffer
	root := newRootCmd(fakeTunnel)
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errs)
	code := exitCode(root.ExecuteContext(t.Context()), &errs)
	return result{code, out.String(), errs.String()}
}

// ok is the output of a run that must succeed without a word on standard error.
func ok(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := run(t, stdin, args...)
	if r.code != 0 || r.errors != "" {
		t.Fatalf("totg %v: exit code %d\n%s", args, r.code, r.errors)
	}
	return r.out
}

// site goes to an empty folder that holds totg.toml, its key and, once a tunnel is up, the control sockets.
func site(t *testing.T) (config string) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv(control.DirVariable, "run")
	ok(t, "", "keygen", "-o", "a.key")
	peer := strings.TrimSpace(ok(t, ok(t, "", "keygen"), "pubkey"))
	config = fmt.Sprintf(`[interface]
name = "t0"
private_key_file = "a.key"
addresses = ["10.77.0.1/24"]
bandwidth = "50Mbit"
mtu = 1500

[[peer]]
name = "b"
public_key = %q
allowed_ips = ["10.77.0.2/32"]
keepalive = "15s"
`, peer)
	write(t, "totg.toml", config)
	return config
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeys(t *testing.T) {
	t.Chdir(t.TempDir())
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	public := ok(t, "", "keygen", "-o", "a.key")
	if public != ok(t, "", "pubkey", "a.key") || len(public) != 45 {
		t.Errorf("keygen -o printed %q", public)
	}
	secret, err := os.ReadFile("a.key")
	if err != nil {
		t.Fatal(err)
	}
	if got := ok(t, string(secret), "pubkey"); got != public {
		t.Errorf("pubkey: got %q, want %q", got, public)
	}
	if got := ok(t, "", "keygen", "--psk", "-o", "psk"); got != "" {
		t.Errorf("keygen --psk -o printed %q", got)
	}
	for _, name := range []string{"a.key", "psk"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if a, b := ok(t, "", "keygen", "--psk"), ok(t, "", "keygen", "--psk"); a == b || len(a) != 45 {
		t.Errorf("keygen --psk: %q, %q", a, b)
	}
	again := run(t, "", "keygen", "-o", "a.key")
	if again.code != 1 || again.errors != "totg: a.key exists already; remove it first, or choose another name\n" {
		t.Errorf("again: %+v", again)
	}
	if now, err := os.ReadFile("a.key"); err != nil || !bytes.Equal(now, secret) {
		t.Errorf("the key is lost: %v", err)
	}
}

// A key that the shell writes into a file under the umask may be readable by all.
func TestKeygenWarns(t *testing.T) {
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o600: false} {
		f, err := os.OpenFile(filepath.Join(t.TempDir(), "key"), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close() //nolint:errcheck // a test's file
		if err := f.Chmod(mode); err != nil {
			t.Fatal(err)
		}
		cmd := totg(t, "keygen")
		var errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = f, &errs
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(errs.String(), "totg: warning: others can read"); got != want {
			t.Errorf("mode %04o: %q", mode, errs.String())
		}
	}
}

// Output that cannot be written is an error, not half a file and success.
func TestFullDisk(t *testing.T) {
	site(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close() //nolint:errcheck // a device
	for _, args := range [][]string{{"keygen"}, {"pubkey", "a.key"}, {"check", "-c", "totg.toml"}, {"version"}} {
		cmd := totg(t, args...)
		cmd.Stdout = full
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("totg %v: %v", args, err)
		}
	}
}

func TestUserErrors(t *testing.T) {
	text := site(t)
	write(t, "bad.toml", strings.NewReplacer("mtu = 1500", "mtu = 1", "50Mbit", "50MB").Replace(text))
	for _, tc := range []struct {
		args string
		code int
		want string // on standard error, each line
	}{
		{"upp", 2, `totg: unknown command "upp"; did you mean: totg up`},
		{"frobnicate", 2, `totg: unknown command "frobnicate"; see: totg --help`},
		{"--frob", 2, `totg: unknown flag: --frob; see: totg --help`},
		{"up extra", 2, `totg: up takes no argument "extra"; see: totg up --help`},
		{"up --frob", 2, `totg: unknown flag: --frob; see: totg up --help`},
		{"up -c", 2, `totg: flag needs an argument: 'c' in -c; see: totg up --help`},
		{"up -c none.toml", 2, `none.toml: no such file or directory`},
		{"up -c bad.toml", 2, "bad.toml:5: interface.bandwidth: \"50MB\" counts bytes; write bits, \"400Mbit\"\n" +
			"bad.toml:6: interface.mtu: 1 is out of range; write a number from 576 to 65535"},
		{"check -c bad.toml", 2, "bad.toml:5: interface.bandwidth: \"50MB\" counts bytes; write bits, \"400Mbit\"\n" +
			"bad.toml:6: interface.mtu: 1 is out of range; write a number from 576 to 65535"},
		{"check totg.toml", 2, `totg: check takes no argument "totg.toml"; see: totg check --help`},
		{"down -c none.toml", 2, `none.toml: no such file or directory`},
		{"down", 1, `totg: no tunnel is up; start one: totg up -c FILE`},
		{"down t0", 1, `totg: interface t0 is not up; start it: totg up -c FILE`},
		{"down -c totg.toml", 1, `totg: interface t0 is not up; start it: totg up -c FILE`},
		{"down t0 -c totg.toml", 2, `totg: give a name or -c, not both; see: totg down --help`},
		{"down a b", 2, `totg: down takes one argument, not 2; see: totg down --help`},
		{"down ../../etc/passwd", 2, `totg: "../../etc/passwd" is no name of an interface; see: totg down --help`},
		{"status", 1, `totg: no tunnel is up; start one: totg up -c FILE`},
		{"status t0", 1, `totg: interface t0 is not up; start it: totg up -c FILE`},
		{"status t0 --json", 1, `totg: interface t0 is not up; start it: totg up -c FILE`},
		{"status --xml", 2, `totg: unknown flag: --xml; see: totg status --help`},
		{"keygen x", 2, `totg: keygen takes no argument "x"; see: totg keygen --help`},
		{"keygen -o none/a.key", 1, `totg: open none/a.key: no such file or directory`},
		{"pubkey", 1, `totg: standard input holds no private key; make one: totg keygen -o FILE`},
		{"pubkey totg.toml", 1, `totg: totg.toml holds no private key; make one: totg keygen -o FILE`},
		{"pubkey none.key", 1, `totg: open none.key: no such file or directory`},
		{"pubkey a b", 2, `totg: pubkey takes one argument, not 2; see: totg pubkey --help`},
		{"version x", 2, `totg: version takes no argument "x"; see: totg version --help`},
		{"completion", 2, `totg: name one shell: bash, zsh or fish; see: totg completion --help`},
		{"completion tcsh", 2, `totg: no completion for "tcsh": name bash, zsh or fish; see: totg completion --help`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := run(t, "", strings.Fields(tc.args)...)
			if r.code != tc.code || r.errors != tc.want+"\n" || r.out != "" {
				t.Errorf("got code %d, output %q, errors:\n%swant code %d:\n%s", r.code, r.out, r.errors, tc.code, tc.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	text := site(t)
	got := ok(t, "", "check", "-c", "totg.toml")
	secret, err := os.ReadFile("a.key")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "totg.toml: no mistake found\n\ninterface    t0 (tun), mtu 1500\n") || strings.Contains(got, strings.TrimSpace(string(secret))) {
		t.Errorf("got:\n%s", got)
	}
	if want := "\nrate         fair, at most 50 Mbit/s\nredundancy   auto\n\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in:\n%s", want, got)
	}
	write(t, "totg.toml", strings.Replace(text, "mtu = 1500", "redundancy = 0.5\narq = true", 1))
	if got, want := ok(t, "", "check", "-c", "totg.toml"), "\nredundancy   0.5\ncoding       off (arq)\n\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in:\n%s", want, got)
	}
}

func TestVersionAndCompletion(t *testing.T) {
	if a, b := ok(t, "", "version"), ok(t, "", "--version"); a != b || !strings.HasPrefix(a, "totg "+version+" (go") {
		t.Errorf("got %q and %q", a, b)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := ok(t, "", "completion", shell); !strings.Contains(got, "totg") {
			t.Errorf("%s: got %d bytes", shell, len(got))
		}
	}
	if got := ok(t, ""); !strings.Contains(got, "totg demo") {
		t.Errorf("without arguments: %q", got)
	}
}

// daemon is a running "totg up".
type daemon struct {
	*exec.Cmd
	log *bufio.Reader
}

func up(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{Cmd: totg(t, append([]string{"up"}, args...)...)}
	out, err := d.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.log = bufio.NewReader(out)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Process.Kill() })
	d.expect(t, "msg=up interface=t0")
	return d
}

// expect reads the log until a line holds text.
func (d *daemon) expect(t *testing.T, text string) {
	t.Helper()
	for {
		line, err := d.log.ReadString('\n')
		if err != nil {
			t.Fatalf("the log ends without %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

// ends waits for a clean exit.
func (d *daemon) ends(t *testing.T) {
	t.Helper()
	_, _ = io.Copy(io.Discard, d.log)
	if err := d.Wait(); err != nil {
		t.Errorf("totg up: %v", err)
	}
	if left, err := os.ReadDir("run"); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestUpStatusDown(t *testing.T) {
	site(t)
	d := up(t, "-c", "totg.toml", "-v")
	d.expect(t, "msg=more")
	if got := ok(t, "", "status"); got != ok(t, "", "status", "t0") || !strings.HasPrefix(got, "t0  up for 0 s\n") {
		t.Errorf("status: %s", got)
	}
	var one control.Status
	if err := json.Unmarshal([]byte(ok(t, "", "status", "t0", "--json")), &one); err != nil || one.Interface != "t0" {
		t.Errorf("one: %+v, %v", one, err)
	}
	var all []control.Status
	if err := json.Unmarshal([]byte(ok(t, "", "status", "--json")), &all); err != nil || len(all) != 1 {
		t.Errorf("all: %+v, %v", all, err)
	}
	again := run(t, "", "up", "-c", "totg.toml")
	if want := "totg: interface t0 is already up; stop it first: totg down t0\n"; again.code != 1 || again.errors != want {
		t.Errorf("again: %+v", again)
	}
	if got := run(t, "", "__complete", "down", ""); !strings.HasPrefix(got.out, "t0\n") {
		t.Errorf("completion: %+v", got)
	}
	if got := ok(t, "", "down"); got != "" {
		t.Errorf("down: %q", got)
	}
	d.ends(t)
	if got := ok(t, "", "status", "--json"); got != "[]\n" {
		t.Errorf("status --json without a tunnel: %q", got)
	}
}

// T-4: SIGTERM and SIGINT end the tunnel as "totg down" does.
func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		site(t)
		d := up(t, "-c", "totg.toml")
		if err := d.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		d.ends(t)
	}
}

func TestReload(t *testing.T) {
	text := site(t)
	d := up(t, "-c", "totg.toml")
	hangUp := func() {
		if err := d.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "totg.toml", strings.Replace(text, "mtu = 1500", "mtu = 1", 1))
	hangUp()
	d.expect(t, `mistake="totg.toml:6: interface.mtu: 1 is out of range; write a number from 576 to 65535"`)
	write(t, "totg.toml", strings.Replace(text, "mtu = 1500", "mtu = 1400", 1))
	hangUp()
	d.expect(t, "msg=reload mtu=1400")
	ok(t, "", "down", "-c", "totg.toml")
	d.ends(t)
}

// check --packet says which peer, rule and mode a packet meets. // C-7
func TestCheckPacket(t *testing.T) {
	text := site(t)
	write(t, "totg.toml", text+`
[[peer.rule]]
protocol = ["udp"]
ports = ["3074"]
mode = "streaming2"
deadline = "80ms"
`)
	line := strings.Count(text, "\n") + 2
	cfg, err := config.Load("totg.toml")
	if err != nil {
		t.Fatal(err)
	}
	to := cfg.Peers[len(cfg.Peers)-1].AllowedIPs[0].Addr().String()
	from := cfg.Interface.Addresses[0].Addr().String()
	for packet, want := range map[string][]string{
		"udp " + from + ":5000 > " + to + ":3074 dscp 46": {"number 1 of 1, totg.toml:" + strconv.Itoa(line), "mode      streaming2", "80ms", "message"},
		"udp " + from + ":5000 > " + to + ":99 size 100":  {"none; by default, for its protocol and size", "mode      z", "interactive", "later     mode streaming2", "250ms"},
		"udp " + from + ":5000 > " + to + ":99 dscp 46":   {"none; by default, for its DSCP is EF", "mode      streaming2", "interactive"},
		"tcp " + from + ":5000 > " + to + ":99":           {"none; by default", "mode      tcp", "stream", "deadline  none"},
		"icmp " + from + " > 203.0.113.7":                 {"no peer has 203.0.113.7 in its allowed_ips"},
	} {
		got := ok(t, "", "check", "-c", "totg.toml", "--packet", packet)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in:\n%s", packet, w, got)
			}
		}
	}
	r := run(t, "", "check", "-c", "totg.toml", "--packet", "udp nowhere")
	if r.code != 2 || !strings.Contains(r.errors, `"udp nowhere" is no packet; write it as`) {
		t.Errorf("code %d: %s", r.code, r.errors)
	}
}

// status --channels lists channels, and status alone does not.
func TestStatusChannels(t *testing.T) {
	now := time.Now()
	st, err := fakeHandler{name: "t0"}.Status(context.Background(), true)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(statusTable(st, now)), " ")
	want := "channels, p CHANNEL MODE STATE FLOWS SENT RECEIVED SKIPPED LATE RESENT QUEUE AGE " +
		"0001:0002 Streaming 2 established 3 4 5 6 7 8 9.00 kB 1 min 1 s 0003:0004 Z established peer's 0 0 0 0 0 0 B 0 s"
	if !strings.Contains(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
