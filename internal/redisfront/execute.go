package redisfront

import (
	"strings"

	"coterie/internal/command"
	"coterie/internal/command/number"
)

// replyMode is what CLIENT REPLY set.
type replyMode uint8

const (
	replyOn   replyMode = iota
	replyOff            // no replies until CLIENT REPLY ON
	replyNext           // the command that just ran was CLIENT REPLY SKIP: the next one is silent
	replySkip           // this command is silent
)

// execute runs one command: it answers it, or puts it into the batch.
func (s *session) execute(o *op) {
	if s.silence == replyNext {
		s.silence = replySkip
	}
	args := o.args
	e := s.find(args)
	if e == nil && s.multi != nil {
		s.multi.failed = true
	}
	if e != nil {
		s.commands.Store(s.commands.Load() + 1)
		if s.lastCmd.Load() != e && !e.pushes {
			s.lastCmd.Store(e)
		}
		o.cmd = e
		if s.f.monitors.Load() > 0 {
			s.f.feedMonitors(s, e, args)
		}
		if e.scripted && s.multi == nil && s.subs.any() {
			s.hold()
		}
		if s.f.pause.until.Load() != 0 && s.f.pause.concerns(s, e, args) && !s.waitForPause(e, args) {
			s.ending = true
			return
		}
		if s.tracker.Load() != nil && s.multi == nil {
			s.noteReads(e, args)
		}
		switch {
		case !e.whileSubscribed && s.restricted():
			if s.multi != nil {
				s.multi.failed = true
			}
			s.refuse(e, s.restriction(e))
		case s.cluster && e.namespaced && otherDatabase(e, args) != "":
			if s.multi != nil {
				s.multi.failed = true
			}
			s.refuse(e, otherDatabase(e, args))
		case s.multi != nil && s.queue(o, e):
		case e.local != nil:
			if e.publishes() {
				s.inOrder()
			}
			s.runLocal(e, args)
		case e.route != nil:
			e.route(s, o)
		default:
			s.route(o)
		}
	}
	if e != nil && e.pushes { // who sees in CLIENT LIST that a client has unsubscribed may rely on it
		s.lastCmd.Store(e)
	}
	if s.silence == replySkip {
		s.silence = replyOn
	}
	s.mayRead = s.mayRead[:0]
	if s.caching != cachingUnset && s.multi == nil && !(e != nil && strings.HasPrefix(e.full, "client|")) {
		s.caching = cachingUnset // it was for this command, or transaction
	}
}

// find looks a command up and checks what needs no handler: that it exists,
// and its number of arguments. When it returns nil, it has replied.
func (s *session) find(args [][]byte) *entry {
	if s.lastEntry != nil && string(args[0]) == s.lastName {
		if s.lastEntry.spec.CheckArity(len(args)) {
			return s.lastEntry
		}
	}
	e := s.f.table.lookup(args[0])
	if e == nil {
		if is(args[0], "post") || is(args[0], "host:") {
			s.web()
			return nil
		}
		s.refuse(nil, s.f.opts.Table.Unknown(args))
		return nil
	}
	if len(e.subs) > 0 && len(args) > 1 {
		sub := e.sub(args[1])
		if sub == nil {
			s.refuse(e, s.f.opts.Table.Unknown(args))
			return nil
		}
		e = sub
	} else if e.subs == nil && e.words == 1 {
		if len(s.lastName) != len(args[0]) || s.lastName != string(args[0]) {
			s.lastName = string(args[0])
		}
		s.lastEntry = e
	}
	if !e.spec.CheckArity(len(args)) {
		s.refuse(e, e.spec.ArityError())
		return nil
	}
	return e
}

// web ends a connection that speaks HTTP: a browser may have been made to
// send it by a page, with commands in what it posts.
func (s *session) web() {
	s.f.log.Warn("client closed: it speaks HTTP", "client", s.remote, "id", s.id)
	s.ending = true
}

// refuse answers a command that does not run.
func (s *session) refuse(e *entry, text string) {
	if e != nil {
		e.stats.rejected.Add(1)
	}
	s.f.countError(text)
	w := s.beginReply()
	start := len(w.Buf)
	w.Error(text)
	if s.silence != replyOn {
		w.Buf = w.Buf[:start]
	}
	s.endReply()
}

// runLocal answers a command in place.
func (s *session) runLocal(e *entry, args [][]byte) {
	w := s.beginReply()
	w.Proto = int(s.proto.Load())
	start := len(w.Buf)
	began := int64(0)
	if !e.fast {
		began = s.f.nanos()
	}
	e.local(s, args)
	took := int64(1000)
	if !e.fast {
		took = s.f.nanos() - began
	}
	failed := len(w.Buf) > start && w.Buf[start] == '-'
	if failed {
		s.f.countErrorReply(w.Buf[start:])
	}
	s.f.measure(s, e, args, took, failed)
	if s.silence != replyOn && !e.pushes {
		w.Buf = w.Buf[:start]
	}
	s.endReply()
}

// quoteMax is how many bytes of a client's own words an error repeats.
const quoteMax = 128

func clip(p []byte) []byte { return p[:min(len(p), quoteMax)] }

const (
	errSyntax     = command.ErrSyntax
	errNotInteger = command.ErrNotInteger
)

func parseInt(p []byte) (int64, bool) { return number.ParseInt(p) }

func is(arg []byte, word string) bool {
	return len(arg) == len(word) && strings.EqualFold(string(arg), word)
}
