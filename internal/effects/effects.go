// Package effects is the payload of a Raft entry: what one evaluation round
// of one partition changed, decided and final. Followers apply it as it is
// and never run a command again.
//
// The format is frozen and versioned (Version); testdata holds golden bytes.
//
//	version  u8   2
//	flags    u8   1: there are records of transactions among the operations
//	term     uvarint  the Raft term the round was evaluated in
//	round    uvarint  number of the round within that term, from 1
//	stamp    uvarint  the round's time, microseconds
//	nextID   uvarint  the partition's next object id after this round
//	answers  uvarint n, then n × { gateway uvarint, low-water uvarint, last
//	         sequence uvarint, length uvarint, list }: the requests that were
//	         run here and their replies, by gateway; see AppendAnswer
//	body     operations in order, to the end
//
// An operation is written as in a Pebble batch: kind u8, key length uvarint,
// key, and for Set and DeleteRange a second length and string. The kinds are
// Pebble's own: 0 Delete, 1 Set, 15 DeleteRange.
//
// Version 1 is still read. It had the requests' origins in place of the
// answers, as groups of { gateway, incarnation, count, sequences }, without
// replies.
package effects

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"coterie/internal/base"
)

// Version is the format that this package writes.
const Version = 2

// versionOrigins is the format before there were answers.
const versionOrigins = 1

// Kind is an operation's kind, with Pebble's numbers.
type Kind uint8

const (
	Delete      Kind = 0
	Set         Kind = 1
	DeleteRange Kind = 15
)

// ErrCorrupt is wrapped by every decoding error.
var ErrCorrupt = errors.New("effects: malformed entry")

// ErrVersion says that the entry was written by a newer version.
var ErrVersion = errors.New("effects: entry of a newer format")

// Header is what an entry says about its round.
type Header struct {
	Term         uint64
	Round        uint64
	Stamp        base.Stamp
	NextObjectID uint64
	Transactions bool // the operations write intents or verdicts
}

const flagTransactions = 1

// Answers are requests of one gateway that were run in a round, in a list of
// sequences and replies, and what that gateway has confirmed.
type Answers struct {
	Gateway  base.NodeID
	LowWater uint64 // sequences below it are over: their replies are not needed any more
	Last     uint64 // the highest sequence in List; 0: it is empty
	List     []byte // made with AppendAnswer
}

// replyOK is the most frequent reply; it takes one byte.
const replyOK = "+OK\r\n"

// Add appends one request's sequence and reply to the list: the difference to
// the sequence before (to 0 for the first) as a signed varint, then 0 for +OK,
// or the reply's length plus one and the reply.
func (a *Answers) Add(sequence uint64, reply []byte, before uint64) {
	a.List = binary.AppendVarint(a.List, int64(sequence-before))
	if string(reply) == replyOK {
		a.List = append(a.List, 0)
	} else {
		a.List = binary.AppendUvarint(a.List, uint64(len(reply))+1)
		a.List = append(a.List, reply...)
	}
	a.Last = max(a.Last, sequence)
}

// Find returns the reply to a request in the list.
func (a *Answers) Find(sequence uint64) (reply []byte, ok bool) {
	for at, reply := range a.All() {
		if at == sequence {
			return reply, true
		}
	}
	return nil, false
}

// All are the sequences and replies in the list, in its order; the replies
// alias it.
func (a *Answers) All() iter.Seq2[uint64, []byte] {
	return func(yield func(sequence uint64, reply []byte) bool) {
		d, at := Decoder{rest: a.List}, uint64(0)
		for len(d.rest) > 0 {
			at += uint64(d.varint())
			reply := []byte(replyOK)
			if n := d.uvarint(); n > 0 {
				reply = d.take(n - 1)
			}
			if d.err != nil || !yield(at, reply) {
				return
			}
		}
	}
}

// AppendHeader appends an entry's header, up to and including the answers.
func AppendHeader(dst []byte, h Header, answers []Answers) []byte {
	flags := byte(0)
	if h.Transactions {
		flags = flagTransactions
	}
	dst = append(dst, Version, flags)
	dst = binary.AppendUvarint(dst, h.Term)
	dst = binary.AppendUvarint(dst, h.Round)
	dst = binary.AppendUvarint(dst, uint64(h.Stamp))
	dst = binary.AppendUvarint(dst, h.NextObjectID)
	dst = binary.AppendUvarint(dst, uint64(len(answers)))
	for i := range answers {
		dst = AppendAnswers(dst, &answers[i])
	}
	return dst
}

// AppendAnswers appends what AnswersOf reads.
func AppendAnswers(dst []byte, a *Answers) []byte {
	dst = binary.AppendUvarint(dst, uint64(a.Gateway))
	dst = binary.AppendUvarint(dst, a.LowWater)
	dst = binary.AppendUvarint(dst, a.Last)
	dst = binary.AppendUvarint(dst, uint64(len(a.List)))
	return append(dst, a.List...)
}

// AnswersOf reads answers off the front of b; the list aliases b.
func AnswersOf(b []byte) (a Answers, rest []byte, err error) {
	d := Decoder{rest: b}
	a = d.answers()
	return a, d.rest, d.err
}

// AppendSet appends a Set operation.
func AppendSet(dst, key, value []byte) []byte {
	dst = append(dst, byte(Set))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// AppendDelete appends a Delete operation.
func AppendDelete(dst, key []byte) []byte {
	dst = append(dst, byte(Delete))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	return append(dst, key...)
}

// AppendDeleteRange appends a DeleteRange operation: keys k, lower <= k < upper.
func AppendDeleteRange(dst, lower, upper []byte) []byte {
	dst = append(dst, byte(DeleteRange))
	dst = binary.AppendUvarint(dst, uint64(len(lower)))
	dst = append(dst, lower...)
	dst = binary.AppendUvarint(dst, uint64(len(upper)))
	return append(dst, upper...)
}

// Decoder reads an entry. Keys and values alias the entry's bytes.
type Decoder struct {
	rest []byte
	err  error
}

func (d *Decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *Decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("bad number")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *Decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *Decoder) take(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.fail("length past the end")
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *Decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrCorrupt, why, len(d.rest))
	}
	d.rest = nil
}

func (d *Decoder) answers() Answers {
	return Answers{Gateway: base.NodeID(d.uvarint()), LowWater: d.uvarint(), Last: d.uvarint(), List: d.bytes()}
}

// Decode reads an entry's header and leaves the decoder at its operations.
// visit is called for each gateway's answers, which alias the entry; it may be
// nil.
func Decode(entry []byte, visit func(Answers)) (Header, Decoder, error) {
	var h Header
	if len(entry) < 2 {
		return h, Decoder{}, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(entry))
	}
	if entry[0] != Version && entry[0] != versionOrigins || entry[1]&^flagTransactions != 0 {
		return h, Decoder{}, fmt.Errorf("%w: version %d, flags %#x", ErrVersion, entry[0], entry[1])
	}
	d := Decoder{rest: entry[2:]}
	h.Transactions = entry[1]&flagTransactions != 0
	h.Term = d.uvarint()
	h.Round = d.uvarint()
	h.Stamp = base.Stamp(d.uvarint())
	h.NextObjectID = d.uvarint()
	if entry[0] == versionOrigins {
		d.skipOrigins()
		return h, d, d.err
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		if a := d.answers(); visit != nil && d.err == nil {
			visit(a)
		}
	}
	return h, d, d.err
}

// skipOrigins passes over what version 1 had in place of the answers.
func (d *Decoder) skipOrigins() {
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		d.uvarint() // gateway
		d.uvarint() // incarnation
		for m, first := d.uvarint(), true; m > 0 && d.err == nil; m, first = m-1, false {
			if first {
				d.uvarint()
			} else {
				d.varint()
			}
		}
	}
}

// Op is one operation. Value is the upper bound of a DeleteRange.
type Op struct {
	Kind  Kind
	Key   []byte
	Value []byte
}

// Next returns the next operation, and false at the end or on an error.
func (d *Decoder) Next() (Op, bool) {
	if len(d.rest) == 0 || d.err != nil {
		return Op{}, false
	}
	op := Op{Kind: Kind(d.rest[0])}
	d.rest = d.rest[1:]
	op.Key = d.bytes()
	switch op.Kind {
	case Delete:
	case Set, DeleteRange:
		op.Value = d.bytes()
	default:
		d.fail("unknown operation")
	}
	return op, d.err == nil
}

// Err is the error that ended Next early, or nil.
func (d *Decoder) Err() error { return d.err }

// Body returns a decoder for operations without a header.
func Body(b []byte) Decoder { return Decoder{rest: b} }
