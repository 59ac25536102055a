package node

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"coterie/internal/base"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The data directory:
//
//	LOCK       held while a process uses the directory
//	node.json  who this node is; written atomically and synced
//	log/       the log store
//	state/     the state store
const (
	lockFile     = "LOCK"
	identityFile = "node.json"
	logDir       = "log"
	stateDir     = "state"
)

// dataFormat is the version of the directory's layout.
const dataFormat = 1

// identity is what a node knows of itself when it starts.
type identity struct {
	Format      int                    `json:"format"`
	Phase       string                 `json:"phase"` // founding, joining, member
	ClusterID   string                 `json:"cluster_id,omitempty"`
	Node        base.NodeID            `json:"node,omitempty"`
	Incarnation uint64                 `json:"incarnation"`
	Token       string                 `json:"token"`
	Join        []string               `json:"join,omitempty"`
	Catalog     base.ReplicaID         `json:"catalog_replica,omitempty"` // of a node that joined
	Peers       map[base.NodeID]string `json:"peers,omitempty"`
}

// The phases of an identity. In the first two the node has served nobody.
const (
	phaseFounding = "founding"
	phaseJoining  = "joining"
	phaseMember   = "member"
)

// cluster is the cluster id as bytes.
func (id *identity) cluster() (c [16]byte, err error) {
	b, err := hex.DecodeString(id.ClusterID)
	if err != nil || len(b) != len(c) {
		return c, fmt.Errorf("malformed cluster id %q in %s", id.ClusterID, identityFile)
	}
	copy(c[:], b)
	return c, nil
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// StartError is why a node cannot start: the cause and the next step, in one
// line.
type StartError struct {
	Cause, Next string
	Err         error
}

func (e *StartError) Error() string {
	if e.Next == "" {
		return e.Cause
	}
	return e.Cause + "; " + e.Next
}

func (e *StartError) Unwrap() error { return e.Err }

// lockDir takes the data directory for this process, and creates it if it is
// not there.
func lockDir(fsys vfs.FS, dir string) (io.Closer, error) {
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return nil, dirError(dir, err)
	}
	names, err := fsys.List(dir)
	if err != nil {
		return nil, dirError(dir, err)
	}
	ours := len(names) == 0
	for _, name := range names {
		ours = ours || name == identityFile || name == lockFile
	}
	if !ours {
		return nil, &StartError{
			Cause: fmt.Sprintf("the data directory %s is not empty and holds no Coterie node", dir),
			Next:  "name an empty or new directory with --data-dir",
		}
	}
	lock, err := fsys.Lock(fsys.PathJoin(dir, lockFile))
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || isReadOnly(err) {
			return nil, dirError(dir, err)
		}
		return nil, &StartError{
			Cause: fmt.Sprintf("the data directory %s is in use by another process", dir),
			Next:  "stop that process, or name another directory with --data-dir", Err: err,
		}
	}
	return lock, nil
}

func dirError(dir string, err error) error {
	cause := fmt.Sprintf("cannot use the data directory %s: %v", dir, err)
	next := "check the path given with --data-dir"
	switch {
	case errors.Is(err, fs.ErrPermission) || isReadOnly(err):
		cause = fmt.Sprintf("the data directory %s is not writable: %v", dir, errors.Unwrap(err))
		next = "give this user write access to it, or name another one with --data-dir"
	}
	return &StartError{Cause: cause, Next: next, Err: err}
}

// loadIdentity reads who this node is; nil if the directory is new.
func loadIdentity(fsys vfs.FS, dir string) (*identity, error) {
	path := fsys.PathJoin(dir, identityFile)
	f, err := fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, dirError(dir, err)
	}
	b, err := io.ReadAll(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	id := &identity{}
	if err == nil {
		err = json.Unmarshal(b, id)
	}
	if err != nil {
		return nil, &StartError{
			Cause: fmt.Sprintf("%s cannot be read: %v", path, err),
			Next:  "restore it from a copy; if there is none, rejoin with an empty data directory", Err: err,
		}
	}
	if id.Format > dataFormat {
		return nil, &StartError{
			Cause: fmt.Sprintf("the data directory %s was written by a newer version (format %d, this program knows %d)", dir, id.Format, dataFormat),
			Next:  "run that version or a later one",
		}
	}
	return id, nil
}

// save writes the identity so that a crash leaves the old or the new one.
func (id *identity) save(fsys vfs.FS, dir string) error {
	id.Format = dataFormat
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	tmp := fsys.PathJoin(dir, identityFile+".tmp")
	f, err := fsys.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return dirError(dir, err)
	}
	if _, err = f.Write(append(b, '\n')); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, fsys.PathJoin(dir, identityFile))
	}
	if err == nil {
		err = syncDir(fsys, dir)
	}
	if err != nil {
		return dirError(dir, err)
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// diskUsed sums up the files below dir, in bytes.
func diskUsed(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}

// isReadOnly says whether err comes from a read-only file system.
func isReadOnly(err error) bool {
	var pe *os.PathError
	return errors.As(err, &pe) && errors.Is(pe.Err, errReadOnlyFS)
}
