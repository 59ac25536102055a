package command

import (
	"slices"
	"sort"

	"coterie/internal/command/glob"
	"coterie/internal/resp"
)

// Describe answers COMMAND and its subcommands, whose number of arguments was
// checked. It concerns no partition: whoever has the client answers it.
func (t *Table) Describe(w *resp.Writer, args [][]byte) {
	if len(args) == 1 {
		t.infoAll(w)
		return
	}
	switch sub := args[1]; {
	case Is(sub, "COUNT"):
		w.Int(int64(len(t.top)))
	case Is(sub, "INFO"):
		t.infoOf(w, args[2:])
	case Is(sub, "DOCS"):
		t.docs(w, args[2:])
	case Is(sub, "LIST"):
		t.list(w, args[2:])
	case Is(sub, "GETKEYS"):
		t.getKeys(w, args[2:], false)
	case Is(sub, "GETKEYSANDFLAGS"):
		t.getKeys(w, args[2:], true)
	case Is(sub, "HELP"):
		Help(w, "COMMAND", t.find(args[0]).Sub)
	default:
		w.Error(t.Unknown(args))
	}
}

// Help answers the HELP of a command with these subcommands.
func Help(w *resp.Writer, name string, subs []Spec) {
	w.Array(1 + 2*len(subs))
	w.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for i := range subs {
		w.Simple(usage(&subs[i]))
		w.Simple("    " + subs[i].Summary)
	}
}

func (t *Table) infoAll(w *resp.Writer) {
	w.Array(len(t.top))
	for _, s := range t.top {
		info(w, s)
	}
}

func (t *Table) infoOf(w *resp.Writer, names [][]byte) {
	if len(names) == 0 {
		t.infoAll(w)
		return
	}
	w.Array(len(names))
	for _, name := range names {
		if s := t.find(name); s != nil {
			info(w, s)
		} else {
			w.Null()
		}
	}
}

// info writes the ten elements that describe a command to a client library.
func info(w *resp.Writer, s *Spec) {
	w.Array(10)
	w.BulkString(s.Full)
	w.Int(int64(s.Arity))
	flags := s.Flags.names()
	w.Set(len(flags))
	for _, f := range flags {
		w.Simple(f)
	}
	k := s.legacyKeys()
	w.Int(int64(k.First))
	w.Int(int64(k.Last))
	w.Int(int64(k.Step))
	cats := s.categories()
	w.Set(len(cats))
	for _, c := range cats {
		w.Simple("@" + c)
	}
	w.Array(len(s.Tips))
	for _, tip := range s.Tips {
		w.BulkString(tip)
	}
	specs := s.keySpecs()
	w.Array(len(specs))
	for _, ks := range specs {
		keySpec(w, ks)
	}
	w.Array(len(s.Sub))
	for i := range s.Sub {
		info(w, &s.Sub[i])
	}
}

func keySpec(w *resp.Writer, ks KeySpec) {
	last := ks.Keys.Last
	if last > 0 {
		last -= ks.Keys.First // relative to the first, in this place
	}
	w.Map(3)
	w.BulkString("flags")
	w.Set(len(ks.Flags))
	for _, f := range ks.Flags {
		w.Simple(f)
	}
	limit := 0
	w.BulkString("begin_search")
	w.Map(2)
	w.BulkString("type")
	if ks.Keyword != "" {
		limit = 2 // half of what is behind the word
		w.BulkString("keyword")
		w.BulkString("spec")
		w.Map(2)
		w.BulkString("keyword")
		w.BulkString(ks.Keyword)
		w.BulkString("startfrom")
	} else {
		w.BulkString("index")
		w.BulkString("spec")
		w.Map(1)
		w.BulkString("index")
	}
	w.Int(int64(ks.Keys.First))
	w.BulkString("find_keys")
	w.Map(2)
	w.BulkString("type")
	if ks.Numbered {
		w.BulkString("keynum")
		w.BulkString("spec")
		w.Map(3)
		w.BulkString("keynumidx")
		w.Int(0)
		w.BulkString("firstkey")
		w.Int(1)
		w.BulkString("keystep")
		w.Int(1)
		return
	}
	w.BulkString("range")
	w.BulkString("spec")
	w.Map(3)
	w.BulkString("lastkey")
	w.Int(int64(last))
	w.BulkString("keystep")
	w.Int(int64(ks.Keys.Step))
	w.BulkString("limit")
	w.Int(int64(limit))
}

// legacyKeys is the triple that older clients read.
func (s *Spec) legacyKeys() KeyRange { return s.Keys }

func (s *Spec) keySpecs() []KeySpec {
	if s.KeySpecs != nil || s.Keys.First <= 0 {
		return s.KeySpecs
	}
	return []KeySpec{{Keys: s.Keys, Flags: s.access()}}
}

// access is what a command does to its keys when its row does not say more.
func (s *Spec) access() []string {
	if s.Flags&Write != 0 {
		return []string{"RW", "update"}
	}
	return []string{"RO", "access"}
}

// accessAt is what a command with movable keys does to the one at a position: of
// its key specs, the first may be of one place, and the last is of all others.
func (s *Spec) accessAt(at int) []string {
	specs := s.KeySpecs
	switch {
	case len(specs) == 0:
		return s.access()
	case specs[0].Keys.First == at && !specs[0].Numbered && specs[0].Keyword == "":
		return specs[0].Flags
	case len(specs) == 1 && !specs[0].Numbered && s.Flags&Write != 0: // behind STORE
		return []string{"OW", "update"}
	}
	return specs[len(specs)-1].Flags
}

// accessOf is what a call with these arguments does to the keys of a range.
func (s *Spec) accessOf(ks KeySpec, line [][]byte) []string {
	if !slices.Contains(ks.Flags, "variable_flags") {
		return ks.Flags
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(line, func(a []byte) bool {
			return slices.ContainsFunc(words, func(w string) bool { return Is(a, w) })
		})
	}
	switch {
	case s.Full == "set" && !has("GET"):
		return []string{"OW", "update"}
	case s.Full == "bitfield" && !has("SET", "INCRBY"):
		return []string{"RO", "access"}
	}
	return []string{"RW", "access", "update"}
}

var flagNames = [...]string{"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale",
	"skip_monitor", "skip_slowlog", "fast", "no_auth", "movablekeys", "no_multi", "allow_busy",
	"no_mandatory_keys"}

func (f Flags) names() (names []string) {
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// categoryOrder is the order in which Redis lists ACL categories.
var categoryOrder = [...]string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog",
	"geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"}

// categories is the row's ACL categories, with those that its flags imply.
func (s *Spec) categories() (cats []string) {
	has := map[string]bool{
		"write":    s.Flags&Write != 0,
		"read":     s.Flags&ReadOnly != 0 && !s.hasCategory("scripting"),
		"admin":    s.Flags&Admin != 0,
		"pubsub":   s.Flags&PubSub != 0,
		"fast":     s.Flags&Fast != 0,
		"slow":     s.Flags&Fast == 0,
		"blocking": s.Flags&Blocking != 0,
	}
	has["dangerous"] = has["admin"]
	for _, c := range s.Categories {
		has[c] = true
	}
	for _, c := range categoryOrder {
		if has[c] {
			cats = append(cats, c)
		}
	}
	return cats
}

func (s *Spec) hasCategory(name string) bool {
	for _, c := range s.Categories {
		if c == name {
			return true
		}
	}
	return false
}

// all calls f with every row, subcommands after their container.
func (t *Table) all(f func(*Spec)) {
	for _, s := range t.top {
		f(s)
		for i := range s.Sub {
			f(&s.Sub[i])
		}
	}
}

func (t *Table) list(w *resp.Writer, args [][]byte) {
	keep := func(*Spec) bool { return true }
	switch {
	case len(args) == 0:
	case len(args) != 3 || !Is(args[0], "FILTERBY"):
		w.Error(ErrSyntax)
		return
	case Is(args[1], "MODULE"):
		keep = func(*Spec) bool { return false } // there are no modules
	case Is(args[1], "ACLCAT"):
		keep = func(s *Spec) bool {
			for _, c := range s.categories() {
				if c == string(args[2]) {
					return true
				}
			}
			return false
		}
	case Is(args[1], "PATTERN"):
		keep = func(s *Spec) bool { return glob.MatchFold(args[2], []byte(s.Full)) }
	default:
		w.Error(ErrSyntax)
		return
	}
	var names []string
	t.all(func(s *Spec) {
		if keep(s) {
			names = append(names, s.Full)
		}
	})
	sort.Strings(names)
	w.Set(len(names))
	for _, n := range names {
		w.BulkString(n)
	}
}

func (t *Table) getKeys(w *resp.Writer, line [][]byte, withFlags bool) {
	s := t.Lookup(line)
	switch {
	case s == nil:
		w.Error("ERR Invalid command specified")
		return
	case !s.HasKeys():
		w.Error("ERR The command has no key arguments")
		return
	case !s.CheckArity(len(line)):
		w.Error("ERR Invalid number of arguments specified for command")
		return
	}
	type use struct {
		at    int
		flags []string
	}
	var uses []use
	if s.FindKeys != nil {
		for _, at := range s.FindKeys(nil, line) {
			uses = append(uses, use{at, s.accessAt(at)})
		}
	}
	for _, ks := range s.keySpecs() {
		if s.FindKeys != nil {
			break
		}
		for _, at := range ks.Keys.appendTo(nil, len(line)) {
			uses = append(uses, use{at, s.accessOf(ks, line)})
		}
	}
	if len(uses) == 0 && !s.hasCategory("scripting") { // a script may do without
		w.Error("ERR Invalid arguments specified for command")
		return
	}
	w.Array(len(uses))
	for _, u := range uses {
		if withFlags {
			w.Array(2)
		}
		w.Bulk(line[u.at])
		if withFlags {
			w.Set(len(u.flags))
			for _, f := range u.flags {
				w.Simple(f)
			}
		}
	}
}
