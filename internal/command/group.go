package command

import (
	"cmp"
	"container/list"
	"encoding/binary"

	"coterie/internal/base"
	"coterie/internal/keyspace"
)

// A group is what a connection's transaction asks of one partition: the
// commands between MULTI and EXEC, or to watch keys for them. It travels as one
// request's arguments and is evaluated in one piece.
//
//	"exec"    session, number of watched keys, those keys, and for each command
//	          a head (database, number of arguments, and the protocol if it is not
//	          the request's) and its arguments
//	"watch"   session, keys
//	"unwatch" session
//	"await"   session, keys: waits until one of them is written
//
// A watched key is its database in one byte, then the key. Numbers are
// uvarints.
const (
	groupExec    = "exec"
	groupWatch   = "watch"
	groupUnwatch = "unwatch"
	groupAwait   = "await"
	// groupAwake is what AWAIT is run as again: by then a key was written, or
	// may have been, under an earlier leadership.
	groupAwake = "awake"
)

// Grouped is one command of a group. Proto is that of its reply; 0: the request's.
type Grouped struct {
	DB, Proto uint8
	Args      [][]byte
}

// WatchedKey is a key as a group names it.
func WatchedKey(db uint8, key []byte) []byte { return append([]byte{db}, key...) }

func uvarint(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// ExecGroup makes the arguments of a transaction's commands for a partition.
func ExecGroup(session uint64, watched [][]byte, commands []Grouped) [][]byte {
	args := [][]byte{[]byte(groupExec), uvarint(session), uvarint(uint64(len(watched)))}
	args = append(args, watched...)
	for _, c := range commands {
		head := append([]byte{c.DB}, uvarint(uint64(len(c.Args)))...)
		if c.Proto != 0 {
			head = append(head, c.Proto)
		}
		args = append(append(args, head), c.Args...)
	}
	return args
}

// WatchGroup makes the arguments that begin to watch keys.
func WatchGroup(session uint64, watched ...[]byte) [][]byte {
	return append([][]byte{[]byte(groupWatch), uvarint(session)}, watched...)
}

// UnwatchGroup makes the arguments that end all watching.
func UnwatchGroup(session uint64) [][]byte { return [][]byte{[]byte(groupUnwatch), uvarint(session)} }

// AwaitGroup makes the arguments that wait until one of some keys is written.
func AwaitGroup(session uint64, keys ...[]byte) [][]byte {
	return append([][]byte{[]byte(groupAwait), uvarint(session)}, keys...)
}

// splitGroup takes the front off a group's arguments.
func splitGroup(args [][]byte) (op string, session uint64, rest [][]byte, ok bool) {
	if len(args) < 2 {
		return "", 0, nil, false
	}
	session, n := binary.Uvarint(args[1])
	return string(args[0]), session, args[2:], n > 0
}

// splitExec takes apart what follows the session of an exec group.
func splitExec(rest [][]byte) (watched [][]byte, commands []Grouped, ok bool) {
	if len(rest) == 0 {
		return nil, nil, false
	}
	count, n := binary.Uvarint(rest[0])
	rest = rest[1:]
	if n <= 0 || count > uint64(len(rest)) {
		return nil, nil, false
	}
	watched, rest = rest[:count], rest[count:]
	for _, key := range watched {
		if len(key) == 0 {
			return nil, nil, false
		}
	}
	for len(rest) > 0 {
		head := rest[0]
		if len(head) < 2 {
			return nil, nil, false
		}
		argc, n := binary.Uvarint(head[1:])
		rest = rest[1:]
		if n <= 0 || argc == 0 || argc > uint64(len(rest)) {
			return nil, nil, false
		}
		c := Grouped{DB: head[0], Args: rest[:argc:argc]}
		if len(head) > 1+n {
			c.Proto = head[1+n]
		}
		commands = append(commands, c)
		rest = rest[argc:]
	}
	return watched, commands, true
}

const errGroup = "ERR internal: malformed transaction"

// runGroup evaluates a group.
func (e *Evaluator) runGroup(call Call) {
	op, session, rest, ok := splitGroup(call.Args)
	who := Watcher{Gateway: call.Gateway, Session: session}
	switch {
	case !ok:
		e.out.Error(errGroup)
	case op == groupUnwatch:
		call.Watches.forget(who)
		e.out.Simple("OK")
	case op == groupWatch:
		for _, key := range rest {
			if len(key) > 0 {
				e.settled(call, key)
				call.Watches.add(who, key)
			}
		}
		e.out.Simple("OK")
	case op == groupAwait && call.Blocking && call.Waiters != nil:
		again := append([][]byte{[]byte(groupAwake)}, call.Args[1:]...)
		call.Waiters.Wait(rest, again, groupAwait, true)
	case op == groupAwake:
		e.out.Simple("OK")
	case op == groupExec:
		e.exec(call, who, rest)
	default:
		e.out.Error(errGroup)
	}
}

// settled makes sure that a key which has expired is gone, so that its end
// counts as a change.
func (e *Evaluator) settled(call Call, watched []byte) {
	e.bind(call, int(watched[0]))
	before := effects(&call)
	e.space.Quiet = true
	e.space.Lookup(watched[1:])
	e.space.Settle()
	if effects(&call) != before {
		call.touched(watched)
	}
}

// exec runs a transaction's commands, one after another; an error of one does
// not undo the others. Nothing is run if a watched key has changed.
func (e *Evaluator) exec(call Call, who Watcher, rest [][]byte) {
	watched, commands, ok := splitExec(rest)
	if !ok {
		e.out.Error(errGroup)
		return
	}
	for _, key := range watched {
		e.settled(call, key)
	}
	same := len(watched) == 0 || call.Watches.unchanged(who, watched)
	call.Watches.forget(who)
	if !same {
		e.out.NullArray()
		return
	}
	if !e.fenced(call, commands) {
		return
	}
	start, before := len(e.out.Buf), savepoint(&call)
	e.grouped = true
	defer func() { e.grouped = false }()
	e.out.Array(len(commands))
	flushed := false
	for _, c := range commands {
		one := call
		one.DB, one.Args, one.Group, one.Blocking = c.DB, c.Args, false, false
		e.out.Proto = int(cmp.Or(c.Proto, call.Proto))
		e.run(one)
		if e.diverted {
			revert(&call, before)
			e.divert(start)
			return
		}
		flushed = flushed || e.space.Flushed()
		call.Generations = nil
	}
	e.groupFlushed = flushed
}

// fenced runs the commands of a group that are conditions for all: if one of
// them fails, its error is the group's reply.
func (e *Evaluator) fenced(call Call, commands []Grouped) bool {
	start := len(e.out.Buf)
	for _, c := range commands {
		if spec := e.table.Lookup(c.Args); spec == nil || !spec.Condition || len(c.Args) > spec.Wraps {
			continue
		}
		one := call
		one.DB, one.Args, one.Group = c.DB, c.Args, false
		e.run(one)
		if e.out.Buf[start] == '-' {
			return false
		}
		e.out.Buf = e.out.Buf[:start]
	}
	return true
}

// effects measures what a call's transaction has written so far, if it can
// tell; -1 if not.
func effects(call *Call) int {
	if t, ok := call.Txn.(interface{ Effects() int }); ok {
		return t.Effects()
	}
	return -1
}

// Watcher is a connection that watches keys.
type Watcher struct {
	Gateway base.NodeID
	Session uint64
}

// maxWatched bounds the keys watched in one partition. The connection that
// has been watching longest is then told that its keys have changed.
const maxWatched = 1 << 16

// Watches are the keys that connections watch in one partition, under one
// leadership: they are forgotten with it, and a transaction whose keys are not
// watched here does not run.
type Watches struct {
	by     map[Watcher]*watching
	of     map[string]map[Watcher]struct{} // by key
	order  list.List                       // of Watcher, by the time that they began
	number int
}

// watching is what one connection watches.
type watching struct {
	keys map[string]struct{}
	at   *list.Element // in order
}

// Any says whether anything is watched. It may be asked of nil.
func (w *Watches) Any() bool { return w != nil && w.number > 0 }

func (w *Watches) add(who Watcher, key []byte) {
	if w.by == nil {
		w.by, w.of = map[Watcher]*watching{}, map[string]map[Watcher]struct{}{}
	}
	if x := w.by[who]; x != nil {
		if _, known := x.keys[string(key)]; known {
			return
		}
	}
	for w.number >= maxWatched {
		w.forget(w.order.Front().Value.(Watcher))
	}
	x := w.by[who]
	if x == nil {
		x = &watching{keys: map[string]struct{}{}, at: w.order.PushBack(who)}
		w.by[who] = x
	}
	name := string(key)
	x.keys[name] = struct{}{}
	if w.of[name] == nil {
		w.of[name] = map[Watcher]struct{}{}
	}
	w.of[name][who] = struct{}{}
	w.number++
}

// forget ends a connection's watching.
func (w *Watches) forget(who Watcher) {
	if w == nil || w.by[who] == nil {
		return
	}
	x := w.by[who]
	for key := range x.keys {
		if delete(w.of[key], who); len(w.of[key]) == 0 {
			delete(w.of, key)
		}
	}
	w.number -= len(x.keys)
	w.order.Remove(x.at)
	delete(w.by, who)
}

// Touch says that a key has changed: who watches it, watches nothing any more.
func (w *Watches) Touch(key []byte) {
	if !w.Any() {
		return
	}
	for who := range w.of[string(key)] {
		w.forget(who)
	}
}

// existing are the watched keys that are there.
func (w *Watches) existing(s *keyspace.Space) (there [][]byte) {
	if !w.Any() {
		return nil
	}
	for key := range w.of {
		if has(s, []byte(key)) {
			there = append(there, []byte(key))
		}
	}
	return there
}

// touchGone touches those of some keys that are not there.
func (w *Watches) touchGone(s *keyspace.Space, some [][]byte) {
	for _, key := range some {
		if !has(s, key) {
			w.Touch(key)
		}
	}
}

func has(s *keyspace.Space, watched []byte) bool {
	db := s.DB
	defer s.Select(db)
	s.Select(int(watched[0]))
	return s.Has(watched[1:])
}

// TouchAll says that any key may have changed.
func (w *Watches) TouchAll() {
	if w.Any() {
		*w = Watches{}
	}
}

// TouchSlots says that any key of some slots may have changed.
func (w *Watches) TouchSlots(slots map[base.Slot]bool) {
	if !w.Any() {
		return
	}
	for key := range w.of {
		if slots[base.KeySlot([]byte(key[1:]))] {
			w.Touch([]byte(key))
		}
	}
}

// unchanged says whether all keys have been watched by somebody since they
// last changed.
func (w *Watches) unchanged(who Watcher, keys [][]byte) bool {
	if w == nil {
		return false
	}
	x := w.by[who]
	for _, key := range keys {
		if x == nil {
			return false
		}
		if _, watched := x.keys[string(key)]; !watched {
			return false
		}
	}
	return true
}
