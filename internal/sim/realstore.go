package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"
	"coterie/internal/storage/statestore"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/raft/v3/raftpb"
)

// realStores are the production stores of a machine, over a file system in
// memory whose crash keeps a seeded part of what was not synced. Pebble's
// background work decides what there is to keep, so only the verdict of such
// a run is a function of its seed.
type realStores struct {
	state.Store // nil while no process runs
	log         *logstore.Store
	mem         *vfs.MemFS
	tearing     atomic.Pointer[dice] // set: the next fsync of the log is where the machine crashes
	torn        *vfs.MemFS           // what it left
	writing     []logstore.Update    // on their way to the log
}

var (
	_ nodeLog   = (*realStores)(nil)
	_ stateDisk = (*realStores)(nil)
)

// The directories of the two stores.
const (
	realLogDir   = "/data/log"
	realStateDir = "/data/state"
)

// Sizes small enough for files to come and go within a run. Bytes.
const (
	realSegment  = 16 << 10
	realMemTable = 256 << 10
	realCache    = 1 << 20
)

// errTorn is what the fsync says in whose middle the machine crashes.
var errTorn = errors.New("the machine crashed")

func newRealStores() *realStores {
	mem := vfs.NewCrashableMem()
	for _, dir := range []string{"/", "/data"} {
		if err := errors.Join(mem.MkdirAll(dir, 0o755), syncDir(mem, dir)); err != nil {
			panic(err) // of a file system in memory
		}
	}
	if err := syncDir(mem, "/"); err != nil {
		panic(err)
	}
	return &realStores{mem: mem}
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// inject takes the picture of a crash in
// the middle of an fsync.
func (s *realStores) inject(op errorfs.Op) error {
	if op.Kind != errorfs.OpFileSync && op.Kind != errorfs.OpFileSyncData || filepath.Dir(op.Path) != realLogDir {
		return nil
	}
	if d := s.tearing.Swap(nil); d != nil {
		s.torn = s.mem.CrashClone(crashOf(*d))
		return errTorn
	}
	return nil
}

func crashOf(d dice) vfs.CrashCloneCfg {
	return vfs.CrashCloneCfg{UnsyncedDataPercent: one(d, 0, 30, 50, 90), RNG: d.rand}
}

// open implements nodeLog, for both stores.
func (s *realStores) open() error {
	if s.log != nil {
		return nil // opened to be founded
	}
	var err error
	fs := errorfs.Wrap(s.mem, errorfs.InjectorFunc(s.inject))
	if s.log, err = logstore.Open(fs, realLogDir, logstore.Options{SegmentBytes: realSegment}); err != nil {
		return err
	}
	st, err := statestore.Open(s.mem, realStateDir, statestore.Options{CacheBytes: realCache, MemTableBytes: realMemTable, TableBytes: 4 << 10})
	if err == nil {
		s.Store = st
	}
	return err
}

// crash implements nodeLog, for both stores. Of a write under way nothing
// got there, or all, or it is cut off in the middle.
func (s *realStores) crash(d dice) (torn bool, err error) {
	after := (*vfs.MemFS)(nil)
	if s.writing != nil && s.log != nil {
		switch d.rand.IntN(3) {
		case 0:
			err = s.log.Append(s.writing)
		case 1:
			s.tearing.Store(&d)
			err = s.log.Append(s.writing)
			s.tearing.Store(nil)
			after, s.torn = s.torn, nil
			torn = true
		}
		if errors.Is(err, errTorn) {
			err = nil
		}
	}
	s.writing = nil
	if after == nil {
		after = s.mem.CrashClone(crashOf(d))
	}
	s.mem = after
	s.close()
	return torn, err
}

// close ends the use of the stores of before the crash. What that writes goes
// to a file system that nobody looks at any more.
func (s *realStores) close() {
	if s.log != nil {
		_ = s.log.Close()
	}
	if s.Store != nil {
		_ = s.Store.Close()
	}
	s.log, s.Store = nil, nil
}

// Crash implements stateDisk: crash has done it.
func (s *realStores) Crash(*rand.Rand) {}

func (s *realStores) begin(updates []logstore.Update) (durable bool, err error) {
	if slices.ContainsFunc(updates, func(u logstore.Update) bool {
		l, ok := s.log.State(u.Partition)
		return !ok || mustSync(&u, l.HardState)
	}) {
		s.writing = updates
		return true, nil
	}
	return false, s.log.Append(updates)
}

// mustSync says whether an update must be durable before it is reported,
// beside the hard state of before.
func mustSync(u *logstore.Update, old logstore.HardState) bool {
	h := u.HardState
	return u.Remove || u.Reset != nil || len(u.Entries) > 0 || h != nil && (h.Term != old.Term || h.Vote != old.Vote)
}

func (s *realStores) finish() error {
	w := s.writing
	s.writing = nil
	return s.log.Append(w)
}

func (s *realStores) write(updates []logstore.Update) error { return s.log.Append(updates) }
func (s *realStores) replicas() []logstore.State            { return s.log.Replicas() }
func (s *realStores) state(p base.PartitionID) (logstore.State, bool) {
	return s.log.State(p)
}
func (s *realStores) reader(p base.PartitionID) partition.LogReader { return realReader{s, p} }

func (s *realStores) synced(base.PartitionID, uint64) (term uint64, ok bool) { return 0, true }

// realReader is one partition's part of the log.
type realReader struct {
	s *realStores
	p base.PartitionID
}

func (r realReader) Term(i uint64) (uint64, error) { return r.s.log.Term(r.p, i) }
func (r realReader) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	return r.s.log.Entries(r.p, lo, hi, maxBytes)
}

// damage flips a bit in a segment that is not the newest, behind its header,
// or cuts its end off.
func (s *realStores) damage(d dice) bool {
	names, err := s.mem.List(realLogDir)
	if err != nil || s.log == nil {
		return false
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(n string) bool { return filepath.Ext(n) != ".log" })
	if len(names) < 2 {
		return false
	}
	path := filepath.Join(realLogDir, names[d.rand.IntN(len(names)-1)])
	if d.chance(0.3) {
		return s.cut(path, d) == nil
	}
	return s.flip(path, d) == nil
}

// cut takes the second half of a file away.
func (s *realStores) cut(path string, d dice) error {
	f, err := s.mem.Open(path)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	short, err := s.mem.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = short.Write(b[:d.rand.IntN(len(b)/2+1)])
	return errors.Join(err, short.Sync(), short.Close(), syncDir(s.mem, realLogDir))
}

func (s *realStores) flip(path string, d dice) error {
	f, err := s.mem.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() < 256 {
		return fmt.Errorf("%s is too short: %w", path, errors.Join(err, io.ErrUnexpectedEOF))
	}
	at := 64 + d.rand.Int64N(info.Size()/2)
	b := []byte{0}
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] ^= 1 << d.rand.IntN(8)
	if _, err := f.WriteAt(b, at); err != nil {
		return err
	}
	return f.Sync()
}
