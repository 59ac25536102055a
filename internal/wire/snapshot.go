package wire

import (
	"encoding/binary"

	"coterie/internal/base"
)

// SnapshotChunk is a part of a snapshot on its way from a replica to a
// replica. Stream names the transfer, Seq counts its parts from 0, Last marks
// the last one. Meta is set in the first part: the raft message that announces
// the snapshot, and whatever the sender's storage says about what follows.
type SnapshotChunk struct {
	Partition base.PartitionID
	From, To  base.ReplicaID
	Stream    uint64
	Seq       uint32
	Last      bool
	Meta      []byte
	Data      []byte
}

// SnapshotAck is the receiver's word on the parts of a stream up to Seq.
type SnapshotAck struct {
	Stream uint64
	Seq    uint32
	Status uint8
}

// The bits of a chunk's flags.
const (
	chunkLast = 1 << iota
	chunkMeta
	chunkBits = chunkMeta<<1 - 1
)

// AppendSnapshotChunk adds the message to an empty dst.
func AppendSnapshotChunk(dst []byte, ch *SnapshotChunk) []byte {
	dst = append(dst, byte(KindSnapshotChunk), versions[KindSnapshotChunk])
	dst = binary.AppendUvarint(dst, uint64(ch.Partition))
	dst = binary.AppendUvarint(dst, uint64(ch.From))
	dst = binary.AppendUvarint(dst, uint64(ch.To))
	dst = binary.AppendUvarint(dst, ch.Stream)
	dst = binary.AppendUvarint(dst, uint64(ch.Seq))
	flags := byte(0)
	if ch.Last {
		flags |= chunkLast
	}
	if ch.Meta != nil {
		flags |= chunkMeta
	}
	dst = append(dst, flags)
	if ch.Meta != nil {
		dst = appendBytes(dst, ch.Meta)
	}
	return append(dst, ch.Data...)
}

// ReadSnapshotChunk decodes a KindSnapshotChunk message into ch; Meta and Data
// alias it.
func ReadSnapshotChunk(msg []byte, ch *SnapshotChunk) error {
	c, err := open(msg, KindSnapshotChunk)
	if err != nil {
		return err
	}
	*ch = SnapshotChunk{
		Partition: base.PartitionID(c.u32()),
		From:      base.ReplicaID(c.uvarint()),
		To:        base.ReplicaID(c.uvarint()),
		Stream:    c.uvarint(),
		Seq:       c.u32(),
	}
	flags := c.u8()
	ch.Last = flags&chunkLast != 0
	if flags&chunkMeta != 0 {
		ch.Meta = c.bytes()
	}
	if c.bad || flags > chunkBits {
		return malformed("snapshot chunk")
	}
	ch.Data = c.b
	return nil
}

// AppendSnapshotAck adds the message to an empty dst.
func AppendSnapshotAck(dst []byte, a SnapshotAck) []byte {
	dst = append(dst, byte(KindSnapshotAck), versions[KindSnapshotAck])
	dst = binary.AppendUvarint(dst, a.Stream)
	dst = binary.AppendUvarint(dst, uint64(a.Seq))
	return append(dst, a.Status)
}

// ReadSnapshotAck decodes a KindSnapshotAck message.
func ReadSnapshotAck(msg []byte) (SnapshotAck, error) {
	c, err := open(msg, KindSnapshotAck)
	if err != nil {
		return SnapshotAck{}, err
	}
	a := SnapshotAck{Stream: c.uvarint(), Seq: c.u32(), Status: c.u8()}
	if c.bad || len(c.b) != 0 {
		return SnapshotAck{}, malformed("snapshot ack")
	}
	return a, nil
}
