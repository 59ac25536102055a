package partition

import (
	"errors"
	"log/slog"
	"testing"

	"coterie/internal/base"
	"coterie/internal/sim/script"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"
)

// failing is a state store whose reads fail from some time on.
type failing struct {
	state.Reader
	err error
}

func (f *failing) Get(key, dst []byte) ([]byte, bool, error) {
	if f.err != nil {
		return dst, false, f.err
	}
	return f.Reader.Get(key, dst)
}

// torn is an Evaluator that takes a key which is not there for a bug.
type torn struct{ words }

func (torn) Evaluate(txn *Txn, _ *Request, reply []byte) []byte {
	mustFind(txn)
	return reply
}

func (torn) Background(txn *Txn) bool {
	mustFind(txn)
	return false
}

func mustFind(txn *Txn) {
	if _, ok := txn.Get([]byte("there")); !ok {
		panic("a key is missing")
	}
}

// TestTornByDisk: what panics since a read has failed is no bug. The node ends by the
// disk's error, and says that; where no read failed it is one still.
func TestTornByDisk(t *testing.T) {
	id := TxnID{Gateway: 7, Sequence: 1}
	group := [][]byte{[]byte("1/v")}
	for _, tc := range []struct {
		name string
		req  *Request // nil: housekeeping
	}{
		{"command", &Request{Args: [][]byte{[]byte("get")}}},
		{"intent", &Request{Flags: Write | Whole | Transaction, Args: PrepareArgs(id, []base.PartitionID{0, 1}, false, group)}},
		{"reading group", &Request{Flags: Whole | Transaction, Args: ReadArgs(group)}},
		{"housekeeping", nil},
	} {
		for _, broken := range []error{errors.New("the disk is broken"), nil} {
			var out Output
			r, disk := lead(t, torn{})
			r.background = tc.req == nil
			if tc.req != nil {
				req := *tc.req
				req.Partition, req.Term, req.LowWater = 1, r.term, 1
				req.Origin = base.Origin{Gateway: 7, Incarnation: 1, Sequence: 1001}
				r.Submit(&req, &out)
			}
			disk.err = broken
			fault := func() (p any) {
				defer func() { p = recover() }()
				r.Evaluate(1000, nil, &out)
				return nil
			}()
			switch {
			case broken == nil && (fault == nil || out.Fatal != nil):
				t.Errorf("%s: a bug without a failed read: panic %v, fatal %v", tc.name, fault, out.Fatal)
			case broken != nil && (fault != nil || !errors.Is(out.Fatal, broken) || len(out.Finished) > 0):
				t.Errorf("%s: panic %v, fatal %v, %d answered", tc.name, fault, out.Fatal, len(out.Finished))
			}
		}
	}
}

// lead makes a replica that leads, alone.
func lead(t *testing.T, eval Evaluator) (*Replica, *failing) {
	g := &group{t: t, members: map[uint64]*member{}, reqs: map[string]*Request{}}
	m := g.add(1)
	m.log.apply(&logstore.Update{Reset: &logstore.Mark{Index: 1, Term: 1}, HardState: &logstore.HardState{Term: 1, Commit: 1}})
	s := State{
		Index: 1, Term: 1, NextObjectID: 1, Span: base.Span{Hi: 100}, Epoch: 1,
		Conf: Conf{Voters: []uint64{1}}, Members: map[base.ReplicaID]base.NodeID{1: 1},
	}
	disk := &failing{Reader: m.store}
	r, err := New(Config{
		Partition: 1, Replica: 1, Node: 1, Log: m.log, Base: disk, Evaluator: eval,
		Logger: slog.New(slog.DiscardHandler), Rand: func() uint64 { return 4 }, ReadOnly: func() string { return "" },
	}, Recovered{State: s, Log: m.log.state})
	if err != nil {
		t.Fatal(err)
	}
	if m.r = r; r.rn.Campaign() != nil {
		t.Fatal("no campaign")
	}
	if g.settle(&script.Command{}, []uint64{1}, nil); !r.Ready() {
		t.Fatal("it does not lead")
	}
	return r, disk
}
