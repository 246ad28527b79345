package lab

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// tailSize bounds what is kept of a child's output, in bytes.
const tailSize = 16 << 10

// tail keeps the end of a child's output and, if live is set, copies each line to
// it behind a prefix. It may be written to concurrently.
type tail struct {
	mu     sync.Mutex
	kept   []byte
	line   []byte // not yet ended
	prefix string
	live   io.Writer // nil: keep only
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if t.live == nil {
		return len(p), nil
	}
	t.line = append(t.line, p...)
	for {
		i := bytes.IndexByte(t.line, '\n')
		if i < 0 && len(t.line) < tailSize {
			return len(p), nil
		}
		if i < 0 {
			i = len(t.line) - 1
		}
		// A terminal that has gone away takes no lines; the child goes on.
		_, _ = io.WriteString(t.live, t.prefix+string(bytes.TrimRight(t.line[:i+1], "\n"))+"\n")
		t.line = append(t.line[:0], t.line[i+1:]...)
	}
}

// last is the last n lines.
func (t *tail) last(n int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimRight(string(t.kept), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
