package redisfront

import (
	"sort"
	"strings"

	"coterie/internal/command"
	"coterie/internal/command/glob"
	"coterie/internal/resp"
)

// skipMonitor marks what MONITOR does not show.
const skipMonitor = command.SkipMonitor

// flagNames are COMMAND INFO's words for a command's flags, in Redis's order.
var flagNames = []struct {
	flag command.Flags
	name string
}{
	{command.Write, "write"}, {command.ReadOnly, "readonly"}, {command.DenyOOM, "denyoom"},
	{command.Admin, "admin"}, {command.PubSub, "pubsub"}, {command.NoScript, "noscript"},
	{command.Blocking, "blocking"}, {command.Loading, "loading"}, {command.Stale, "stale"},
	{command.SkipMonitor, "skip_monitor"}, {command.SkipSlowlog, "skip_slowlog"},
	{command.Fast, "fast"}, {command.NoAuth, "no_auth"}, {command.MovableKeys, "movablekeys"},
	{command.NoMulti, "no_multi"}, {command.AllowBusy, "allow_busy"},
}

func cmdCommand(s *session, _ [][]byte) {
	s.rw.Array(len(s.f.table.list))
	for _, e := range s.f.table.list {
		writeInfo(&s.rw, e)
	}
}

func commandCount(s *session, _ [][]byte) { s.rw.Int(int64(len(s.f.table.list))) }

// byFullName finds "get" and "client|kill".
func (t *table) byFullName(name []byte) *entry {
	full := strings.ToLower(string(name))
	container, sub, ok := strings.Cut(full, "|")
	e := t.byName[container]
	if e == nil || !ok {
		return e
	}
	return e.subs[sub]
}

func commandInfo(s *session, args [][]byte) {
	if len(args) == 2 {
		cmdCommand(s, args)
		return
	}
	s.rw.Array(len(args) - 2)
	for _, name := range args[2:] {
		if e := s.f.table.byFullName(name); e != nil {
			writeInfo(&s.rw, e)
		} else {
			s.rw.NullArray()
		}
	}
}

// writeInfo writes a command's ten elements.
func writeInfo(w *resp.Writer, e *entry) {
	spec := e.spec
	w.Array(10)
	w.BulkString(e.full)
	w.Int(int64(spec.Arity))
	var flags []string
	for _, f := range flagNames {
		if spec.Flags&f.flag != 0 {
			flags = append(flags, f.name)
		}
	}
	statuses(w, flags)
	k := spec.Keys
	w.Int(int64(k.First))
	w.Int(int64(k.Last))
	w.Int(int64(k.Step))
	statuses(w, categories(spec))
	bulks(w, spec.Tips)
	if k.First == 0 {
		w.Array(0)
	} else {
		w.Array(1)
		writeKeySpec(w, spec)
	}
	w.Array(len(e.list))
	for _, sub := range e.list {
		writeInfo(w, sub)
	}
}

func statuses(w *resp.Writer, list []string) {
	w.Set(len(list))
	for _, l := range list {
		w.Simple(l)
	}
}

func keyAccess(spec *command.Spec) []string {
	if spec.Flags&command.Write != 0 {
		return []string{"RW", "access", "update"}
	}
	return []string{"RO", "access"}
}

func writeKeySpec(w *resp.Writer, spec *command.Spec) {
	k := spec.Keys
	w.Map(3)
	w.BulkString("flags")
	statuses(w, keyAccess(spec))
	w.BulkString("begin_search")
	w.Map(2)
	w.BulkString("type")
	w.BulkString("index")
	w.BulkString("spec")
	w.Map(1)
	w.BulkString("index")
	w.Int(int64(k.First))
	w.BulkString("find_keys")
	w.Map(2)
	w.BulkString("type")
	w.BulkString("range")
	w.BulkString("spec")
	w.Map(3)
	w.BulkString("lastkey")
	last := k.Last // from the first key on, in a key specification
	if last >= 0 {
		last -= k.First
	}
	w.Int(int64(last))
	w.BulkString("keystep")
	w.Int(int64(k.Step))
	w.BulkString("limit")
	w.Int(0)
}

// categories are a command's ACL categories.
func categories(spec *command.Spec) []string {
	var list []string
	add := func(name string) { list = append(list, "@"+name) }
	switch {
	case spec.Flags&command.Write != 0:
		add("write")
	case spec.Flags&command.ReadOnly != 0:
		add("read")
	}
	for _, c := range spec.Categories {
		add(c)
	}
	if spec.Flags&command.Admin != 0 {
		add("admin")
		add("dangerous")
	}
	if spec.Flags&command.Blocking != 0 {
		add("blocking")
	}
	if spec.Flags&command.Fast != 0 {
		add("fast")
	} else {
		add("slow")
	}
	out := list[:0:0]
	seen := make(map[string]bool)
	for _, c := range list {
		if !seen[c] {
			out, seen[c] = append(out, c), true
		}
	}
	return out
}

func commandDocs(s *session, args [][]byte) {
	list := s.f.table.list
	if len(args) > 2 {
		list = nil
		for _, name := range args[2:] {
			if e := s.f.table.byFullName(name); e != nil {
				list = append(list, e)
			}
		}
	}
	s.rw.Map(len(list))
	for _, e := range list {
		s.rw.BulkString(e.full)
		writeDocs(&s.rw, e)
	}
}

func writeDocs(w *resp.Writer, e *entry) {
	spec := e.spec
	n := 4
	if len(spec.Args) > 0 {
		n++
	}
	if len(e.list) > 0 {
		n++
	}
	w.Map(n)
	for _, kv := range [][2]string{{"summary", spec.Summary}, {"since", spec.Since}, {"group", spec.Group}, {"complexity", spec.Complexity}} {
		w.BulkString(kv[0])
		w.BulkString(kv[1])
	}
	if len(spec.Args) > 0 {
		w.BulkString("arguments")
		writeArgs(w, spec.Args)
	}
	if len(e.list) > 0 {
		w.BulkString("subcommands")
		w.Map(len(e.list))
		for _, sub := range e.list {
			w.BulkString(sub.full)
			writeDocs(w, sub)
		}
	}
}

func writeArgs(w *resp.Writer, args []command.Arg) {
	w.Array(len(args))
	for _, a := range args {
		n := 2
		for _, have := range []bool{a.Type == "key", a.Token != "", a.Optional || a.Multiple, len(a.Args) > 0, hasDisplay(a)} {
			if have {
				n++
			}
		}
		w.Map(n)
		w.BulkString("name")
		w.BulkString(a.Name)
		w.BulkString("type")
		w.BulkString(a.Type)
		if hasDisplay(a) {
			w.BulkString("display_text")
			w.BulkString(a.Name)
		}
		if a.Type == "key" {
			w.BulkString("key_spec_index")
			w.Int(0)
		}
		if a.Token != "" {
			w.BulkString("token")
			w.BulkString(a.Token)
		}
		if a.Optional || a.Multiple {
			w.BulkString("flags")
			var flags []string
			if a.Optional {
				flags = append(flags, "optional")
			}
			if a.Multiple {
				flags = append(flags, "multiple")
			}
			statuses(w, flags)
		}
		if len(a.Args) > 0 {
			w.BulkString("arguments")
			writeArgs(w, a.Args)
		}
	}
}

// hasDisplay says whether an argument shows its name as a placeholder: tokens
// and groups do not.
func hasDisplay(a command.Arg) bool {
	return a.Type != "pure-token" && a.Type != "oneof" && a.Type != "block"
}

func commandList(s *session, args [][]byte) {
	keep := func(*entry) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) == 5 && is(args[2], "filterby"):
		word := strings.ToLower(string(args[4]))
		switch strings.ToLower(string(args[3])) {
		case "module":
			keep = func(*entry) bool { return false }
		case "aclcat":
			keep = func(e *entry) bool { return inCategory(e.spec, word) }
		case "pattern":
			keep = func(e *entry) bool { return glob.Match([]byte(word), []byte(e.full)) }
		default:
			s.rw.Error(errSyntax)
			return
		}
	default:
		s.rw.Error(errSyntax)
		return
	}
	var names []string
	for _, e := range s.f.table.list {
		if keep(e) {
			names = append(names, e.full)
		}
		for _, sub := range e.list {
			if len(args) > 2 && keep(sub) {
				names = append(names, sub.full)
			}
		}
	}
	s.rw.Set(len(names))
	for _, n := range names {
		s.rw.BulkString(n)
	}
}

func inCategory(spec *command.Spec, word string) bool {
	for _, c := range categories(spec) {
		if c == "@"+word {
			return true
		}
	}
	return false
}

// allCategories are the ACL categories that any command has, sorted.
func (t *table) allCategories() []string {
	seen := make(map[string]bool)
	for _, e := range t.list {
		for _, leaf := range e.leaves() {
			for _, c := range categories(leaf.spec) {
				seen[strings.TrimPrefix(c, "@")] = true
			}
		}
	}
	var list []string
	for c := range seen {
		list = append(list, c)
	}
	sort.Strings(list)
	return list
}

func commandGetkeys(flags bool) localFunc {
	return func(s *session, args [][]byte) {
		call := args[2:]
		e := s.f.table.lookup(call[0])
		if e != nil && len(e.subs) > 0 && len(call) > 1 {
			e = e.sub(call[1])
		}
		switch {
		case e == nil:
			s.rw.Error("ERR Invalid command specified")
			return
		case e.spec.Keys.First == 0:
			s.rw.Error("ERR The command has no key arguments")
			return
		case !e.spec.CheckArity(len(call)):
			s.rw.Error("ERR Invalid number of arguments specified for command")
			return
		}
		at := e.spec.AppendKeys(nil, call)
		s.rw.Array(len(at))
		for _, i := range at {
			if flags {
				s.rw.Array(2)
			}
			s.rw.Bulk(call[i])
			if flags {
				statuses(&s.rw, keyAccess(e.spec))
			}
		}
	}
}

func aclCat(s *session, args [][]byte) {
	if len(args) == 2 {
		bulks(&s.rw, s.f.table.allCategories())
		return
	}
	if len(args) > 3 {
		s.rw.Error(errSyntax)
		return
	}
	word := strings.ToLower(string(args[2]))
	var names []string
	for _, e := range s.f.table.list {
		for _, leaf := range e.leaves() {
			if inCategory(leaf.spec, word) {
				names = append(names, leaf.full)
			}
		}
	}
	if names == nil {
		s.rw.Error("ERR Unknown category '" + string(clip(args[2])) + "'")
		return
	}
	bulks(&s.rw, names)
}

func aclGetuser(s *session, args [][]byte) {
	if string(args[2]) != "default" {
		s.rw.Null()
		return
	}
	w := &s.rw
	w.Map(6)
	w.BulkString("flags")
	statuses(w, []string{"on", "nopass"})
	w.BulkString("passwords")
	w.Array(0)
	for _, kv := range [][2]string{{"commands", "+@all"}, {"keys", "~*"}, {"channels", "&*"}} {
		w.BulkString(kv[0])
		w.BulkString(kv[1])
	}
	w.BulkString("selectors")
	w.Array(0)
}

func aclUsers(s *session, _ [][]byte) { bulks(&s.rw, []string{"default"}) }

func aclList(s *session, _ [][]byte) {
	bulks(&s.rw, []string{"user default on nopass sanitize-payload ~* &* +@all"})
}
