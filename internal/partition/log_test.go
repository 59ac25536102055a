package partition

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestShrinkLeavesMessagesAlone: what was read from the log for a message is
// whole when the message is sent, whatever the cache dropped meanwhile.
func TestShrinkLeavesMessagesAlone(t *testing.T) {
	l := &logView{}
	for i := range uint64(4) {
		e := &pb.Entry{Index: new(i + 1), Term: new(uint64(1)), Data: make([]byte, cacheBytes)}
		if err := l.append([]*pb.Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	l.stable = 4
	ents, err := l.Entries(1, 5, 1<<40)
	if err != nil || len(ents) != 4 {
		t.Fatalf("%d entries, %v", len(ents), err)
	}
	l.shrink(4)
	if l.cached() == 1 {
		t.Fatal("nothing was dropped")
	}
	for i, e := range ents {
		if e.GetIndex() != uint64(i+1) || len(e.GetData()) != cacheBytes {
			t.Errorf("entry %d became %v", i+1, e.GetIndex())
		}
	}
}
