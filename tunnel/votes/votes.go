// Package votes is the durable log of votes: what a host must not forget about
// the actions that it coordinates with its peers. It keeps the records of
// package handshake/ladder in one file; what they say is none of its business.
//
// # Contract
//
// Put returns after the record is on stable storage: the file is synchronised
// before that (fdatasync, and the folder when the file is new). Only then may the
// caller call OnStable and let the vote leave. An error means that nobody knows
// whether the record is there: the caller must not call OnStable, and may try
// again. After a crash at any moment the file holds, of each action, the latest
// record whose Put returned, or a later one.
//
// A record is open until Resolve. Resolved ones are kept as tombstones, so that
// a peer that asks late is answered, and the oldest go first. Open ones
// are never dropped: when there are MaxOpen, Put of a new one is an error.
//
// Open finds a file that was cut short, one of another program, and a damaged
// root; damage inside a page only as far as reading all entries meets it.
//
// A Log may be used by several goroutines. One process at a time may open the
// file. Nothing in it is secret, but who can write it can break this host's
// word, so others may have no access to it.
package votes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ID names one party's side of one action: ladder.Machine.ID.
type ID = [IDLen]byte

// Entry is one action in the log.
type Entry struct {
	ID       ID
	Record   []byte // the latest
	Resolved bool   // both parties are known to have decided
}

// Log is an open log.
type Log struct {
	db *bolt.DB
}

// The buckets of the file: format to its version, ID to record, and sequence
// number to ID and record, the oldest first.
const (
	bucketFormat   = "format"
	bucketOpen     = "open"
	bucketResolved = "resolved"

	keyVersion = "version"
	version    = "totg votes 1"
)

// Open opens the log in a file, which it makes where there is none. Its folder
// must exist. The errors are ErrLocked, ErrCorrupt, ErrMode, and those of the
// file system.
func Open(path string) (*Log, error) {
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	l, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("votes: open %s: %w", path, err)
	}
	if isNew {
		if err := syncFolder(filepath.Dir(path)); err != nil {
			return nil, errors.Join(fmt.Errorf("votes: open %s: %w", path, err), l.Close())
		}
	}
	return l, nil
}

// guard runs what reads the file. A damaged one makes the library panic, or
// fault on memory that is not mapped; both are ErrCorrupt, and may leave the file
// locked by this process. It holds for this goroutine alone, which is why the
// library's own Check is not used: it runs in another one, where a fault ends the
// process.
func guard(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return read()
}

// open opens and checks the file.
func open(path string) (l *Log, err error) {
	err = guard(func() error {
		l, err = openFile(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func openFile(path string) (*Log, error) {
	if info, err := os.Stat(path); err == nil {
		switch {
		case !info.Mode().IsRegular():
			return nil, ErrNoFile
		case info.Mode().Perm()&0o077 != 0:
			return nil, ErrMode
		case info.Size() > maxFile, info.Size() > 0 && info.Size() < int64(leastPages*os.Getpagesize()):
			return nil, ErrCorrupt
		}
	}
	db, err := bolt.Open(path, fileMode, &bolt.Options{
		Timeout: lockWait, MaxSize: maxFile, FreelistType: bolt.FreelistArrayType, NoStatistics: true,
	})
	if err != nil {
		return nil, translate(err)
	}
	l := &Log{db: db}
	if err := l.check(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

// translate gives errors of the library the names of this package.
func translate(err error) error {
	for _, e := range []error{
		bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum, bolterrors.ErrInvalidMapping,
	} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.Is(err, bolterrors.ErrMaxSizeReached):
		return ErrFull
	}
	return err
}

// check makes the buckets of a new file, and reads all of an old one.
func (l *Log) check() error {
	err := l.db.View(read)
	if !errors.Is(err, errEmpty) {
		return err
	}
	return l.db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{bucketFormat, bucketOpen, bucketResolved} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(bucketFormat)).Put([]byte(keyVersion), []byte(version))
	})
}

// read reads all of the file. The error is errEmpty where it has no bucket.
func read(tx *bolt.Tx) error {
	format := tx.Bucket([]byte(bucketFormat))
	if format == nil {
		if k, _ := tx.Cursor().First(); k != nil {
			return fmt.Errorf("%w: a file of another program", ErrCorrupt)
		}
		return errEmpty
	}
	if v := format.Get([]byte(keyVersion)); string(v) != version {
		return fmt.Errorf("%w: format %q, this program knows %q", ErrCorrupt, v, version)
	}
	_, err := list(tx)
	return err
}

// syncFolder makes the entry of a new file in its folder stable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close closes the file.
func (l *Log) Close() error {
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("votes: close: %w", err)
	}
	return nil
}

// update runs a transaction that writes.
func (l *Log) update(write func(*bolt.Tx) error) error {
	return guard(func() error { return l.db.Update(write) })
}

// Put stores the latest record of an open action and returns when it is stable
// . The errors are ErrSize, ErrFull, ErrResolved, and those of the file
// system.
func (l *Log) Put(id ID, record []byte) error {
	if len(record) == 0 || len(record) > MaxRecord {
		return fmt.Errorf("votes: put: %w", ErrSize)
	}
	err := l.update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketOpen))
		if b.Get(id[:]) == nil {
			if err := admit(tx, id); err != nil {
				return err
			}
		}
		return b.Put(id[:], record)
	})
	if err != nil {
		return fmt.Errorf("votes: put: %w", translate(err))
	}
	return nil
}

// admit says whether there is room for a new entry.
func admit(tx *bolt.Tx, id ID) error {
	open := 0
	c := tx.Bucket([]byte(bucketOpen)).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		open++
	}
	if open >= MaxOpen {
		return ErrFull
	}
	c = tx.Bucket([]byte(bucketResolved)).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if bytes.HasPrefix(v, id[:]) {
			return ErrResolved
		}
	}
	return nil
}

// List returns all entries, open ones first, then resolved ones from the oldest
// on. The records are the caller's.
func (l *Log) List() (entries []Entry, err error) {
	err = guard(func() error {
		return l.db.View(func(tx *bolt.Tx) error {
			entries, err = list(tx)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("votes: list: %w", err)
	}
	return entries, nil
}

// walk reads a bucket in the order of its keys, and every key once: where a page
// was damaged they may be in another.
func walk(tx *bolt.Tx, bucket string, read func(k, v []byte) error) error {
	b := tx.Bucket([]byte(bucket))
	if b == nil {
		return fmt.Errorf("%w: no bucket %q", ErrCorrupt, bucket)
	}
	var last []byte
	return b.ForEach(func(k, v []byte) error {
		if last != nil && bytes.Compare(k, last) <= 0 {
			return fmt.Errorf("%w: keys out of order", ErrCorrupt)
		}
		last = k
		return read(k, v)
	})
}

func list(tx *bolt.Tx) ([]Entry, error) {
	var all []Entry
	err := walk(tx, bucketOpen, func(k, v []byte) error {
		if len(k) != IDLen || len(v) == 0 || len(v) > MaxRecord {
			return ErrCorrupt
		}
		all = append(all, Entry{ID: ID(k), Record: append([]byte(nil), v...)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = walk(tx, bucketResolved, func(k, v []byte) error {
		if len(k) != 8 || len(v) <= IDLen || len(v) > IDLen+MaxRecord {
			return ErrCorrupt
		}
		all = append(all, Entry{ID: ID(v[:IDLen]), Record: append([]byte(nil), v[IDLen:]...), Resolved: true})
		return nil
	})
	return all, err
}

// Resolve turns an open entry into a tombstone: both parties have decided. The
// error is ErrUnknown where no such entry is open.
func (l *Log) Resolve(id ID) error {
	err := l.update(func(tx *bolt.Tx) error {
		open, resolved := tx.Bucket([]byte(bucketOpen)), tx.Bucket([]byte(bucketResolved))
		record := open.Get(id[:])
		if record == nil {
			return ErrUnknown
		}
		sequence, err := resolved.NextSequence()
		if err != nil {
			return err
		}
		value := append(id[:len(id):len(id)], record...)
		if err := resolved.Put(binary.BigEndian.AppendUint64(nil, sequence), value); err != nil {
			return err
		}
		if err := open.Delete(id[:]); err != nil {
			return err
		}
		c := resolved.Cursor()
		for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k)+MaxResolved <= sequence; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("votes: resolve: %w", translate(err))
	}
	return nil
}
