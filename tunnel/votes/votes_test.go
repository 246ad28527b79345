package votes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/handshake/ladder"
)

func mustOpen(t *testing.T, path string) *Log {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // closed twice where the test closed it
	return l
}

func entries(t *testing.T, l *Log) []Entry {
	t.Helper()
	all, err := l.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func id(n int) (x ID) {
	x[0], x[1] = byte(n>>8), byte(n)
	return x
}

// what Put returned for is there after the file is opened again, in its
// latest form, and the file is for the owner alone.
func TestPut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes")
	l := mustOpen(t, path)
	for _, r := range []string{"begun", "voted"} {
		if err := l.Put(id(1), []byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Put(id(0), []byte("other")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := []Entry{{ID: id(0), Record: []byte("other")}, {ID: id(1), Record: []byte("voted")}}
	if diff := cmp.Diff(want, entries(t, mustOpen(t, path))); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// a resolved entry stays as a tombstone, takes no record any more, and the
// oldest give way.
func TestResolve(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "votes"))
	l.db.NoSync = true // 1,030 synchronised writes tell nothing more than some
	if err := l.Resolve(id(0)); !errors.Is(err, ErrUnknown) {
		t.Errorf("of nothing: %v", err)
	}
	const n = MaxResolved + 3
	for i := range n {
		if err := errors.Join(l.Put(id(i), []byte("x")), l.Resolve(id(i))); err != nil {
			t.Fatal(err)
		}
	}
	all := entries(t, l)
	if len(all) != MaxResolved || all[0].ID != id(3) || !all[0].Resolved || all[len(all)-1].ID != id(n-1) {
		t.Errorf("%d entries, from %x to %x", len(all), all[0].ID[:2], all[len(all)-1].ID[:2])
	}
	if err := l.Put(id(n-1), []byte("again")); !errors.Is(err, ErrResolved) {
		t.Errorf("a record after the end: %v", err)
	}
}

// The log is bounded: open entries are never dropped, and a new one is refused.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes")
	l := mustOpen(t, path)
	l.db.NoSync = true
	record := bytes.Repeat([]byte{7}, MaxRecord)
	for i := range MaxResolved {
		if err := errors.Join(l.Put(id(i), record), l.Resolve(id(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range MaxOpen {
		if err := l.Put(id(5000+i), record); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := l.Put(id(9999), record); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := l.Put(id(5000), record); err != nil {
		t.Errorf("a known one: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxFile {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if err := errors.Join(l.Resolve(id(5000)), l.Put(id(9999), record)); err != nil {
		t.Errorf("after one was resolved: %v", err)
	}
	for _, bad := range [][]byte{nil, make([]byte, MaxRecord+1)} {
		if err := l.Put(id(1), bad); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

// Mistakes of the environment are told in words.
func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "votes")
	l := mustOpen(t, path)
	if _, err := Open(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("open twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrMode) {
		t.Errorf("mode 0640: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "no", "votes")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrNoFile) {
		t.Errorf("a folder: %v", err)
	}
	if err := errors.Join(l.Put(id(1), []byte("x"))); err == nil {
		t.Error("a closed log takes a record")
	}
}

// A file that was cut short, is another program's, or has a damaged root is an
// error, or still holds what it held; it is never a panic.
func TestCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "votes")
	l := mustOpen(t, path)
	for i := range 40 {
		if err := l.Put(id(i), bytes.Repeat([]byte{byte(i)}, 900)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Resolve(id(7)), l.Close()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := entries(t, mustOpen(t, path))
	try := func(what string, b []byte) {
		t.Helper()
		bad := filepath.Join(t.TempDir(), "votes")
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(bad)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", what, err)
			}
			return
		}
		defer func() { _ = l.Close() }()
		if diff := cmp.Diff(len(want), len(entries(t, l))); diff != "" && len(b) > 0 {
			t.Errorf("%s: other entries: %s", what, diff)
		}
	}
	try("text", []byte(strings.Repeat("this is no log\n", 1000)))
	for n := 1; n < len(good); n += len(good) / 37 {
		try(fmt.Sprintf("cut to %d bytes", n), good[:n])
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for page := range 2 { // the two copies of the root: one may fail
		b := bytes.Clone(good)
		for range 3 {
			b[page*os.Getpagesize()+rng.IntN(16)] ^= byte(1 + rng.IntN(255))
		}
		try(fmt.Sprintf("root %d", page), b)
	}
	both := bytes.Clone(good)
	for page := range 2 {
		both[page*os.Getpagesize()+20] ^= 1
	}
	try("both roots", both)
}

// host is one party with its log; a crash opens a copy of the file as it was.
type host struct {
	t    *testing.T
	dir  string
	path string
	log  *Log
	key  handshake.PrivateKey
	m    *ladder.Machine
	told []ladder.Outcome
}

func newHost(t *testing.T, n byte, now time.Time) *host {
	t.Helper()
	keyOf := func(n byte) handshake.PrivateKey {
		k, err := handshake.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{n + 1}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	h := &host{t: t, dir: t.TempDir(), key: keyOf(n)}
	h.path = filepath.Join(h.dir, "votes")
	h.log = mustOpen(t, h.path)
	var err error
	h.m, err = ladder.New(now, ladder.Config{
		Private: h.key, Remote: keyOf(1 - n).Public(), Nonce: [ladder.NonceLen]byte{n + 1},
		Params: []byte("name"), Rand: rand.New(rand.NewPCG(1, 1)), Deadline: now.Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.work(now, never)
	return h
}

// never is a number of steps that work does not reach.
const never = 1 << 30

// work handles events and stops in the middle after so many steps: before the
// record is put, after it and before OnStable, after that and before a datagram
// leaves. It returns how many steps there were.
func (h *host) work(now time.Time, steps int) int {
	h.t.Helper()
	n := 0
	for {
		e, ok := h.m.PollEvent()
		if !ok {
			return n
		}
		switch e {
		case ladder.EventPersist:
			if n++; n > steps {
				return n
			}
			stage, record := h.m.Record()
			if err := h.log.Put(h.m.ID(), record); err != nil {
				h.t.Fatal(err)
			}
			if n++; n > steps {
				return n
			}
			h.m.OnStable(now, stage)
			if n++; n > steps {
				return n
			}
		case ladder.EventCommitted, ladder.EventAborted:
			h.told = append(h.told, h.m.Outcome())
		case ladder.EventDone:
			if err := h.log.Resolve(h.m.ID()); err != nil && !errors.Is(err, ErrUnknown) {
				h.t.Fatal(err)
			}
		case ladder.EventProgress, ladder.EventInDoubt:
		}
	}
}

// crash goes on from a copy of the file, in a process that knows nothing else.
func (h *host) crash(now time.Time) {
	h.t.Helper()
	image, err := os.ReadFile(h.path)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = h.log.Close() // what it would still write goes to the old file
	h.path += "'"
	if err := os.WriteFile(h.path, image, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.log = mustOpen(h.t, h.path)
	all := entries(h.t, h.log)
	if len(all) != 1 {
		h.t.Fatalf("%d entries after the crash", len(all))
	}
	h.m, err = ladder.Restore(now, ladder.RestoreConfig{Private: h.key, Rand: rand.New(rand.NewPCG(1, 1))}, all[0].Record)
	if err != nil {
		h.t.Fatal(err)
	}
	h.work(now, never)
}

func (h *host) say(now time.Time) []byte {
	buf := make([]byte, ladder.MaxMessage)
	n, ok := h.m.Poll(now, buf)
	if !ok {
		return nil
	}
	return buf[:n]
}

// a host that is killed at any step of its work, between the vote, its
// record, its release and its datagram, takes up its word from the file: the two
// never tell different outcomes, and in the end both have one.
func TestCrashAtEveryStep(t *testing.T) {
	for round := range 8 {
		for step := range 4 {
			for _, abort := range []bool{false, true} {
				crashAt(t, round, step, abort)
			}
		}
	}
}

func crashAt(t *testing.T, round, step int, abort bool) {
	t.Helper()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a, b := newHost(t, 0, now), newHost(t, 1, now)
	defer func() { _, _ = a.log.Close(), b.log.Close() }() // many logs in one test
	for i := range 16 {
		x, y := a.say(now), b.say(now)
		if x != nil {
			b.m.Handle(now, x)
		}
		b.work(now, never)
		if i == round && abort {
			a.m.Abort(now)
		} else if y != nil {
			a.m.Handle(now, y)
		}
		steps := never
		if i == round {
			steps = step
		}
		if n := a.work(now, steps); i == round && (n > steps || step == 3) {
			a.crash(now)
		}
		now = now.Add(time.Second)
	}
	for _, h := range []*host{a, b} {
		o := h.m.Outcome()
		if o != ladder.Committed && o != ladder.Aborted {
			t.Errorf("round %d, step %d, abort %v: %v in the end", round, step, abort, o)
		}
		for _, told := range h.told {
			if told != a.m.Outcome() || told != b.m.Outcome() {
				t.Errorf("round %d, step %d, abort %v: %v was told, then %v and %v", round, step, abort, told, a.m.Outcome(), b.m.Outcome())
			}
		}
	}
}

// a process that is killed right after Put returned leaves the record.
func TestKilledAfterPut(t *testing.T) {
	const variable = "TOTG_VOTES_KILLED"
	if path := os.Getenv(variable); path != "" {
		l, err := Open(path)
		if err == nil {
			err = l.Put(id(3), []byte("my vote"))
		}
		if err == nil {
			self, _ := os.FindProcess(os.Getpid()) // never fails on Unix
			err = self.Kill()
			time.Sleep(time.Minute)
		}
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "votes")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledAfterPut$")
	cmd.Env = append(os.Environ(), variable+"="+path)
	if out, err := cmd.CombinedOutput(); err == nil || len(out) > 0 {
		t.Fatalf("%v, %s", err, out)
	}
	want := []Entry{{ID: id(3), Record: []byte("my vote")}}
	if diff := cmp.Diff(want, entries(t, mustOpen(t, path))); diff != "" {
		t.Error(diff)
	}
}
