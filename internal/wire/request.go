package wire

import (
	"encoding/binary"

	"coterie/internal/base"
)

// RequestItem is a command on its way from the gateway node, which is the
// sender, to the leader of its partition in Term. Incarnation and Sequence
// complete the request's origin; the reply comes back under Sequence and
// Attempt. LowWater is not above Sequence.
type RequestItem struct {
	Sequence    uint64
	LowWater    uint64
	Incarnation uint64
	Attempt     uint64
	Session     uint64
	Term        uint64
	Partition   base.PartitionID
	Slot        base.Slot
	DB          uint8
	Proto       uint8
	Flags       uint8
	Args        [][]byte
}

// ReplyItem is the end of a forwarded request. Leader and Term are what the
// sender knows of the partition's leadership when it did not run the request.
type ReplyItem struct {
	Sequence uint64
	Attempt  uint64
	Status   uint8
	Leader   base.NodeID
	Term     uint64
	Reply    []byte
}

// AppendRequest adds one request to a KindRequest message, or starts one if
// dst is empty.
func AppendRequest(dst []byte, it *RequestItem) []byte {
	dst = begin(dst, KindRequest)
	dst = binary.AppendUvarint(dst, it.Sequence)
	dst = binary.AppendUvarint(dst, it.Sequence-it.LowWater)
	dst = binary.AppendUvarint(dst, it.Incarnation)
	dst = binary.AppendUvarint(dst, it.Attempt)
	dst = binary.AppendUvarint(dst, it.Session)
	dst = binary.AppendUvarint(dst, it.Term)
	dst = binary.AppendUvarint(dst, uint64(it.Partition))
	dst = binary.AppendUvarint(dst, uint64(it.Slot))
	dst = append(dst, it.DB, it.Proto, it.Flags)
	dst = binary.AppendUvarint(dst, uint64(len(it.Args)))
	for _, a := range it.Args {
		dst = appendBytes(dst, a)
	}
	return dst
}

// AppendReply adds one reply to a KindReply message, or starts one if dst is
// empty.
func AppendReply(dst []byte, it *ReplyItem) []byte {
	dst = begin(dst, KindReply)
	dst = binary.AppendUvarint(dst, it.Sequence)
	dst = binary.AppendUvarint(dst, it.Attempt)
	dst = append(dst, it.Status)
	dst = binary.AppendUvarint(dst, uint64(it.Leader))
	dst = binary.AppendUvarint(dst, it.Term)
	return appendBytes(dst, it.Reply)
}

// RequestReader takes a KindRequest message apart.
type RequestReader struct{ c cursor }

// ReadRequests opens a KindRequest message.
func ReadRequests(msg []byte) (RequestReader, error) {
	c, err := open(msg, KindRequest)
	return RequestReader{c: c}, err
}

// Next decodes the next request into it and is false at the end, and after an
// error. It reuses it.Args; the arguments themselves alias the message.
func (r *RequestReader) Next(it *RequestItem) (bool, error) {
	c := &r.c
	if len(c.b) == 0 {
		return false, nil
	}
	it.Sequence = c.uvarint()
	it.LowWater = it.Sequence - c.upTo(it.Sequence)
	it.Incarnation = c.uvarint()
	it.Attempt = c.uvarint()
	it.Session = c.uvarint()
	it.Term = c.uvarint()
	it.Partition = base.PartitionID(c.u32())
	it.Slot = base.Slot(c.upTo(base.NumSlots - 1))
	it.DB, it.Proto, it.Flags = c.u8(), c.u8(), c.u8()
	n := c.count()
	if cap(it.Args) < n {
		it.Args = make([][]byte, 0, n)
	}
	it.Args = it.Args[:0]
	for range n {
		it.Args = append(it.Args, c.bytes())
	}
	if c.bad {
		it.Args = it.Args[:0]
		return false, malformed("request item")
	}
	return true, nil
}

// ReplyReader takes a KindReply message apart.
type ReplyReader struct{ c cursor }

// ReadReplies opens a KindReply message.
func ReadReplies(msg []byte) (ReplyReader, error) {
	c, err := open(msg, KindReply)
	return ReplyReader{c: c}, err
}

// Next decodes the next reply into it and is false at the end, and after an
// error. The reply's bytes alias the message.
func (r *ReplyReader) Next(it *ReplyItem) (bool, error) {
	c := &r.c
	if len(c.b) == 0 {
		return false, nil
	}
	it.Sequence = c.uvarint()
	it.Attempt = c.uvarint()
	it.Status = c.u8()
	it.Leader = base.NodeID(c.uvarint())
	it.Term = c.uvarint()
	it.Reply = c.bytes()
	if c.bad {
		return false, malformed("reply item")
	}
	return true, nil
}
