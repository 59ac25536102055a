package redisfront

import (
	"sort"
	"strings"

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
}

// localFunc answers a command on the session's own goroutine: it appends
// exactly one reply to s.rw. args begins with the command's name.
type localFunc func(s *session, args [][]byte)

// frontSpec is a command that the front answers by itself: a row of the table
// with a handler beside it. sub stands for the row's Sub.
type frontSpec struct {
	command.Spec
	local localFunc
	route func(*session, *op)
	sub   []frontSpec
}

type table struct {
	byName map[string]*entry
	list   []*entry // in the order of the names
	stats  []*cmdStats
}

func newTable(front []frontSpec, evaluated []command.Spec) *table {
	t := &table{byName: make(map[string]*entry)}
	for i := range front {
		t.addFront(&front[i])
	}
	for i := range evaluated {
		t.addEvaluated(&evaluated[i])
	}
	for _, e := range t.byName {
		t.list = append(t.list, e)
	}
	sort.Slice(t.list, func(i, j int) bool { return t.list[i].full < t.list[j].full })
	for _, e := range t.list {
		for _, leaf := range e.leaves() {
			t.stats = append(t.stats, leaf.stats)
		}
	}
	return t
}

func newEntry(spec *command.Spec, parent *entry) *entry {
	e := &entry{spec: spec, full: strings.ToLower(spec.Name), words: 1, fast: spec.Flags&command.Fast != 0}
	if parent != nil {
		e.full, e.words = parent.full+"|"+e.full, parent.words+1
	}
	e.stats = &cmdStats{name: e.full}
	return e
}

func (e *entry) addSub(sub *entry) {
	if e.subs == nil {
		e.subs = make(map[string]*entry)
	}
	e.subs[strings.ToLower(sub.spec.Name)] = sub
	e.list = append(e.list, sub)
}

func (t *table) addFront(fs *frontSpec) {
	e := newEntry(&fs.Spec, nil)
	e.local, e.route = fs.local, fs.route
	for i := range fs.sub {
		sub := newEntry(&fs.sub[i].Spec, e)
		sub.local, sub.route = fs.sub[i].local, fs.sub[i].route
		e.addSub(sub)
	}
	t.byName[e.full] = e
}

// addEvaluated adds a command that partitions evaluate. A container's rows
// join those of the front's under the same name.
func (t *table) addEvaluated(spec *command.Spec) {
	e := newEntry(spec, nil)
	e.route = internalRoutes[e.full]
	for i := range spec.Sub {
		sub := newEntry(&spec.Sub[i], e)
		e.addSub(sub)
	}
	if old := t.byName[e.full]; old != nil && len(old.subs) > 0 {
		for _, sub := range e.list {
			if old.subs[strings.ToLower(sub.spec.Name)] == nil {
				old.addSub(sub)
			}
		}
		return
	}
	t.byName[e.full] = e
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

// arityOK checks the number of arguments, the name included, as Redis does.
func (e *entry) arityOK(n int) bool {
	if a := e.spec.Arity; a >= 0 {
		return n == a
	}
	return n >= -e.spec.Arity
}

// keyPositions appends the positions of a command's keys.
func (e *entry) keyPositions(dst []int, n int) []int {
	k := e.spec.Keys
	if k.First == 0 {
		return dst
	}
	last, step := k.Last, max(k.Step, 1)
	if last < 0 {
		last += n
	}
	for i := k.First; i <= last && i < n; i += step {
		dst = append(dst, i)
	}
	return dst
}
