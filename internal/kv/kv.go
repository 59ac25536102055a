// Package kv declares how evaluated commands see state: an ordered map of
// byte strings, read and written within one transaction. It holds interfaces
// and the operations they speak in, no behaviour.
//
// Errors are sticky. A read that fails (disk, checksum) yields "absent" and
// makes Err non-nil; whoever runs the command asks Err once at the end and
// throws everything away. So commands need no error path for a broken disk,
// and none can forget one.
package kv

import "coterie/internal/base"

// Reader reads a state as of one point: everything written before, in order.
type Reader interface {
	// Get returns the value of a key. The value must not be changed, and is
	// valid until the end of the transaction.
	Get(key []byte) (value []byte, ok bool)

	// Iter walks keys k with lower <= k < upper in byte order. It is
	// positioned before the first. The transaction must not write while an
	// iterator is open. The caller closes it.
	Iter(lower, upper []byte) Iterator

	// Err is the first error that a read met, or nil.
	Err() error
}

// Iterator walks a range of keys upwards.
type Iterator interface {
	// Next moves to the next key and says whether there is one.
	Next() bool
	// SeekGE moves to the first key at or after the given one, forwards only,
	// and says whether there is one.
	SeekGE(key []byte) bool
	// Key and Value are valid until the next move.
	Key() []byte
	Value() []byte
	Close()
}

// Writer changes a state. Key and value are copied by the callee.
type Writer interface {
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange deletes all keys k with lower <= k < upper.
	DeleteRange(lower, upper []byte)
}

// Mail is a message to the subscribers of a channel.
type Mail struct {
	Sharded          bool
	Channel, Payload []byte
}

// Mailer is a Txn whose commands may send messages: they leave when everything
// that it wrote is committed, and not at all if it is not. They are the
// Mailer's from then on.
type Mailer interface {
	Mail(Mail)
}

// Toucher is a Txn that wants to know which keys are written behind the back of
// the command that runs: those that expire.
type Toucher interface {
	Touched(key []byte)
}

// Savepoint is a place among what a transaction has done. What it holds is its
// transaction's own.
type Savepoint struct{ Body, Undo, Mails, MailBytes int }

// Savepoints is a Txn whose latest writes and messages can be taken back, as long as
// nothing but that has ended the round.
type Savepoints interface {
	Savepoint() Savepoint
	// Revert takes back everything since a savepoint, and closes what iterators
	// are open.
	Revert(Savepoint)
}

// Txn is what one command, script or MULTI sees: reads see its own writes,
// and all writes take effect together or not at all.
type Txn interface {
	Reader
	Writer

	// Now is the round's stamp. It is the only clock that a command may see.
	Now() base.Stamp
	// NewObjectID returns an id that no collection of this slot ever had. Of the
	// slot something must have been read before.
	NewObjectID(base.Slot) uint64
	// Rand returns a number that a command may use as its random source. It
	// is drawn where the command is evaluated; only effects are replicated.
	Rand() uint64
}
