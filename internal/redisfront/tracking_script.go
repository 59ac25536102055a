package redisfront

import (
	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/partition"
)

// This file finds out what a script reads, for a client that caches it. What it
// names is in the table before it runs, as with any read; only when it has run it is
// known what of that it has read, and what else. Until then the client is not told
// of what was written there (session.unsure).

// scriptReads is what is known of the reads of a session's scripts.
type scriptReads struct {
	s    *session
	may  [][]byte // what they name
	keys map[string]bool
	all  bool // they may have read anything
}

// begin puts what the scripts name into the table. They are in the chain, and not yet
// sent.
func (r *scriptReads) begin() {
	s, t := r.s, &r.s.f.tracking
	d := s.f.router.Directory()
	t.mu.Lock()
	s.unsure = map[string]bool{}
	for _, key := range r.may {
		if s.trackKey(d, key) {
			s.unsure[string(key)] = false
		}
	}
	evicted := t.trim()
	t.mu.Unlock()
	deliver(evicted)
}

// note is told of a key that is going to be read from here.
func (r *scriptReads) note(key []byte) {
	if r.keys[string(key)] {
		return
	}
	r.add(key)
	t := &r.s.f.tracking
	t.mu.Lock()
	r.s.trackKey(r.s.f.router.Directory(), key)
	evicted := t.trim()
	t.mu.Unlock()
	deliver(evicted)
}

func (r *scriptReads) add(key []byte) {
	if r.keys == nil {
		r.keys = map[string]bool{}
	}
	r.keys[string(key)] = true
}

// split takes what was read at a leader from the reply of a script that ran there.
// missed are keys that the script did not name: they were not in the table.
func (r *scriptReads) split(status partition.Status, b []byte) (reply []byte, missed [][]byte) {
	read, reply, known := command.SplitReads(b)
	if !known {
		r.all = status == partition.Done
		return reply, nil
	}
	t := &r.s.f.tracking
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range read {
		r.add(key)
		_, unsure := r.s.unsure[string(key)]
		if _, there := t.mu.slots[base.KeySlot(key)][string(key)][r.s.id]; !there && !unsure {
			missed = append(missed, key)
		}
	}
	return reply, missed
}

// settleReads leaves in the table what was read, and tells the client what of that,
// or of what was missed, may have been written since. It comes behind the reply.
func (r *scriptReads) settleReads(missed [][]byte) {
	s, t := r.s, &r.s.f.tracking
	t.mu.Lock()
	for key, written := range s.unsure {
		slot := base.KeySlot([]byte(key))
		switch read := r.all || r.keys[key]; {
		case read && written:
			missed = append(missed, []byte(key))
		case read || written:
		default:
			if by := t.mu.slots[slot][key]; by != nil {
				if _, there := by[s.id]; there {
					delete(by, s.id)
					t.mu.items--
				}
				if len(by) == 0 {
					t.drop(slot, key)
				}
			}
		}
	}
	s.unsure = nil
	t.mu.Unlock()
	switch {
	case r.all:
		s.tell(nil)
	case len(missed) > 0:
		s.tell(missed)
	}
}
