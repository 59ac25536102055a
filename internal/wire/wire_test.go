package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"coterie/internal/base"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a new format version")

func u64(v uint64) *uint64 { return &v }

// raftItems is one message of every shape that raft sends between nodes.
func raftItems() []RaftItem {
	between := func(t raftpb.MessageType, m *raftpb.Message) *raftpb.Message {
		m.Type, m.From, m.To = t.Enum(), u64(11), u64(12)
		return m
	}
	normal, confChange := raftpb.EntryNormal.Enum(), raftpb.EntryConfChangeV2.Enum()
	msgs := []*raftpb.Message{
		between(raftpb.MsgHeartbeat, &raftpb.Message{Term: u64(3), Commit: u64(900)}),
		between(raftpb.MsgHeartbeat, &raftpb.Message{Term: u64(3), Commit: u64(900), Context: []byte("ctx")}),
		between(raftpb.MsgHeartbeatResp, &raftpb.Message{Term: u64(3), Context: []byte{}}),
		between(raftpb.MsgApp, &raftpb.Message{Term: u64(3), LogTerm: u64(2), Index: u64(900), Commit: u64(899),
			Entries: []*raftpb.Entry{{Term: u64(3), Index: u64(901), Type: normal, Data: []byte("payload")}}}),
		between(raftpb.MsgApp, &raftpb.Message{Term: u64(4), LogTerm: u64(2), Index: u64(900), Commit: u64(899),
			Entries: []*raftpb.Entry{
				{Term: u64(2), Index: u64(901), Type: normal, Data: []byte("one")},
				{Term: u64(2), Index: u64(902)},
				{Term: u64(4), Index: u64(903), Type: normal},
				{Term: u64(4), Index: u64(904), Type: confChange, Data: []byte{}},
				{Data: []byte("no index")},
				{Term: u64(4), Index: u64(1 << 63), Type: normal, Data: bytes.Repeat([]byte("x"), 200)},
			}}),
		between(raftpb.MsgAppResp, &raftpb.Message{Term: u64(3), Index: u64(901)}),
		between(raftpb.MsgAppResp, &raftpb.Message{Term: u64(3), Index: u64(901), LogTerm: u64(2), Reject: proto.Bool(true), RejectHint: u64(880)}),
		between(raftpb.MsgPreVote, &raftpb.Message{Term: u64(4), LogTerm: u64(3), Index: u64(901), Context: []byte("CampaignTransfer")}),
		between(raftpb.MsgVoteResp, &raftpb.Message{Term: u64(4), Reject: proto.Bool(false)}),
		between(raftpb.MsgTimeoutNow, &raftpb.Message{Term: u64(4)}),
		between(raftpb.MsgReadIndexResp, &raftpb.Message{Index: u64(7), Entries: []*raftpb.Entry{{Data: []byte("ctx")}}}),
		between(raftpb.MsgSnap, &raftpb.Message{Term: u64(4), Snapshot: &raftpb.Snapshot{
			Data: []byte("where the data are"),
			Metadata: &raftpb.SnapshotMetadata{Index: u64(900), Term: u64(3), ConfState: &raftpb.ConfState{
				Voters: []uint64{11, 12, 300}, Learners: []uint64{13}, VotersOutgoing: []uint64{11, 14}, LearnersNext: []uint64{14},
				AutoLeave: proto.Bool(true)}}}}),
		between(raftpb.MsgSnap, &raftpb.Message{Snapshot: &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: &raftpb.ConfState{AutoLeave: proto.Bool(false)}}}}),
		between(raftpb.MsgApp, &raftpb.Message{Snapshot: &raftpb.Snapshot{}}),
		{Type: raftpb.MsgForgetLeader.Enum(), From: u64(99), To: u64(98), Term: u64(0), Vote: u64(1 << 40)},
		{},
	}
	var items []RaftItem
	for i, m := range msgs {
		items = append(items, RaftItem{Partition: base.PartitionID(i * 40), From: 11, To: 12, Msg: m})
	}
	return items
}

func encodeRaft(items []RaftItem) []byte {
	var msg []byte
	for _, it := range items {
		msg = AppendRaft(msg, it.Partition, it.From, it.To, it.Msg)
	}
	return msg
}

func decodeRaft(msg []byte) ([]RaftItem, error) {
	r, err := ReadRaft(msg)
	if err != nil {
		return nil, err
	}
	var items []RaftItem
	for {
		var it RaftItem
		ok, err := r.Next(&it)
		if !ok {
			return items, err
		}
		items = append(items, it)
	}
}

func sameRaft(t interface{ Fatalf(string, ...any) }, got, want []RaftItem) {
	if len(got) != len(want) {
		t.Fatalf("%d items, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if g.Partition != w.Partition || g.From != w.From || g.To != w.To || !proto.Equal(g.Msg, w.Msg) {
			t.Fatalf("item %d:\n got %d %d %d %v\nwant %d %d %d %v", i, g.Partition, g.From, g.To, g.Msg, w.Partition, w.From, w.To, w.Msg)
		}
	}
}

func requestItems() []RequestItem {
	return []RequestItem{
		{Sequence: 1 << 33, LowWater: 1<<33 - 200, Incarnation: 7, Attempt: 4, Session: 70_000, Term: 9, Partition: 2, Slot: 16383, DB: 15, Proto: 3, Flags: 3, Args: [][]byte{[]byte("SET"), []byte("k"), {}}},
		{Sequence: 1 << 63, Proto: 2, Args: [][]byte{bytes.Repeat([]byte("v"), 300)}},
		{Args: [][]byte{}},
	}
}

func replyItems() []ReplyItem {
	return []ReplyItem{
		{Sequence: 1, Reply: []byte("+OK\r\n")},
		{Sequence: 300, Attempt: 4, Status: 1, Leader: 3, Term: 12, Reply: []byte("-TRYAGAIN no leader\r\n")},
		{Sequence: 0, Status: 255, Leader: 1 << 63, Reply: []byte{}},
	}
}

func chunks() []SnapshotChunk {
	return []SnapshotChunk{
		{Partition: 5, From: 11, To: 12, Stream: 99, Meta: []byte("meta"), Data: []byte("data")},
		{Partition: 1<<32 - 1, From: 1 << 63, To: 12, Stream: 99, Seq: 1<<32 - 1, Last: true, Data: []byte{}},
	}
}

// messages is every message of the golden files, by name.
func messages() map[string][]byte {
	m := map[string][]byte{"raft": encodeRaft(raftItems())}
	var req, rep []byte
	for _, it := range requestItems() {
		req = AppendRequest(req, &it)
	}
	for _, it := range replyItems() {
		rep = AppendReply(rep, &it)
	}
	m["request"], m["reply"] = req, rep
	m["snapshot-first"] = AppendSnapshotChunk(nil, &chunks()[0])
	m["snapshot-last"] = AppendSnapshotChunk(nil, &chunks()[1])
	m["snapshot-ack"] = AppendSnapshotAck(nil, SnapshotAck{Stream: 99, Seq: 300, Status: 2})
	m["report"] = AppendReport(nil, []byte(`{"v":1}`))
	maps.Copy(m, pubsubMessages())
	return m
}

func TestGolden(t *testing.T) {
	for name, msg := range messages() {
		file := filepath.Join("testdata", fmt.Sprintf("%s-v%d.hex", name, msg[1]))
		if *update {
			var out strings.Builder
			for b := msg; len(b) > 0; b = b[min(32, len(b)):] {
				out.WriteString(hex.EncodeToString(b[:min(32, len(b))]) + "\n")
			}
			if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
		if err != nil || !bytes.Equal(msg, want) {
			t.Errorf("%s: the bytes of its version changed (%v)\n got %x\nwant %x", name, err, msg, want)
		}
	}
}

func TestRaftRoundTrip(t *testing.T) {
	want := raftItems()
	got, err := decodeRaft(encodeRaft(want))
	if err != nil {
		t.Fatal(err)
	}
	sameRaft(t, got, want)
}

func TestRaftHeartbeatIsSmall(t *testing.T) {
	hb := raftItems()[0]
	if n := len(AppendRaft(nil, 3, hb.From, hb.To, hb.Msg)) - headerBytes; n > 8 {
		t.Errorf("a heartbeat takes %d bytes", n)
	}
}

// TestRaftAnyPresence encodes messages with any subset of the fields set.
func TestRaftAnyPresence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		num := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 300), rapid.Uint64())
		data := rapid.SliceOfN(rapid.Byte(), 0, 9)
		has := func() bool { return rapid.Bool().Draw(t, "has") }
		opt := func() *uint64 {
			if !has() {
				return nil
			}
			return u64(num.Draw(t, "number"))
		}
		blob := func() []byte {
			if !has() {
				return nil
			}
			return data.Draw(t, "bytes")
		}
		var items []RaftItem
		for range rapid.IntRange(1, 4).Draw(t, "items") {
			m := &raftpb.Message{To: opt(), From: opt(), Term: opt(), LogTerm: opt(), Index: opt(), Commit: opt(), Vote: opt(), RejectHint: opt(), Context: blob()}
			if has() {
				m.Type = raftpb.MessageType(rapid.Int32Range(0, int32(lastMessageType)).Draw(t, "type")).Enum()
			}
			if has() {
				m.Reject = proto.Bool(has())
			}
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				e := &raftpb.Entry{Term: opt(), Index: opt(), Data: blob()}
				if has() {
					e.Type = raftpb.EntryType(rapid.Int32Range(0, 2).Draw(t, "entry type")).Enum()
				}
				m.Entries = append(m.Entries, e)
			}
			if has() {
				m.Snapshot = &raftpb.Snapshot{Data: blob()}
				if has() {
					m.Snapshot.Metadata = &raftpb.SnapshotMetadata{Index: opt(), Term: opt()}
				}
			}
			it := RaftItem{Partition: base.PartitionID(rapid.Uint32().Draw(t, "partition")), Msg: m}
			it.From, it.To = base.ReplicaID(num.Draw(t, "from")), base.ReplicaID(num.Draw(t, "to"))
			items = append(items, it)
		}
		got, err := decodeRaft(encodeRaft(items))
		if err != nil {
			t.Fatal(err)
		}
		sameRaft(t, got, items)
	})
}

func TestRequestsAndReplies(t *testing.T) {
	m := messages()
	rr, err := ReadRequests(m["request"])
	if err != nil {
		t.Fatal(err)
	}
	var it RequestItem
	for i, want := range requestItems() {
		if ok, err := rr.Next(&it); !ok || !reflect.DeepEqual(it, want) {
			t.Errorf("request %d: %v %v\n got %+v\nwant %+v", i, ok, err, it, want)
		}
	}
	if ok, err := rr.Next(&it); ok || err != nil {
		t.Errorf("after the last request: %v %v", ok, err)
	}
	pr, err := ReadReplies(m["reply"])
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range replyItems() {
		var it ReplyItem
		if ok, err := pr.Next(&it); !ok || !reflect.DeepEqual(it, want) {
			t.Errorf("reply %d: %v %v\n got %+v\nwant %+v", i, ok, err, it, want)
		}
	}
}

func TestSnapshotMessages(t *testing.T) {
	for _, want := range chunks() {
		var got SnapshotChunk
		if err := ReadSnapshotChunk(AppendSnapshotChunk(nil, &want), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
		}
	}
	want := SnapshotAck{Stream: 5, Seq: 6, Status: 7}
	if got, err := ReadSnapshotAck(AppendSnapshotAck(nil, want)); err != nil || got != want {
		t.Errorf("%v %v", got, err)
	}
}

// TestTruncated cuts every message at every place: an error or fewer items,
// never a panic.
func TestTruncated(t *testing.T) {
	for name, msg := range messages() {
		for n := range msg {
			decodeAny(msg[:n])
			bad := bytes.Clone(msg)
			bad[n] ^= 0xff
			decodeAny(bad)
		}
		if err := decodeAny(msg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownKindAndVersion(t *testing.T) {
	for _, tc := range []struct {
		msg  []byte
		want error
	}{
		{nil, ErrMalformed},
		{[]byte{1}, ErrMalformed},
		{[]byte{0, 1}, ErrUnknown},
		{[]byte{10, 1}, ErrUnknown},
		{[]byte{1, 2}, ErrUnknown},
		{[]byte{2, 1}, ErrUnknown},
		{[]byte{2, 2}, ErrMalformed}, // a request, opened as raft
	} {
		if _, err := ReadRaft(tc.msg); !errors.Is(err, tc.want) {
			t.Errorf("%x: %v, want %v", tc.msg, err, tc.want)
		}
	}
}

// TestLiesAllocateNothing gives decoders counts that the bytes do not back.
func TestLiesAllocateNothing(t *testing.T) {
	pad := bytes.Repeat([]byte{0}, 1<<20)
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	million := []byte{0xff, 0xff, 0x3f} // 2^20-1
	raft := []byte{1, 1, 1, 1, 1, byte(raftpb.MsgApp) + 1}
	snap := append(append(bytes.Clone(raft), 0x80, 0x20), snapMeta|snapConf)
	for name, msg := range map[string][]byte{
		"entries":       append(append(bytes.Clone(raft), 0x80, 0x01), huge...),
		"empty entries": append(append(append(bytes.Clone(raft), 0x80, 0x01), million...), pad...),
		"empty items":   append([]byte{1, 1}, pad...),
		"voters":        append(append(snap, million...), pad...),
		"args":          append(append([]byte{2, 1, 1, 1, 1, 0, 2, 0, 1, 1}, million...), pad...),
		"no args":       append([]byte{2, 1}, pad...),
		"reply":         append([]byte{3, 1, 1, 1, 1, 1}, huge...),
		"replies":       append([]byte{3, 1}, pad...),
		"chunk":         append([]byte{4, 1, 1, 1, 1, 1, 1, 2}, huge...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decodeAny(msg)
		runtime.ReadMemStats(&after)
		if spent, most := after.TotalAlloc-before.TotalAlloc, uint64(len(msg))*maxAmplification+4096; spent > most {
			t.Errorf("%s (%v): %d bytes made it allocate %d", name, err, len(msg), spent)
		}
	}
}

// decodeAny decodes a message of whatever kind it says it is, to its end.
func decodeAny(msg []byte) error {
	k, err := KindOf(msg)
	if err != nil {
		return err
	}
	ok := true
	switch k {
	case KindRaft:
		r, _ := ReadRaft(msg)
		for it := (RaftItem{}); ok; {
			ok, err = r.Next(&it)
		}
	case KindRequest:
		r, _ := ReadRequests(msg)
		for it := (RequestItem{}); ok; {
			ok, err = r.Next(&it)
		}
	case KindReply:
		r, _ := ReadReplies(msg)
		for it := (ReplyItem{}); ok; {
			ok, err = r.Next(&it)
		}
	case KindSnapshotChunk:
		err = ReadSnapshotChunk(msg, &SnapshotChunk{})
	case KindSnapshotAck:
		_, err = ReadSnapshotAck(msg)
	case KindReport:
		_, err = ReadReport(msg)
	case KindPublish:
		r, _ := ReadPublish(msg)
		for it := (PublishItem{}); ok; {
			ok, err = r.Next(&it)
		}
	case KindInterest:
		var r InterestReader
		r, _, err = ReadInterest(msg)
		for it := (InterestItem{}); ok && err == nil; {
			ok, err = r.Next(&it)
		}
	case KindInterestAck:
		_, err = ReadInterestAck(msg)
	}
	return err
}
