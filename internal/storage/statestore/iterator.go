package statestore

import (
	"bytes"

	"coterie/internal/storage/state"

	"github.com/cockroachdb/pebble/v2"
)

// iterator is a state.Iterator over a Pebble iterator.
type iterator struct {
	it  *pebble.Iterator // nil: empty range, or closed
	pos position
	err error
}

type position uint8

const (
	before position = iota // not yet moved
	on                     // on a key
	after                  // at the end, or failed
)

func newIterator(r pebble.Reader, lower, upper []byte) (*iterator, error) {
	if upper != nil && bytes.Compare(lower, upper) >= 0 {
		return &iterator{pos: after}, nil
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, wrap(err, "iterate from %x to %x", lower, upper)
	}
	return &iterator{it: it}, nil
}

var _ state.Iterator = (*iterator)(nil)

func (i *iterator) Next() bool {
	switch i.pos {
	case before:
		return i.moved(i.it.First())
	case on:
		return i.moved(i.it.Next())
	}
	return false
}

func (i *iterator) SeekGE(key []byte) bool {
	switch {
	case i.pos == after:
		return false
	case i.pos == on && bytes.Compare(key, i.it.Key()) <= 0:
		return true
	}
	return i.moved(i.it.SeekGE(key))
}

func (i *iterator) moved(valid bool) bool {
	if valid {
		i.pos = on
		return true
	}
	i.fail(i.it.Error())
	return false
}

func (i *iterator) fail(err error) {
	i.pos = after
	if err != nil && i.err == nil {
		i.err = wrap(err, "iterate")
	}
}

func (i *iterator) Key() []byte {
	if i.pos != on {
		return nil
	}
	return i.it.Key()
}

func (i *iterator) Value() []byte {
	if i.pos != on {
		return nil
	}
	v, err := i.it.ValueAndErr()
	if err != nil {
		i.fail(err)
		return nil
	}
	return v
}

func (i *iterator) Err() error { return i.err }

func (i *iterator) Close() {
	if i.it == nil {
		return
	}
	err := i.it.Close()
	i.it = nil
	i.fail(err)
}
