package redisfront

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/command/glob"
	"coterie/internal/script"
)

// catalogWait bounds how long a change of the cluster's scripts may take.
const catalogWait = 10 * time.Second

// catchUp waits until this node knows the scripts that the cluster has now. It is
// false if that did not work.
func (f *Front) catchUp() bool {
	return f.changeScripts(catalog.CmdScriptsVersion, nil) == ""
}

// changeScripts runs a command of the catalog, and waits until this node knows what
// came of it. why is the error, if there is one.
func (f *Front) changeScripts(cmd string, arg []byte) (why string) {
	ctx, cancel := context.WithTimeout(context.Background(), catalogWait)
	defer cancel()
	reply, err := f.router.Catalog(ctx, cmd, arg)
	if err != nil {
		return coded(err.Error())
	}
	version, err := strconv.ParseUint(string(reply), 10, 64)
	if err == nil {
		err = f.scripts.store.Wait(ctx, version)
	}
	if err != nil {
		return "ERR the change was made, and this node does not know it yet: " + err.Error()
	}
	return ""
}

func scriptSpec() frontSpec {
	mode := command.OneOf("flush-type", command.Token("async", "ASYNC"), command.Token("sync", "SYNC")).Opt()
	return container("script", "scripting", "2.6.0", "Commands about scripts.",
		sub("load", 3, command.NoScript|command.Stale, "2.6.0", "Makes a script known to the whole cluster and answers its digest.", scriptLoad, command.Text("script")),
		sub("exists", -3, command.NoScript, "2.6.0", "Says which scripts are known here.", scriptExists, command.Text("sha1").Many()),
		sub("flush", -2, command.NoScript, "2.6.0", "Forgets all scripts.", scriptFlush, mode),
		sub("kill", 2, command.NoScript|command.AllowBusy, "2.6.0", "Ends the scripts that run on this node for clients of it.", scriptKill),
		sub("debug", 3, command.NoScript, "3.2.0", "Refused: scripts cannot be debugged.",
			replyError("ERR SCRIPT DEBUG is not supported"), command.Text("mode")))
}

func functionSpec() frontSpec {
	mode := command.OneOf("flush-type", command.Token("async", "ASYNC"), command.Token("sync", "SYNC")).Opt()
	write := command.NoScript | command.Write | command.DenyOOM
	c := container("function", "scripting", "7.0.0", "Commands about libraries of functions.",
		sub("load", -3, write, "7.0.0", "Makes a library known to the whole cluster and answers its name.", functionLoad,
			command.Token("replace", "REPLACE").Opt(), command.Text("function-code")),
		sub("delete", 3, command.NoScript|command.Write, "7.0.0", "Deletes a library.", functionDelete, command.Text("library-name")),
		sub("list", -2, command.NoScript, "7.0.0", "Describes the libraries.", functionList,
			command.Text("library-name-pattern").After("LIBRARYNAME").Opt(), command.Token("withcode", "WITHCODE").Opt()),
		sub("stats", 2, command.NoScript|command.AllowBusy, "7.0.0", "Says what runs, and how many libraries there are.", functionStats),
		sub("flush", -2, command.NoScript|command.Write, "7.0.0", "Deletes all libraries.", functionFlush, mode),
		sub("dump", 2, command.NoScript, "7.0.0", "Answers all libraries in one string.", functionDump),
		sub("restore", -3, write, "7.0.0", "Takes in the libraries of such a string.", functionRestore, command.Text("serialized-value"),
			command.OneOf("policy", command.Token("flush", "FLUSH"), command.Token("append", "APPEND"), command.Token("replace", "REPLACE")).Opt()),
		sub("kill", 2, command.NoScript|command.AllowBusy, "7.0.0", "Ends the functions that run on this node for clients of it.", functionKill))
	return c
}

func scriptLoad(s *session, args [][]byte) {
	sc, why := s.f.scripts.compile(string(args[2]))
	if why == "" {
		why = s.f.changeScripts(catalog.CmdScriptLoad, args[2])
	}
	if why != "" {
		s.rw.Error(why)
		return
	}
	s.rw.BulkString(sc.SHA)
}

func scriptExists(s *session, args [][]byte) {
	caught := false
	s.rw.Array(len(args) - 2)
	for _, sha := range args[2:] {
		sc := s.f.scripts.store.Script(string(sha))
		if sc == nil && !caught {
			caught = true
			s.f.catchUp()
			sc = s.f.scripts.store.Script(string(sha))
		}
		n := int64(0)
		if sc != nil {
			n = 1
		}
		s.rw.Int(n)
	}
}

// flushMode reads SYNC or ASYNC, which make no difference here.
func flushMode(args [][]byte) bool {
	return len(args) == 2 || len(args) == 3 && (is(args[2], "sync") || is(args[2], "async"))
}

func scriptFlush(s *session, args [][]byte) {
	if !flushMode(args) {
		s.rw.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
		return
	}
	s.done(s.f.changeScripts(catalog.CmdScriptFlush, nil))
}

// done answers OK, or the error if there is one.
func (s *session) done(why string) {
	if why != "" {
		s.rw.Error(why)
		return
	}
	s.rw.Simple("OK")
}

func scriptKill(s *session, _ [][]byte) { s.done(s.f.kill(true, "SCRIPT KILL")) }

func functionKill(s *session, _ [][]byte) { s.done(s.f.kill(false, "FUNCTION KILL")) }

// coded is an error's text with a code in front: its own (MISCONF, CLUSTERDOWN …), or
// ERR.
func coded(text string) string {
	if code, _, _ := strings.Cut(text, " "); len(code) > 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return text
	}
	return "ERR " + text
}

func (f *Front) changeLibraries(c catalog.LibraryChange) (why string) {
	arg, err := json.Marshal(&c)
	if err != nil {
		return "ERR " + err.Error()
	}
	return f.changeScripts(catalog.CmdLibraries, arg)
}

// record is a library as the catalog keeps it.
func record(l *script.Library) catalog.Library {
	r := catalog.Library{Name: l.Name, Code: []byte(l.Code)}
	for _, f := range l.Functions {
		r.Functions = append(r.Functions, f.Name)
	}
	return r
}

func functionLoad(s *session, args [][]byte) {
	c := catalog.LibraryChange{}
	for _, a := range args[2 : len(args)-1] {
		if !is(a, "replace") {
			s.rw.Error("ERR Unknown option given: " + command.Quoted(a))
			return
		}
		c.Replace = true
	}
	code := args[len(args)-1]
	l, why := s.f.scripts.parseLibrary(string(code))
	if why == "" {
		c.Put = []catalog.Library{record(l)}
		why = s.f.changeLibraries(c)
	}
	if why != "" {
		s.rw.Error(why)
		return
	}
	s.rw.BulkString(l.Name)
}

func functionDelete(s *session, args [][]byte) {
	if len(args[2]) == 0 {
		s.rw.Error("ERR Library not found")
		return
	}
	s.done(s.f.changeLibraries(catalog.LibraryChange{Delete: string(args[2])}))
}

func functionFlush(s *session, args [][]byte) {
	if len(args) > 3 {
		s.rw.Error("ERR unknown subcommand or wrong number of arguments for 'flush'. Try FUNCTION HELP.")
		return
	}
	if !flushMode(args) {
		s.rw.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
		return
	}
	s.done(s.f.changeLibraries(catalog.LibraryChange{Flush: true}))
}

func functionList(s *session, args [][]byte) {
	withCode := false
	var pattern []byte
	for i := 2; i < len(args); i++ {
		switch {
		case !withCode && is(args[i], "withcode"):
			withCode = true
		case pattern == nil && is(args[i], "libraryname"):
			if i++; i >= len(args) {
				s.rw.Error("ERR library name argument was not given")
				return
			}
			pattern = args[i]
		default:
			s.rw.Error("ERR Unknown argument " + command.Quoted(args[i]))
			return
		}
	}
	s.f.catchUp()
	var list []*script.Library
	for _, l := range s.f.scripts.store.Libraries() {
		if pattern == nil || glob.Match([]byte(strings.ToLower(string(pattern))), []byte(strings.ToLower(l.Name))) {
			list = append(list, l)
		}
	}
	w := &s.rw
	w.Array(len(list))
	for _, l := range list {
		n := 3
		if withCode {
			n = 4
		}
		w.Map(n)
		w.BulkString("library_name")
		w.BulkString(l.Name)
		w.BulkString("engine")
		w.BulkString("LUA")
		w.BulkString("functions")
		w.Array(len(l.Functions))
		for _, f := range l.Functions {
			w.Map(3)
			w.BulkString("name")
			w.BulkString(f.Name)
			w.BulkString("description")
			if f.Described {
				w.BulkString(f.Description)
			} else {
				w.Null()
			}
			w.BulkString("flags")
			flags := f.Flags.Names()
			w.Set(len(flags))
			for _, name := range flags {
				w.Simple(name)
			}
		}
		if withCode {
			w.BulkString("library_code")
			w.BulkString(l.Code)
		}
	}
}

func functionStats(s *session, _ [][]byte) {
	w := &s.rw
	var oldest *runningScript
	x := &s.f.scripts
	x.mu.Lock()
	for r := range x.running {
		if oldest == nil || r.started.Before(oldest.started) {
			oldest = r
		}
	}
	x.mu.Unlock()
	w.Map(2)
	w.BulkString("running_script")
	if oldest == nil {
		w.Null()
	} else {
		w.Map(3)
		w.BulkString("name")
		w.Bulk(oldest.args[1])
		w.BulkString("command")
		w.Array(len(oldest.args))
		for _, a := range oldest.args {
			w.Bulk(a)
		}
		w.BulkString("duration_ms")
		w.Int(time.Since(oldest.started).Milliseconds())
	}
	list := x.store.Libraries()
	functions := 0
	for _, l := range list {
		functions += len(l.Functions)
	}
	w.BulkString("engines")
	w.Map(1)
	w.BulkString("LUA")
	w.Map(2)
	w.BulkString("libraries_count")
	w.Int(int64(len(list)))
	w.BulkString("functions_count")
	w.Int(int64(functions))
}

func functionDump(s *session, _ [][]byte) {
	s.f.catchUp()
	s.rw.Bulk(script.Dump(s.f.scripts.store.Libraries()))
}

func functionRestore(s *session, args [][]byte) {
	c := catalog.LibraryChange{Restore: true}
	switch {
	case len(args) > 4:
		s.rw.Error("ERR unknown subcommand or wrong number of arguments for 'restore'. Try FUNCTION HELP.")
		return
	case len(args) == 3 || is(args[3], "append"):
	case is(args[3], "replace"):
		c.Replace = true
	case is(args[3], "flush"):
		c.Flush = true
	default:
		s.rw.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
		return
	}
	codes, why := script.ParseDump(args[2])
	for _, code := range codes {
		if why != "" {
			break
		}
		var l *script.Library
		if l, why = s.f.scripts.parseLibrary(code); why == "" {
			c.Put = append(c.Put, record(l))
		}
	}
	if why == "" {
		why = s.f.changeLibraries(c)
	}
	s.done(why)
}
