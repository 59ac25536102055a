package wire

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// BenchmarkRaft is a turn's message with eight appends of one 1,600-byte entry
// and eight heartbeats, beside protobuf's own codec.
func BenchmarkRaft(b *testing.B) {
	all := raftItems()
	app := proto.Clone(all[3].Msg).(*raftpb.Message)
	app.Entries[0].Data = make([]byte, 1600)
	var items []RaftItem
	for range 8 {
		items = append(items, all[0], RaftItem{Partition: 9, From: 11, To: 12, Msg: app})
	}
	msg := encodeRaft(items)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = dst[:0]
			for i := range items {
				dst = AppendRaft(dst, items[i].Partition, items[i].From, items[i].To, items[i].Msg)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/msg")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r, _ := ReadRaft(msg)
			for it := (RaftItem{}); ; {
				if ok, _ := r.Next(&it); !ok {
					break
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/msg")
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range items {
				raw, _ := proto.Marshal(items[i].Msg)
				var m raftpb.Message
				_ = proto.Unmarshal(raw, &m)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(items)), "ns/msg")
	})
}

// BenchmarkRequest is a turn's message with 32 SETs of 64 bytes.
func BenchmarkRequest(b *testing.B) {
	it := RequestItem{Partition: 3, Slot: 9999, Proto: 2, Flags: 1, Incarnation: 5, Sequence: 1e6,
		Args: [][]byte{[]byte("SET"), []byte("key:000000012345"), make([]byte, 64)}}
	var dst []byte
	var got RequestItem
	b.ReportAllocs()
	for b.Loop() {
		dst = dst[:0]
		for range 32 {
			dst = AppendRequest(dst, &it)
		}
		r, _ := ReadRequests(dst)
		for {
			if ok, _ := r.Next(&got); !ok {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*32), "ns/request")
}
