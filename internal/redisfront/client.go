package redisfront

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"coterie/internal/command"
	"coterie/internal/pubsub"
)

const (
	errClientName = "ERR Client names cannot contain spaces, newlines or special characters."
	errNoClient   = "ERR No such client"
)

// validName says whether a text can be a client's name: printable, no blanks.
func validName(p []byte) bool {
	for _, c := range p {
		if c < '!' || c > '~' {
			return false
		}
	}
	return true
}

func clientID(s *session, _ [][]byte) { s.rw.Int(int64(s.id)) }

func clientSetname(s *session, args [][]byte) {
	if !validName(args[2]) {
		s.rw.Error(errClientName)
		return
	}
	s.mu.Lock()
	s.mu.name = string(args[2])
	s.mu.Unlock()
	s.rw.Simple("OK")
}

func clientGetname(s *session, _ [][]byte) {
	s.mu.Lock()
	name := s.mu.name
	s.mu.Unlock()
	if name == "" {
		s.rw.Null()
		return
	}
	s.rw.BulkString(name)
}

func clientSetinfo(s *session, args [][]byte) {
	var field *string
	switch {
	case is(args[2], "lib-name"):
		field = &s.mu.libName
	case is(args[2], "lib-ver"):
		field = &s.mu.libVer
	default:
		s.rw.Error("ERR Unrecognized option '" + string(clip(args[2])) + "'")
		return
	}
	if !validName(args[3]) {
		s.rw.Error("ERR " + strings.ToLower(string(args[2])) + " cannot contain spaces, newlines or special characters.")
		return
	}
	s.mu.Lock()
	*field = string(args[3])
	s.mu.Unlock()
	s.rw.Simple("OK")
}

func clientInfo(s *session, _ [][]byte) { s.rw.Verbatim("txt", s.describe(s.taken)+"\n") }

// describe is the session's line in CLIENT LIST; qbuf is the bytes of the
// command that runs, if its goroutine asks.
func (s *session) describe(qbuf int) string {
	var b strings.Builder
	cmd := "NULL"
	if e := s.lastCmd.Load(); e != nil {
		cmd = e.full
	}
	s.mu.Lock()
	flags := ""
	if s.mu.monitor {
		flags += "O"
	}
	if s.queued.Load() > 0 {
		flags += "x"
	}
	if s.mu.blocked != nil && s.mu.blocked.waiting {
		flags += "b"
	}
	if s.mu.subscriber {
		flags += "P"
	}
	if x := s.tracker.Load(); x != nil {
		flags += "t"
		if s.mu.redirectBroken {
			flags += "R"
		}
		if x.bcast {
			flags += "B"
		}
	}
	if s.mu.noEvict {
		flags += "e"
	}
	if s.mu.noTouch {
		flags += "T"
	}
	if flags == "" {
		flags = "N"
	}
	name, libName, libVer := s.mu.name, s.mu.libName, s.mu.libVer
	owed, pending := s.mu.owed, s.mu.pending
	subs, psubs, ssubs := len(s.subs[pubsub.Channel]), len(s.subs[pubsub.Pattern]), len(s.subs[pubsub.Shard])
	s.mu.Unlock()
	idle := time.Duration(s.f.nanos() - s.lastSeen.Load())
	fmt.Fprintf(&b, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d",
		s.id, s.remote, s.local, s.id, name, int(time.Since(s.created).Seconds()), int(idle.Seconds()), flags, s.db.Load(), subs, psubs, ssubs, s.queued.Load()-1)
	fmt.Fprintf(&b, " qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=0 rbs=0 rbp=0 obl=0 oll=%d omem=%d tot-mem=%d events=r cmd=%s user=default redir=%d resp=%d lib-name=%s lib-ver=%s tot-cmds=%d",
		qbuf, bufferMin-min(qbuf, bufferMin), qbuf, pending, owed, owed+bufferMin, cmd, s.redirection2(), s.proto.Load(), libName, libVer, s.commands.Load())
	return b.String()
}

func clientList(s *session, args [][]byte) {
	keep := func(*session) bool { return true }
	switch {
	case len(args) == 2:
	case is(args[2], "type") && len(args) == 4:
		kind, ok := clientType(args[3])
		if !ok {
			s.rw.Error("ERR Unknown client type '" + string(clip(args[3])) + "'")
			return
		}
		keep = kind
	case is(args[2], "id") && len(args) > 3:
		ids := make(map[uint64]bool)
		for _, a := range args[3:] {
			n, ok := parseInt(a)
			if !ok {
				s.rw.Error("ERR Invalid client ID")
				return
			}
			ids[uint64(n)] = true
		}
		keep = func(c *session) bool { return ids[c.id] }
	default:
		s.rw.Error(errSyntax)
		return
	}
	var b strings.Builder
	for _, c := range s.f.sessions() {
		if keep(c) {
			qbuf := 0
			if c == s {
				qbuf = s.taken
			}
			b.WriteString(c.describe(qbuf))
			b.WriteByte('\n')
		}
	}
	s.rw.Verbatim("txt", b.String())
}

// clientType says which clients are of a type.
func clientType(p []byte) (has func(*session) bool, ok bool) {
	subscriber := func(c *session) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.mu.subscriber
	}
	switch strings.ToLower(string(p)) {
	case "normal":
		return func(c *session) bool { return !subscriber(c) }, true
	case "pubsub":
		return subscriber, true
	case "master", "replica", "slave":
		return func(*session) bool { return false }, true
	default:
		return nil, false
	}
}

// killFilter is what CLIENT KILL looks for.
type killFilter struct {
	id          uint64
	addr, laddr string
	kind        func(*session) bool // nil: any
	skipMe      bool
	maxAge      int64 // seconds; 0: any
}

func (k *killFilter) matches(me, c *session) bool {
	return (k.kind == nil || k.kind(c)) &&
		(k.id == 0 || k.id == c.id) &&
		(k.addr == "" || k.addr == c.remote) &&
		(k.laddr == "" || k.laddr == c.local) &&
		(k.maxAge == 0 || time.Since(c.created) >= time.Duration(k.maxAge)*time.Second) &&
		!(k.skipMe && c == me)
}

// parse reads the filters; it returns an error text, or "".
func (k *killFilter) parse(args [][]byte) string {
	if len(args)%2 != 0 {
		return errSyntax
	}
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch strings.ToLower(string(args[i])) {
		case "id":
			n, ok := parseInt(value)
			if !ok || n <= 0 {
				return "ERR client-id should be greater than 0"
			}
			k.id = uint64(n)
		case "addr":
			k.addr = string(value)
		case "laddr":
			k.laddr = string(value)
		case "type":
			kind, ok := clientType(value)
			if !ok {
				return "ERR Unknown client type '" + string(clip(value)) + "'"
			}
			k.kind = kind
		case "user":
			if string(value) != "default" {
				return "ERR No such user '" + string(clip(value)) + "'"
			}
		case "maxage":
			n, ok := parseInt(value)
			if !ok || n <= 0 {
				return "ERR maxage is not an integer or out of range"
			}
			k.maxAge = n
		case "skipme":
			switch {
			case is(value, "yes"):
				k.skipMe = true
			case is(value, "no"):
				k.skipMe = false
			default:
				return errSyntax
			}
		default:
			return errSyntax
		}
	}
	return ""
}

func clientKill(s *session, args [][]byte) {
	k := killFilter{skipMe: true}
	old := len(args) == 3
	if old {
		k = killFilter{addr: string(args[2])}
	} else if text := k.parse(args[2:]); text != "" {
		s.rw.Error(text)
		return
	}
	killed := 0
	for _, c := range s.f.sessions() {
		if !k.matches(s, c) {
			continue
		}
		killed++
		if c == s {
			s.ending = true // after its reply
			continue
		}
		c.mu.Lock()
		c.abort()
		c.mu.Unlock()
		s.f.unblock(c.id, true) // now: what is pushed after the reply is not for it
	}
	switch {
	case !old:
		s.rw.Int(int64(killed))
	case killed == 0:
		s.rw.Error(errNoClient)
	default:
		s.rw.Simple("OK")
	}
}

func clientReply(s *session, args [][]byte) {
	switch {
	case is(args[2], "on"):
		s.silence = replyOn
		s.rw.Simple("OK")
	case is(args[2], "off"):
		s.silence = replyOff
	case is(args[2], "skip"):
		if s.silence != replyOff {
			s.silence = replyNext
		}
	default:
		s.rw.Error(errSyntax)
	}
}

// clientFlag is CLIENT NO-EVICT and NO-TOUCH: nothing is evicted here, and
// reads leave no traces, so they are only remembered.
func clientFlag(field func(*session) *bool) localFunc {
	return func(s *session, args [][]byte) {
		on := is(args[2], "on")
		if !on && !is(args[2], "off") {
			s.rw.Error(errSyntax)
			return
		}
		s.mu.Lock()
		*field(s) = on
		s.mu.Unlock()
		s.rw.Simple("OK")
	}
}

// cmdMonitor turns the connection into one that is shown all commands.
func cmdMonitor(s *session, _ [][]byte) {
	s.mu.Lock()
	first := !s.mu.monitor
	s.mu.monitor = true
	s.mu.Unlock()
	if first {
		s.f.monitors.Add(1)
	}
	s.rw.Simple("OK")
}

// feedMonitors shows a command to every connection that watches.
func (f *Front) feedMonitors(s *session, e *entry, args [][]byte) {
	if e.spec.Flags&command.SkipMonitor != 0 && !e.scripted { // a script comes before what it calls
		return
	}
	f.show(int(s.db.Load()), s.remote, redacted(e, args))
}

// MonitorScript shows what a script calls that runs on this node.
func (f *Front) MonitorScript(db int, args [][]byte) {
	if f.monitors.Load() > 0 {
		f.show(db, "lua", args)
	}
}

// show writes a command to the connections that watch.
func (f *Front) show(db int, who string, args [][]byte) {
	now := time.Now().UnixMicro()
	line := fmt.Appendf(nil, "+%d.%06d [%d %s]", now/1e6, now%1e6, db, who)
	for _, a := range args {
		line = append(line, ' ')
		line = appendQuoted(line, a)
	}
	line = append(line, '\r', '\n')
	for _, c := range f.sessions() {
		c.mu.Lock()
		if c.mu.monitor {
			// Behind what is still to come, if anything: a reply must not be
			// cut in two, and monitors send no commands.
			if c.mu.tail != nil {
				c.mu.tail.after = append(c.mu.tail.after, line...)
			} else {
				c.emit(line)
				if !c.mu.dirty {
					c.send()
				}
			}
		}
		c.mu.Unlock()
	}
}

// appendQuoted writes bytes as Redis shows them: in quotes, with escapes.
func appendQuoted(dst, p []byte) []byte {
	dst = append(dst, '"')
	for _, c := range p {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\a':
			dst = append(dst, `\a`...)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c < ' ' || c > '~':
			dst = append(dst, `\x`...)
			if c < 16 {
				dst = append(dst, '0')
			}
			dst = strconv.AppendUint(dst, uint64(c), 16)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
