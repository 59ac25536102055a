// Package effects is the payload of a Raft entry: what one evaluation round
// of one partition changed, decided and final. Followers apply it as it is
// and never run a command again.
//
// The format is frozen and versioned (Version); testdata holds golden bytes.
//
//	version  u8   1
//	flags    u8   reserved, 0
//	term     uvarint  the Raft term the round was evaluated in
//	round    uvarint  number of the round within that term, from 1
//	stamp    uvarint  the round's time, microseconds
//	nextID   uvarint  the partition's next object id after this round
//	origins  uvarint n, then n × { gateway uvarint, incarnation uvarint,
//	         m uvarint, m × sequence (first as uvarint, then signed varint
//	         differences) }: the requests that left effects here
//	body     operations in order, to the end
//
// An operation is written as in a Pebble batch: kind u8, key length uvarint,
// key, and for Set and DeleteRange a second length and string. The kinds are
// Pebble's own: 0 Delete, 1 Set, 15 DeleteRange.
package effects

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coterie/internal/base"
)

// Version is the format that this package writes.
const Version = 1

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
}

// AppendHeader appends an entry's header, up to and including its origins.
// Origins are grouped by gateway and incarnation where neighbours share them.
func AppendHeader(dst []byte, h Header, origins []base.Origin) []byte {
	dst = append(dst, Version, 0)
	dst = binary.AppendUvarint(dst, h.Term)
	dst = binary.AppendUvarint(dst, h.Round)
	dst = binary.AppendUvarint(dst, uint64(h.Stamp))
	dst = binary.AppendUvarint(dst, h.NextObjectID)
	groups := 0
	for i := range origins {
		if i == 0 || !sameGateway(origins[i-1], origins[i]) {
			groups++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(groups))
	for i := 0; i < len(origins); {
		j := i + 1
		for j < len(origins) && sameGateway(origins[i], origins[j]) {
			j++
		}
		dst = binary.AppendUvarint(dst, uint64(origins[i].Gateway))
		dst = binary.AppendUvarint(dst, origins[i].Incarnation)
		dst = binary.AppendUvarint(dst, uint64(j-i))
		dst = binary.AppendUvarint(dst, origins[i].Sequence)
		for k := i + 1; k < j; k++ {
			dst = binary.AppendVarint(dst, int64(origins[k].Sequence-origins[k-1].Sequence))
		}
		i = j
	}
	return dst
}

func sameGateway(a, b base.Origin) bool {
	return a.Gateway == b.Gateway && a.Incarnation == b.Incarnation
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

func (d *Decoder) bytes() []byte {
	n := d.uvarint()
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

// Decode reads an entry's header and leaves the decoder at its operations.
// visit is called for each origin; it may be nil.
func Decode(entry []byte, visit func(base.Origin)) (Header, Decoder, error) {
	var h Header
	if len(entry) < 2 {
		return h, Decoder{}, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(entry))
	}
	if entry[0] != Version || entry[1] != 0 {
		return h, Decoder{}, fmt.Errorf("%w: version %d, flags %#x", ErrVersion, entry[0], entry[1])
	}
	d := Decoder{rest: entry[2:]}
	h.Term = d.uvarint()
	h.Round = d.uvarint()
	h.Stamp = base.Stamp(d.uvarint())
	h.NextObjectID = d.uvarint()
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		o := base.Origin{Gateway: base.NodeID(d.uvarint()), Incarnation: d.uvarint()}
		for m, first := d.uvarint(), true; m > 0 && d.err == nil; m-- {
			if first {
				o.Sequence, first = d.uvarint(), false
			} else {
				o.Sequence += uint64(d.varint())
			}
			if visit != nil && d.err == nil {
				visit(o)
			}
		}
	}
	return h, d, d.err
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
