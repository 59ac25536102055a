package datatype_test

import (
	"context"
	goflag "flag"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
	"coterie/internal/overlay"
	"coterie/internal/storage/statestore"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	queueRounds = goflag.Int("datatype.queue", 40_000, "pushes and pops of the test of queues")
	largeList   = goflag.Int("datatype.large", 300_000, "values of the test of a large list")
)

// stack is a partition's storage as a node has it, from the overlay down to
// Pebble, in one goroutine and without a log.
type stack struct {
	t       testing.TB
	ov      *overlay.Overlay
	store   *statestore.Store
	eval    *command.Evaluator
	ids     uint64
	effects int // bytes that a log would have taken
	reply   []byte
}

// maxOverlay is how much stays in memory before it is moved down.
const maxOverlay = 8 << 20

func newStack(t testing.TB) *stack {
	store, err := statestore.Open(vfs.Default, t.TempDir(), statestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	return &stack{t: t, store: store, ov: overlay.New(store), eval: command.NewEvaluator(table, keyspace.Limits{})}
}

// stackTxn is the stack as a transaction sees it.
type stackTxn struct {
	*overlay.Overlay
	s *stack
}

func (t stackTxn) Now() base.Stamp              { return base.StampFromMillis(1_700_000_000_000) }
func (t stackTxn) NewObjectID(base.Slot) uint64 { t.s.ids++; return t.s.ids }
func (t stackTxn) Rand() uint64                 { return rand.Uint64() }

func (t stackTxn) Savepoint() kv.Savepoint {
	m := t.Mark()
	return kv.Savepoint{Body: m.Body, Undo: m.Undo}
}

func (t stackTxn) Revert(s kv.Savepoint) {
	t.CloseIters()
	t.Cut(overlay.Mark{Body: s.Body, Undo: s.Undo})
}

func (s *stack) run(args ...string) string {
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	s.ov.Begin()
	s.reply, _ = s.eval.Evaluate(command.Call{Txn: stackTxn{s.ov, s}, Partition: 1, Span: wholeSpan, Proto: 2, Args: list}, s.reply[:0])
	if s.ov.Wrote() {
		s.effects += s.ov.BodyLen()
		s.ov.End()
		s.ov.Committed()
	} else {
		s.ov.End()
	}
	if err := s.ov.Err(); err != nil {
		s.t.Fatal(err)
	}
	if s.ov.Bytes() > maxOverlay || s.ov.NeedsFreeze() {
		s.move()
	}
	return string(s.reply)
}

// move moves everything down into Pebble.
func (s *stack) move() {
	b := s.store.NewBatch()
	for _, op := range s.ov.Freeze().Ops() {
		overlay.Write(b, op)
	}
	if err := s.store.Commit(b); err != nil {
		s.t.Fatal(err)
	}
	s.ov.Moved()
	if err := s.store.Flush(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// fill makes a list of n values.
func (s *stack) fill(key string, n int, value string) {
	for n > 0 {
		args := []string{"rpush", key}
		for range min(n, 1000) {
			args = append(args, value)
		}
		n -= len(args) - 2
		s.run(args...)
	}
}

// TestQueueStaysFlat: a queue that is kept at some length costs the same at
// the end as at the beginning, and leaves nothing behind. Times are judged in a
// long run only, such as -datatype.queue=5000000: a short one meets the noise
// of the machine.
func TestQueueStaysFlat(t *testing.T) {
	for _, length := range []int{10, 1000, 100_000} {
		s := newStack(t)
		s.fill("q", length, strings.Repeat("v", 40))
		var first, last time.Duration
		var firstBytes, lastBytes int
		for part := range 5 {
			start, before := cpuTime(), s.effects
			for range *queueRounds / 5 {
				s.run("lpush", "q", strings.Repeat("w", 40))
				if got := s.run("rpop", "q"); len(got) != 47 {
					t.Fatalf("rpop answered %q", got)
				}
			}
			last = cpuTime() - start
			lastBytes = s.effects - before
			if part == 0 {
				first, firstBytes = last, lastBytes
			}
			t.Logf("length %d: %v of processor time and %d bytes of effects for a push and a pop", length,
				last/time.Duration(*queueRounds/5), lastBytes/(*queueRounds/5))
		}
		if lastBytes > firstBytes*11/10 {
			t.Errorf("length %d: the first fifth wrote %d bytes, the last %d", length, firstBytes, lastBytes)
		}
		if *queueRounds >= 1_000_000 && last > 2*first {
			t.Errorf("length %d: the first fifth took %v, the last %v", length, first, last)
		}
		s.move()
		if got := s.run("llen", "q"); got != integer(length) {
			t.Errorf("llen %q", got)
		}
		if n := s.count(); n > length/10+20 {
			t.Errorf("length %d: %d keys are in the store", length, n)
		}
		if err := keyspace.Check(s.ov, wholeSpan); err != nil {
			t.Error(err)
		}
	}
}

func (s *stack) count() (n int) {
	it := s.ov.Iter(nil, []byte{0x40})
	defer it.Close()
	for it.Next() {
		n++
	}
	return n
}

// TestLargeList: what is not about all of a large list is quick, deleting it
// too. -datatype.large=10000000 is the long run.
func TestLargeList(t *testing.T) {
	s := newStack(t)
	n := *largeList
	start := time.Now()
	s.fill("l", n, "a value of it")
	t.Logf("%d values pushed in %v, %d bytes of effects", n, time.Since(start), s.effects)
	s.move()
	half := strconv.Itoa(n / 2)
	for _, args := range [][]string{
		{"llen", "l"}, {"lindex", "l", half}, {"lset", "l", half, "x"}, {"lrange", "l", half, half},
		{"lpush", "l", "v"}, {"rpop", "l"}, {"lpos", "l", "x", "rank", "1", "maxlen", "1000"},
		{"rename", "l", "{l}m"}, {"rename", "{l}m", "l"}, {"ltrim", "l", "0", strconv.Itoa(n - 1000)}, {"del", "l"},
	} {
		before, start := s.effects, time.Now()
		reply := s.run(args...)
		took := time.Since(start)
		t.Logf("%q: %v, %d bytes of effects, %q", args, took, s.effects-before, reply)
		if took > time.Second || strings.HasPrefix(reply, "-") {
			t.Errorf("%q took %v and answered %q", args, took, reply)
		}
	}
	s.move()
	if n := s.count(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	if got := s.run("rpush", "l", "new"); got != integer(1) {
		t.Errorf("rpush %q", got)
	}
}
