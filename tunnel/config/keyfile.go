package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"unicode"
)

// exposedError says that a file with a secret in it can be read by others than its owner.
type exposedError struct{ mode fs.FileMode }

// Error states the file's mode.
func (e exposedError) Error() string {
	return fmt.Sprintf("others than its owner can read it (mode %04o)", e.mode)
}

// exposure gives the permission bits of a regular file that others than its owner can read or write, else 0.
func exposure(mode fs.FileMode) fs.FileMode {
	if mode.IsRegular() && mode.Perm()&0o066 != 0 {
		return mode.Perm()
	}
	return 0
}

// readKeyFile reads a key, one line of base64. It refuses a file that others can read, and looks at what it opened,
// not at what the name meant a moment earlier.
func readKeyFile(path string) (string, error) {
	// Without O_NONBLOCK opening a named pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", reason(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return "", reason(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	if mode := exposure(info.Mode()); mode != 0 {
		return "", exposedError{mode}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFileSize+1))
	if err != nil {
		return "", reason(err)
	}
	if len(data) > maxKeyFileSize {
		return "", errors.New("too large for a key")
	}
	return strings.TrimSpace(string(data)), nil
}

// secret reads a key given as NAME or NAME_file; at is the one that gave it. Messages never repeat what it says.
func (s section) secret(name string) (text, at string, ok bool) {
	inFile := name + "_file"
	if s.has(name) && s.has(inFile) {
		s.wrong(inFile, "there is a "+name+" too, at line "+fmt.Sprint(s.line(name)), "keep one of the two")
		return "", "", false
	}
	if s.has(name) {
		if mode := s.d.exposed; mode != 0 {
			s.wrong(name, fmt.Sprintf("others than its owner can read this file (mode %04o)", mode), "run: chmod 600 "+shellWord(s.d.file))
		}
		text, ok = s.text(name, `"…"`)
		return text, name, ok
	}
	path, ok := s.text(inFile, `"totg.key"`)
	if !ok {
		return "", "", false
	}
	if path == "" {
		s.wrong(inFile, "is empty", "write the path of a file")
		return "", "", false
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.d.dir, path)
	}
	text, err := s.d.readKey(path)
	if _, exposed := errors.AsType[exposedError](err); exposed {
		s.wrong(inFile, quote(path)+": "+err.Error(), "run: chmod 600 "+shellWord(path))
		return "", "", false
	}
	if err != nil {
		s.wrong(inFile, quote(path)+": "+err.Error(), "name a file that holds the key")
		return "", "", false
	}
	return text, inFile, true
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./+@%,:=-]+$`)

// shellWord quotes a path for a command that the user is told to run.
func shellWord(path string) string {
	if strings.ContainsFunc(path, unicode.IsControl) {
		return "on it"
	}
	if plainWord.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
