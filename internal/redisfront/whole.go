package redisfront

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"coterie/internal/resp"
)

// generationWait bounds how long a flush waits for its generation.
const generationWait = 10 * time.Second

// wholeArgs are the arguments of a command about a whole database as its
// partitions get them: FLUSHDB and FLUSHALL with a namespace generation that is
// new in all of them.
func (s *session) wholeArgs(e *entry, args [][]byte) ([][]byte, string) {
	if !flushes(e) {
		return args, ""
	}
	if why := flushSyntax(e, args); why != "" {
		return nil, why
	}
	// What came before must not wait for the generation.
	s.submit()
	ctx, cancel := context.WithTimeout(context.Background(), generationWait)
	generation, err := s.f.router.NextGeneration(ctx)
	cancel()
	if err != nil {
		return nil, "CLUSTERDOWN The command was not run: no namespace generation could be had: " + err.Error()
	}
	s.dir = nil
	return [][]byte{[]byte(e.spec.Name), strconv.AppendUint(nil, uint64(generation), 10)}, ""
}

func flushes(e *entry) bool { return e.spec.Name == "flushdb" || e.spec.Name == "flushall" }

// flushSyntax says what is wrong with a flush's arguments, or "".
func flushSyntax(e *entry, args [][]byte) string {
	if flushes(e) && (len(args) > 2 || len(args) == 2 && !is(args[1], "sync") && !is(args[1], "async")) {
		return errSyntax
	}
	return ""
}

// otherDatabase says why a command cannot be run on the cluster listener, which
// has database 0 alone, or "".
func otherDatabase(e *entry, args [][]byte) string {
	switch e.full {
	case "swapdb":
		return "ERR SWAPDB is not allowed in cluster mode"
	case "move":
		return "ERR MOVE is not allowed in cluster mode"
	}
	for i := 3; i+1 < len(args); i++ {
		if n, ok := parseInt(args[i+1]); is(args[i], "db") && ok && n > 0 && n < Databases {
			return "ERR Copying to another database is not allowed in cluster mode"
		}
	}
	return ""
}

// routeInfo answers INFO; the number of keys is the partitions' to tell.
func routeInfo(s *session, o *op) {
	var b infoText
	keyspace := false
	for _, name := range wantedSections(o.args[1:]) {
		if name == "keyspace" {
			keyspace = true
			continue
		}
		s.infoSection(&b, name)
	}
	text := b.String()
	if !keyspace {
		s.launch(o, &fan{merge: func(w *resp.Writer, _ *fan) { w.Verbatim("txt", text) }})
		return
	}
	ids := s.ledNow()
	f := &fan{parts: make([]part, len(ids)), lenient: true}
	for i, id := range ids {
		s.whole(&f.parts[i], f, o.cmd, id, o.args[:1])
	}
	cluster := s.cluster
	f.merge = func(w *resp.Writer, f *fan) {
		var keys, expires [Databases]int64
		var ttls [Databases]float64 // of all, added up
		for i := range f.parts {
			n, _ := intsReply(f.parts[i].reply, 3*Databases)
			for db := range len(n) / 3 {
				keys[db] += n[3*db]
				expires[db] += n[3*db+1]
				ttls[db] += float64(n[3*db+1]) * float64(n[3*db+2])
			}
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# Keyspace\r\n")
		for db, n := range keys {
			if n > 0 && (db == 0 || !cluster) {
				b.line("db"+strconv.Itoa(db), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%.0f", n, expires[db], ttls[db]/float64(max(expires[db], 1))))
			}
		}
		w.Verbatim("txt", b.String())
	}
	s.launch(o, f)
}
