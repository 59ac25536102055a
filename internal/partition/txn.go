package partition

import (
	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/kv"
	"coterie/internal/overlay"
)

// Txn is what an evaluated command reads and writes: the replica's overlay
// at its place in the round, or a view of a cut.
type Txn struct {
	r         *Replica
	ov        *overlay.Overlay // the replica's, or of a view
	now       base.Stamp
	nextID    uint64
	deadlines bool
}

var (
	_ kv.Txn    = (*Txn)(nil)
	_ kv.Mailer = (*Txn)(nil)

	_ kv.Savepoints = (*Txn)(nil)
)

// Get implements kv.Reader.
func (t *Txn) Get(key []byte) ([]byte, bool) { return t.ov.Get(key) }

// Iter implements kv.Reader.
func (t *Txn) Iter(lower, upper []byte) kv.Iterator { return t.ov.Iter(lower, upper) }

// Err implements kv.Reader.
func (t *Txn) Err() error { return t.ov.Err() }

// Set implements kv.Writer.
func (t *Txn) Set(key, value []byte) {
	if keys.IsExpiryKey(key) {
		t.deadlines = true
	}
	t.ov.Set(key, value)
}

// TookDeadlines says whether any key got a deadline since the last call.
func (t *Txn) TookDeadlines() bool {
	d := t.deadlines
	t.deadlines = false
	return d
}

// Delete implements kv.Writer.
func (t *Txn) Delete(key []byte) { t.ov.Delete(key) }

// DeleteRange implements kv.Writer.
func (t *Txn) DeleteRange(lower, upper []byte) { t.ov.DeleteRange(lower, upper) }

// Mail implements kv.Mailer: the message leaves when the round is committed.
// What happens in a view happened before, or never.
func (t *Txn) Mail(m kv.Mail) {
	if t.ov != t.r.ov {
		return
	}
	t.r.mail = append(t.r.mail, m)
	t.r.mailBytes += len(m.Channel) + len(m.Payload)
}

// Effects is the size of what the round has written so far, in bytes.
func (t *Txn) Effects() int { return t.ov.BodyLen() }

// Savepoint implements kv.Savepoints.
func (t *Txn) Savepoint() kv.Savepoint {
	m := t.ov.Mark()
	return kv.Savepoint{Body: m.Body, Undo: m.Undo, Mails: len(t.r.mail), MailBytes: t.r.mailBytes}
}

// Revert implements kv.Savepoints.
func (t *Txn) Revert(s kv.Savepoint) {
	t.ov.CloseIters()
	t.ov.Cut(overlay.Mark{Body: s.Body, Undo: s.Undo})
	if t.ov == t.r.ov {
		t.r.mail, t.r.mailBytes = t.r.mail[:s.Mails], s.MailBytes
		t.r.waiters.asked = nil
	}
}

// Locked says whether a transaction over several partitions holds a slot.
func (t *Txn) Locked(slot base.Slot) bool {
	return t.r.txns.locked(slot)
}

// Preparing says that what is evaluated is kept as an intent: it must write to
// no slots but those of the keys that it names.
func (t *Txn) Preparing() bool { return t.r.waiters.quiet }

// Waiters are those who wait for keys of the partition.
func (t *Txn) Waiters() *Waiters { return &t.r.waiters }

// Now is the round's stamp.
func (t *Txn) Now() base.Stamp { return t.now }

// NewObjectID implements kv.Txn.
func (t *Txn) NewObjectID(base.Slot) uint64 {
	id := t.nextID
	t.nextID++
	return id
}

// Rand implements kv.Txn.
func (t *Txn) Rand() uint64 { return t.r.cfg.Rand() }

// Partition is the partition that the transaction runs in.
func (t *Txn) Partition() base.PartitionID { return t.r.cfg.Partition }

// Span is the span of slots that the partition owns.
func (t *Txn) Span() base.Span { return t.r.state.Span }

// Term is the Raft term of the leadership that evaluates.
func (t *Txn) Term() uint64 { return t.r.term }
