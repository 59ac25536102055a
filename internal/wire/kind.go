package wire

import (
	"errors"
	"fmt"
)

// Kind is the first byte of a message.
type Kind byte

// The kinds. The numbers are on the wire and never change their meaning.
const (
	KindRaft          Kind = 1 // items: raft messages of many partitions
	KindRequest       Kind = 2 // items: requests forwarded to a leader
	KindReply         Kind = 3 // items: their replies
	KindSnapshotChunk Kind = 4 // one part of a snapshot stream
	KindSnapshotAck   Kind = 5 // the receiver's word on a part
	KindReport        Kind = 6 // what a node says of itself, for status and routing: JSON
	KindPublish       Kind = 7 // items: messages for subscribers
	KindInterest      Kind = 8 // items: topics that the sender has subscribers of
	KindInterestAck   Kind = 9 // the receiver's word on them
)

// versions are the second byte of a message: the version of its kind's format
// that this program writes and reads.
var versions = [...]byte{
	KindRaft: 1, KindRequest: 2, KindReply: 2, KindSnapshotChunk: 1, KindSnapshotAck: 1, KindReport: 1,
	KindPublish: 1, KindInterest: 1, KindInterestAck: 1,
}

// headerBytes is the length of the kind and the version.
const headerBytes = 2

// maxAmplification is the bound on the bytes allocated by decoding for each
// byte decoded. The worst case is a raft entry of one byte on the wire.
const maxAmplification = 128

var (
	// ErrMalformed: the bytes are not a message of their kind and version.
	ErrMalformed = errors.New("malformed message")
	// ErrUnknown: the kind or the version is not known to this program, which
	// is then older than the sender.
	ErrUnknown = errors.New("unknown message kind or version")
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case KindRaft:
		return "raft"
	case KindRequest:
		return "request"
	case KindReply:
		return "reply"
	case KindSnapshotChunk:
		return "snapshot chunk"
	case KindSnapshotAck:
		return "snapshot ack"
	case KindReport:
		return "report"
	case KindPublish:
		return "publish"
	case KindInterest:
		return "interest"
	case KindInterestAck:
		return "interest ack"
	}
	return fmt.Sprintf("kind %d", byte(k))
}

// KindOf is a message's kind. It fails with ErrUnknown on a kind or version
// that this program does not know.
func KindOf(msg []byte) (Kind, error) {
	if len(msg) < headerBytes {
		return 0, fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	}
	k := Kind(msg[0])
	if k < KindRaft || k > KindInterestAck || msg[1] != versions[k] {
		return 0, fmt.Errorf("%w: %s, version %d", ErrUnknown, k, msg[1])
	}
	return k, nil
}

// open checks that msg is of kind k and gives what follows its header.
func open(msg []byte, k Kind) (cursor, error) {
	got, err := KindOf(msg)
	if err != nil {
		return cursor{}, err
	}
	if got != k {
		return cursor{}, fmt.Errorf("%w: %s where %s was expected", ErrMalformed, got, k)
	}
	return cursor{b: msg[headerBytes:]}, nil
}

// begin starts a message of kind k in an empty dst.
func begin(dst []byte, k Kind) []byte {
	if len(dst) == 0 {
		dst = append(dst, byte(k), versions[k])
	}
	return dst
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// AppendReport starts a KindReport message with its payload.
func AppendReport(dst, payload []byte) []byte {
	return append(begin(dst, KindReport), payload...)
}

// ReadReport is the payload of a KindReport message.
func ReadReport(msg []byte) ([]byte, error) {
	c, err := open(msg, KindReport)
	return c.b, err
}
