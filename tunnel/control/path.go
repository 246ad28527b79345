package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// DefaultDir holds the control sockets.
const DefaultDir = "/run/totg"

// DirVariable names the environment variable that overrides DefaultDir.
const DirVariable = "TOTG_RUN_DIR"

const (
	socketSuffix = ".sock"
	lockSuffix   = ".lock"
)

// Dir is the folder of the control sockets.
func Dir() string {
	if dir := os.Getenv(DirVariable); dir != "" {
		return dir
	}
	return DefaultDir
}

// Path is the control socket of an interface.
func Path(name string) string { return filepath.Join(Dir(), name+socketSuffix) }

// Running lists the interfaces whose tunnels are up, sorted.
func Running() ([]string, error) {
	entries, err := os.ReadDir(Dir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s: %w", Dir(), ErrDenied)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), socketSuffix)
		if ok && e.Type() == fs.ModeSocket && locked(filepath.Join(Dir(), e.Name())) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// nameOf gives the interface of a control socket, for messages.
func nameOf(path string) string { return strings.TrimSuffix(filepath.Base(path), socketSuffix) }

func lockPath(path string) string { return strings.TrimSuffix(path, socketSuffix) + lockSuffix }

// prepareDir makes the folder of the sockets, and refuses one in which others could put a socket of theirs.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("make folder %s: permission denied; run it as root, or set %s", dir, DirVariable)
		}
		return fmt.Errorf("make folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is no folder; remove it, or set %s", dir, DirVariable)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to folder %s (mode %04o); run: chmod 700 %[1]s", dir, info.Mode().Perm())
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && !trusted(st.Uid) {
		return fmt.Errorf("folder %s belongs to user %d; remove it, or set %s", dir, st.Uid, DirVariable)
	}
	return nil
}

// trusted says whether a user may give orders to this process: itself and root.
func trusted(uid uint32) bool { return uid == 0 || int64(uid) == int64(os.Geteuid()) }
