package wire

import (
	"bytes"
	"testing"
)

// FuzzDecode: any bytes decode without a panic, and what decodes, encodes to
// bytes that decode to the same.
func FuzzDecode(f *testing.F) {
	for _, msg := range messages() {
		f.Add(msg)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if decodeAny(msg) != nil {
			return
		}
		switch k, _ := KindOf(msg); k {
		case KindRaft:
			items, _ := decodeRaft(msg)
			if len(items) == 0 {
				return
			}
			again, err := decodeRaft(encodeRaft(items))
			if err != nil {
				t.Fatal(err)
			}
			sameRaft(t, again, items)
		case KindRequest:
			once := recodeRequests(msg)
			if twice := recodeRequests(once); !bytes.Equal(once, twice) {
				t.Fatalf("%x\n%x", once, twice)
			}
		case KindReply:
			once := recodeReplies(msg)
			if twice := recodeReplies(once); !bytes.Equal(once, twice) {
				t.Fatalf("%x\n%x", once, twice)
			}
		case KindSnapshotChunk:
			var a, b SnapshotChunk
			_ = ReadSnapshotChunk(msg, &a)
			if err := ReadSnapshotChunk(AppendSnapshotChunk(nil, &a), &b); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(AppendSnapshotChunk(nil, &a), AppendSnapshotChunk(nil, &b)) {
				t.Fatalf("%+v\n%+v", a, b)
			}
		case KindSnapshotAck:
			a, _ := ReadSnapshotAck(msg)
			if b, err := ReadSnapshotAck(AppendSnapshotAck(nil, a)); err != nil || a != b {
				t.Fatalf("%+v %+v %v", a, b, err)
			}
		}
	})
}

func recodeRequests(msg []byte) (out []byte) {
	r, _ := ReadRequests(msg)
	for it := (RequestItem{}); ; {
		if ok, _ := r.Next(&it); !ok {
			return out
		}
		out = AppendRequest(out, &it)
	}
}

func recodeReplies(msg []byte) (out []byte) {
	r, _ := ReadReplies(msg)
	for it := (ReplyItem{}); ; {
		if ok, _ := r.Next(&it); !ok {
			return out
		}
		out = AppendReply(out, &it)
	}
}
