package keyspace

import (
	"encoding/binary"
	"fmt"
)

// Type is what a record holds. The numbers are part of the stored format.
type Type byte

const (
	// None is the type of a record that is not there.
	None   Type = 0x00
	String Type = 0x01
	Hash   Type = 0x02
	List   Type = 0x03
	Set    Type = 0x04
	ZSet   Type = 0x05
	Stream Type = 0x06
)

// String is the type's name as TYPE shows it.
func (t Type) String() string {
	switch t {
	case None:
		return "none"
	case String:
		return "string"
	case Hash:
		return "hash"
	case List:
		return "list"
	case Set:
		return "set"
	case ZSet:
		return "zset"
	case Stream:
		return "stream"
	}
	return fmt.Sprintf("type-%#02x", byte(t))
}

// Bits of a record's type byte: when they are set, eight bytes each follow it,
// a deadline, a due time and a token.
const (
	hasExpiry = 0x80
	hasDue    = 0x40
	hasToken  = 0x20
	hasBits   = hasExpiry | hasDue | hasToken
)

// Record is what is stored under a key: a type byte, the deadline, the due
// time and the token if it has them, and the body.
type Record struct {
	Type Type
	// ExpireAt is the deadline in milliseconds since the Unix epoch; 0: none.
	ExpireAt int64
	// DueAt is when the type wants to look at the value again, in milliseconds
	// since the Unix epoch; 0: never. The expiry index finds it; see [SweepExpired].
	DueAt int64
	// Token is the record's fencing token: whoever takes the key as a lock gets a
	// higher one than all before. 0: it was not made as a lock.
	Token uint64
	// Body is the value in its type's own format. As Lookup returns it, it is
	// valid until the end of the transaction and must not be changed.
	Body []byte
}

// Exists says whether there is a record; the zero Record is none.
func (r Record) Exists() bool { return r.Type != None }

// AppendRecord appends the stored form of r.
func AppendRecord(dst []byte, r Record) []byte {
	head := len(dst)
	dst = append(dst, byte(r.Type))
	if r.ExpireAt != 0 {
		dst[head] |= hasExpiry
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.ExpireAt))
	}
	if r.DueAt != 0 {
		dst[head] |= hasDue
		dst = binary.BigEndian.AppendUint64(dst, uint64(r.DueAt))
	}
	if r.Token != 0 {
		dst[head] |= hasToken
		dst = binary.BigEndian.AppendUint64(dst, r.Token)
	}
	return append(dst, r.Body...)
}

// ParseRecord takes a stored record apart; Body is part of v, not a copy.
func ParseRecord(v []byte) (r Record, ok bool) {
	if len(v) == 0 || v[0]&^hasBits == 0 {
		return Record{}, false
	}
	r = Record{Type: Type(v[0] &^ hasBits), Body: v[1:]}
	if v[0]&hasExpiry != 0 {
		if r.ExpireAt, r.Body, ok = stored64(r.Body); !ok {
			return Record{}, false
		}
	}
	if v[0]&hasDue != 0 {
		if r.DueAt, r.Body, ok = stored64(r.Body); !ok {
			return Record{}, false
		}
	}
	if v[0]&hasToken != 0 {
		token, rest, ok := stored64(r.Body)
		if !ok {
			return Record{}, false
		}
		r.Token, r.Body = uint64(token), rest
	}
	return r, true
}

func stored64(v []byte) (n int64, rest []byte, ok bool) {
	if len(v) < 8 {
		return 0, nil, false
	}
	n = int64(binary.BigEndian.Uint64(v))
	return n, v[8:], n > 0
}

// mustRecord parses what this package stored. What it cannot parse is not
// guessed at: the store verifies checksums, so this is a bug, and going on
// would spread it.
func mustRecord(v []byte) Record {
	r, ok := ParseRecord(v)
	if !ok {
		panic(fmt.Sprintf("keyspace: malformed record of %d bytes", len(v)))
	}
	return r
}

// The first byte of a collection's body says where its elements are. Values
// above these are the types' own.
const (
	// Inline: in the rest of the body, in the type's own format.
	Inline byte = 0x00
	// Elements, Trees and their sum: under keys of their own, as elements, as
	// nodes of trees, or both. The body begins with an [Object].
	Elements byte = 0x01
	Trees    byte = 0x02
)

// Object names what a collection keeps under keys of its own in the key's
// slot: elements (slot|0x02|ID|…) and nodes of trees (slot|0x04|ID|…).
type Object struct {
	ID    uint64
	Count uint64 // of what the collection holds, in its type's own sense; not 0
	// NextNode is the id of the next node: 1 for a new collection with trees,
	// and 0 for one without. [Space.Nodes] counts it up.
	NextNode uint64
	// OnlyTrees says that there are trees and no elements.
	OnlyTrees bool

	// positions says that the elements are a set's, which can be found one by
	// one without a walk.
	positions bool
}

const (
	objectLen      = 1 + 8 + 8
	objectTreesLen = objectLen + 8
)

// AppendObject appends the beginning of the body of a collection with keys of
// its own.
func AppendObject(dst []byte, o Object) []byte {
	kind := Elements
	if o.NextNode > 0 {
		if kind |= Trees; o.OnlyTrees {
			kind = Trees
		}
	}
	dst = append(dst, kind)
	dst = binary.BigEndian.AppendUint64(dst, o.ID)
	dst = binary.BigEndian.AppendUint64(dst, o.Count)
	if o.NextNode > 0 {
		dst = binary.BigEndian.AppendUint64(dst, o.NextNode)
	}
	return dst
}

// Object is the object that a record's body names; ok is false when the
// record has no keys of its own.
func (r Record) Object() (o Object, ok bool) {
	o, _, ok = r.object()
	return o, ok
}

// Rest is what a type keeps in the body behind its Object, such as the roots
// of its trees.
func (r Record) Rest() []byte {
	_, n, _ := r.object()
	return r.Body[n:]
}

// object also returns how long the Object is.
func (r Record) object() (o Object, n int, ok bool) {
	if r.Type <= String || len(r.Body) < objectLen || r.Body[0] == Inline || r.Body[0] > Elements|Trees {
		return Object{}, 0, false
	}
	o = Object{ID: binary.BigEndian.Uint64(r.Body[1:]), Count: binary.BigEndian.Uint64(r.Body[9:])}
	o.positions = r.Type == Set
	if r.Body[0] == Elements {
		return o, objectLen, true
	}
	if len(r.Body) < objectTreesLen {
		return Object{}, 0, false
	}
	o.NextNode, o.OnlyTrees = binary.BigEndian.Uint64(r.Body[objectLen:]), r.Body[0] == Trees
	return o, objectTreesLen, o.NextNode > 0
}
