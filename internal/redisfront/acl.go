package redisfront

import (
	"slices"
	"strings"

	"coterie/internal/command"
)

// aclCategories are Redis's categories of commands.
var aclCategories = []string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog",
	"geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"}

func aclCat(s *session, args [][]byte) {
	switch {
	case len(args) == 2:
		bulks(&s.rw, aclCategories)
	case len(args) > 3:
		s.rw.Error(errSyntax)
	case !slices.Contains(aclCategories, strings.ToLower(string(args[2]))):
		s.rw.Error("ERR Unknown category '" + string(clip(args[2])) + "'")
	default:
		// The same list as COMMAND's, which is a set in RESP3.
		s.f.opts.Table.Describe(&s.rw, [][]byte{[]byte("command"), []byte("list"), []byte("filterby"), []byte("aclcat"), lower(nil, args[2])})
	}
}

func aclGetuser(s *session, args [][]byte) {
	if string(args[2]) != "default" {
		s.rw.Null()
		return
	}
	w := &s.rw
	w.Map(6)
	w.BulkString("flags")
	w.Set(2)
	w.Simple("on")
	w.Simple("nopass")
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

// cmdCommand answers COMMAND and its subcommands from the table.
func cmdCommand(s *session, args [][]byte) { s.f.opts.Table.Describe(&s.rw, args) }

// cmdHelp answers a container's HELP from its rows.
func cmdHelp(s *session, args [][]byte) {
	e := s.f.table.lookup(args[0])
	command.Help(&s.rw, strings.ToUpper(e.full), e.spec.Sub)
}
