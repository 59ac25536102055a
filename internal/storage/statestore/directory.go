package statestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// formatVersion is the version of everything in the directory: its files,
	// Pebble's format, the layout of the keys.
	formatVersion = 1

	formatFile   = "FORMAT"
	formatPrefix = "coterie state store "
	dbDir        = "db"
	importDir    = "import"
)

// prepare makes dir ready for the database: locked, of a known format, and
// without anything that a crash left half done.
func prepare(fsys vfs.FS, dir string) (*pebble.Lock, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, err
	}
	lock, err := pebble.LockDirectory(dir, fsys)
	if err != nil {
		if isLockHeld(err) {
			return nil, fmt.Errorf("%w: %w", state.ErrLocked, err)
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := prepareLocked(fsys, dir); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

func prepareLocked(fsys vfs.FS, dir string) error {
	if err := checkFormat(fsys, dir); err != nil {
		return err
	}
	imports := fsys.PathJoin(dir, importDir)
	if err := fsys.RemoveAll(imports); err != nil {
		return fmt.Errorf("remove unfinished imports: %w", err)
	}
	for _, d := range []string{imports, fsys.PathJoin(dir, dbDir)} {
		if err := fsys.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return syncDir(fsys, dir)
}

// isLockHeld tells "somebody holds it" from "cannot lock here at all". A file
// system's own troubles come as a PathError; what is left is the error number
// of fcntl, or a message about a lock within this process.
func isLockHeld(err error) bool {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return false
	}
	if no := syscall.Errno(0); errors.As(err, &no) {
		return no == syscall.EAGAIN || no == syscall.EACCES
	}
	return strings.Contains(err.Error(), "lock held")
}

// checkFormat refuses a directory that it does not know, and marks a new one.
func checkFormat(fsys vfs.FS, dir string) error {
	name := fsys.PathJoin(dir, formatFile)
	text, err := readFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		// The mark is written before the database, so a database without it
		// was tampered with. It is not ours to judge what it is.
		if ls, err := fsys.List(fsys.PathJoin(dir, dbDir)); err == nil && len(ls) > 0 {
			return fmt.Errorf("%s is missing, though there is a database: restore the file, or replace this node", name)
		}
		return writeFormat(fsys, dir, name)
	}
	if err != nil {
		return err
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(string(text), "\n"), formatPrefix)
	version, err := strconv.Atoi(number)
	switch {
	case !ok || err != nil || version < 1:
		return fmt.Errorf("%w: %s holds %q", state.ErrCorrupt, name, text)
	case version > formatVersion:
		return fmt.Errorf("%w: %s says %d, this binary knows up to %d; start the newer binary", state.ErrNewerFormat, name, version, formatVersion)
	}
	return nil
}

func writeFormat(fsys vfs.FS, dir, name string) error {
	temp := name + ".new"
	f, err := fsys.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s%d\n", formatPrefix, formatVersion)
	if err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(fsys, dir)
}

func readFile(fsys vfs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	return text, errors.Join(err, f.Close())
}

// makeDir makes a directory and those above it, durably. It also syncs the
// parent of one that exists: whoever made it may not have come to that.
func makeDir(fsys vfs.FS, dir string) error {
	parent := fsys.PathDir(dir)
	if _, err := fsys.Stat(parent); errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
