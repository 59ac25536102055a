package redisfront

import (
	"sort"

	"coterie/internal/command"
)

// entry is one row of the command table as the front uses it: a command, or
// one of a container's subcommands.
type entry struct {
	spec *command.Spec
	full string            // lower case; "client|kill" for a subcommand
	subs map[string]*entry // of a container
	list []*entry          // the same, in the table's order
	// local answers the command here; nil if a partition evaluates it.
	local localFunc
	// route, if set, brings the command to partitions in a way of its own.
	route func(*session, *op)
	words int // in the name: 1, or 2 for a subcommand
	stats *cmdStats
	fast  bool
	// whileSubscribed commands are taken in version 2 of the protocol from a
	// connection that has subscriptions; pushes answer with messages, which
	// CLIENT REPLY does not silence.
	whileSubscribed, pushes bool
	// scripted commands may publish to their own connection: the reply is first.
	scripted bool
	// namespaced commands may name another database.
	namespaced bool
}

// localFunc answers a command on the session's own goroutine: it appends
// exactly one reply to s.rw. args begins with the command's name.
type localFunc func(s *session, args [][]byte)

// frontSpec is a row of the table with a handler beside it. sub stands for
// the row's Sub.
type frontSpec struct {
	command.Spec
	local localFunc
	route func(*session, *op)
	sub   []frontSpec
}

// Specs are the rows of the commands that the front answers. The node joins
// them with the data types' into the one table. Three have a Run, for what
// only partitions know: INFO's keyspace, and the two of CLUSTER about a slot.
func Specs() []command.Spec { return plainSpecs(frontSpecs()) }

func plainSpecs(specs []frontSpec) []command.Spec {
	var rows []command.Spec
	for _, fs := range specs {
		rows = append(rows, fs.Spec)
	}
	return rows
}

type table struct {
	byName map[string]*entry
	list   []*entry // in the order of the names
	stats  []*cmdStats
}

// newTable puts the front's handlers beside the rows.
func newTable(rows *command.Table) *table {
	t := &table{byName: make(map[string]*entry)}
	t.list = t.add(rows, frontSpecs())
	sort.Slice(t.list, func(i, j int) bool { return t.list[i].full < t.list[j].full })
	for _, e := range t.list {
		for _, leaf := range e.leaves() {
			t.stats = append(t.stats, leaf.stats)
		}
	}
	specs := hiddenSpecs()
	unlisted, err := command.NewTable(plainSpecs(specs))
	if err != nil {
		panic("redisfront: " + err.Error()) // constants
	}
	t.add(unlisted, specs)
	return t
}

// add makes entries of rows, with their handlers.
func (t *table) add(rows *command.Table, specs []frontSpec) (added []*entry) {
	handlers := make(map[string]frontSpec)
	for _, fs := range specs {
		handlers[fs.Name] = fs
		for _, sub := range fs.sub {
			handlers[fs.Name+"|"+sub.Name] = sub
		}
	}
	for _, spec := range rows.Commands() {
		e := newEntry(spec, handlers)
		for i := range spec.Sub {
			sub := newEntry(&spec.Sub[i], handlers)
			sub.words = 2
			if e.subs == nil {
				e.subs = make(map[string]*entry)
			}
			e.subs[spec.Sub[i].Name] = sub
			e.list = append(e.list, sub)
		}
		t.byName[e.full] = e
		added = append(added, e)
	}
	return added
}

func newEntry(spec *command.Spec, handlers map[string]frontSpec) *entry {
	h := handlers[spec.Full]
	e := &entry{spec: spec, full: spec.Full, local: h.local, route: h.route, words: 1,
		fast: spec.Flags&command.Fast != 0, stats: &cmdStats{name: spec.Full}}
	switch e.full {
	case "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe":
		e.whileSubscribed, e.pushes = true, true
	case "ping", "quit", "reset":
		e.whileSubscribed = true
	case "eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro":
		e.scripted = true
	}
	e.namespaced = e.full == "swapdb" || e.full == "move" || e.full == "copy"
	return e
}

// leaves are the rows that can be called: a container's subcommands, else the
// command itself.
func (e *entry) leaves() []*entry {
	if len(e.list) > 0 {
		return e.list
	}
	return []*entry{e}
}

// lookup finds a command by the name a client sent, in any case.
func (t *table) lookup(name []byte) *entry {
	var room [32]byte
	if len(name) > len(room) {
		return nil
	}
	return t.byName[string(lower(room[:0], name))]
}

func (e *entry) sub(name []byte) *entry {
	var room [32]byte
	if len(name) > len(room) {
		return nil
	}
	return e.subs[string(lower(room[:0], name))]
}

func lower(dst, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
