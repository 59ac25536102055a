package set

import "coterie/internal/keyspace"

// Form is how Redis 7.2 with its default limits would hold a set. Nothing but
// OBJECT ENCODING depends on it, and that integers are stored as such.
type Form byte

// The forms; the numbers are part of the stored format.
const (
	Hashtable Form = 0
	Listpack  Form = 1
	Intset    Form = 2
)

// String is the form in Redis's word.
func (f Form) String() string {
	switch f {
	case Intset:
		return "intset"
	case Listpack:
		return "listpack"
	}
	return "hashtable"
}

// Redis's default limits.
const (
	maxIntset       = 512 // members
	maxListpack     = 128 // members
	maxListpackItem = 64  // bytes of a member
)

// firstForm is the form of a new set, made for n members of which the first
// is given.
func firstForm(isInt bool, n int) Form {
	switch {
	case isInt && n <= maxIntset:
		return Intset
	case n <= maxListpack:
		return Listpack
	}
	return Hashtable
}

// expecting is the form when n members are about to be added, some perhaps
// there already.
func (f Form) expecting(n int) Form {
	if f == Intset && n > maxIntset || f == Listpack && n > maxListpack {
		return Hashtable
	}
	return f
}

// with is the form of a set of n members after one more, of the given size,
// was added.
func (f Form) with(isInt bool, size, n int) Form {
	switch {
	case f == Intset && isInt && n < maxIntset:
		return Intset
	case f == Intset && isInt, f == Hashtable, n >= maxListpack, size > maxListpackItem:
		return Hashtable
	}
	return Listpack
}

// FormOf is the form of the set in a record.
func FormOf(r keyspace.Record) Form {
	at := 1
	if _, big := r.Object(); big {
		at = objectLen
	}
	if at >= len(r.Body) {
		panic("set: record without a form")
	}
	return Form(r.Body[at])
}

// objectLen is the length of what precedes the form in a large set's body.
var objectLen = len(keyspace.AppendObject(nil, keyspace.Object{}))
