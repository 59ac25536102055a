package redisfront

import (
	"slices"
	"strconv"
	"time"

	"coterie/internal/command"
	"coterie/internal/resp"
)

// RedisVersion is the version that clients are told, which is the one whose
// behaviour is followed.
const RedisVersion = "7.2.4"

func cmdPing(s *session, args [][]byte) {
	if len(args) <= 2 && s.restricted() {
		s.rw.Array(2)
		s.rw.BulkString("pong")
		s.rw.Bulk(slices.Concat(args[1:]...))
		return
	}
	switch len(args) {
	case 1:
		s.rw.Simple("PONG")
	case 2:
		s.rw.Bulk(args[1])
	default:
		s.rw.Error("ERR wrong number of arguments for 'ping' command")
	}
}

func cmdEcho(s *session, args [][]byte) { s.rw.Bulk(args[1]) }

func cmdQuit(s *session, _ [][]byte) {
	s.rw.Simple("OK")
	s.ending = true
}

func cmdReset(s *session, _ [][]byte) {
	s.db.Store(0)
	s.proto.Store(s.f.proto.Load())
	s.rw.Proto = int(s.f.proto.Load())
	s.silence, s.multi = replyOn, nil
	s.queued.Store(0)
	s.unwatchQuietly()
	s.leaveAll()
	s.setTracking(nil)
	s.mu.Lock()
	watching := s.mu.monitor
	s.mu.monitor, s.mu.name, s.mu.noEvict, s.mu.noTouch = false, "", false, false
	s.mu.Unlock()
	if watching {
		s.f.monitors.Add(-1)
	}
	s.rw.Simple("RESET")
}

func cmdSelect(s *session, args [][]byte) {
	n, why := s.database(args[1])
	if why != "" {
		s.rw.Error(why)
		return
	}
	s.db.Store(uint32(n))
	s.rw.Simple("OK")
}

// database reads the number of a database that the connection may select.
func (s *session) database(arg []byte) (n int64, why string) {
	n, ok := parseInt(arg)
	switch {
	case !ok:
		return 0, errNotInteger
	case s.cluster && n != 0:
		return 0, "ERR SELECT is not allowed in cluster mode"
	case n < 0 || n >= Databases:
		return 0, "ERR DB index is out of range"
	}
	return n, ""
}

const errWrongPass = "WRONGPASS invalid username-password pair or user is disabled."

// authenticate checks a user and password. There are no passwords yet: the
// default user needs none, as in a Redis without requirepass, and any is right.
func authenticate(user []byte) bool { return string(user) == "default" }

func cmdAuth(s *session, args [][]byte) {
	switch {
	case len(args) > 3:
		s.rw.Error(errSyntax)
	case len(args) == 2:
		s.rw.Error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	case !authenticate(args[1]):
		s.rw.Error(errWrongPass)
	default:
		s.rw.Simple("OK")
	}
}

// hello is what a HELLO asks for.
type hello struct {
	proto uint8
	name  []byte // nil: the one that the connection has
}

// readHello reads a HELLO of a connection that speaks proto.
func readHello(proto uint8, args [][]byte) (h hello, why string) {
	h.proto = proto
	if len(args) > 1 {
		switch v, ok := parseInt(args[1]); {
		case !ok:
			return h, "ERR Protocol version is not an integer or out of range"
		case v != 2 && v != 3:
			return h, "NOPROTO unsupported protocol version"
		default:
			h.proto = uint8(v)
		}
	}
	for i := 2; i < len(args); {
		left := len(args) - i - 1
		switch {
		case is(args[i], "auth") && left >= 2:
			if !authenticate(args[i+1]) {
				return h, errWrongPass
			}
			i += 3
		case is(args[i], "setname") && left >= 1:
			if h.name = args[i+1]; !validName(h.name) {
				return h, errClientName
			}
			i += 2
		default:
			return h, "ERR Syntax error in HELLO option '" + string(clip(args[i])) + "'"
		}
	}
	return h, ""
}

func cmdHello(s *session, args [][]byte) {
	h, why := readHello(uint8(s.proto.Load()), args)
	if why != "" {
		s.rw.Error(why)
		return
	}
	if h.name != nil {
		s.mu.Lock()
		s.mu.name = string(h.name)
		s.mu.Unlock()
	}
	s.proto.Store(uint32(h.proto))
	w := &s.rw
	w.Proto = int(h.proto)
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(RedisVersion)
	w.BulkString("proto")
	w.Int(int64(h.proto))
	w.BulkString("id")
	w.Int(int64(s.id))
	w.BulkString("mode")
	w.BulkString(s.mode())
	w.BulkString("role")
	w.BulkString("master")
	w.BulkString("modules")
	w.Array(0)
}

func (s *session) mode() string {
	if s.cluster {
		return "cluster"
	}
	return "standalone"
}

func cmdTime(s *session, _ [][]byte) {
	now := time.Now().UnixMicro()
	s.rw.Array(2)
	s.rw.BulkString(strconv.FormatInt(now/1e6, 10))
	s.rw.BulkString(strconv.FormatInt(now%1e6, 10))
}

// cmdRole says master without replicas: whatever a client writes here is on a
// majority already.
func cmdRole(s *session, _ [][]byte) {
	s.rw.Array(3)
	s.rw.BulkString("master")
	s.rw.Int(int64(s.f.router.Stats().Applied))
	s.rw.Array(0)
}

// replyOK is for commands that ask for what is the case anyway.
func replyOK(s *session, _ [][]byte) { s.rw.Simple("OK") }

// onlyCluster answers commands that belong to a cluster client's connection.
func onlyCluster(s *session, _ [][]byte) {
	if !s.cluster {
		s.rw.Error(errNoCluster)
		return
	}
	s.rw.Simple("OK")
}

// cmdWait answers how many replicas have the connection's writes. A write is
// answered when a majority has it, and replies keep their order, so this one
// never has to wait.
func cmdWait(s *session, args [][]byte) {
	if _, ok := parseInt(args[1]); !ok {
		s.rw.Error(errNotInteger)
		return
	}
	timeout, ok := parseInt(args[2])
	switch {
	case !ok:
		s.rw.Error("ERR timeout is not an integer or out of range")
	case timeout < 0:
		s.rw.Error("ERR timeout is negative")
	default:
		s.rw.Int(int64((s.f.router.Stats().Replicas + 1) / 2))
	}
}

func cmdLastsave(s *session, _ [][]byte) { s.rw.Int(time.Now().Unix()) }

func cmdSave(s *session, _ [][]byte) { s.rw.Simple("OK") }

func cmdBgsave(s *session, args [][]byte) {
	if len(args) > 2 || len(args) == 2 && !command.Is(args[1], "SCHEDULE") {
		s.rw.Error(errSyntax)
		return
	}
	s.rw.Simple("Everything acknowledged is on disk already")
}

func cmdBgrewriteaof(s *session, _ [][]byte) {
	s.rw.Simple("Everything acknowledged is on disk already, and the log is cut by itself")
}

func cmdLolwut(s *session, _ [][]byte) {
	s.rw.Verbatim("txt", "Many machines, one system.\nRedis ver. "+RedisVersion+" as spoken by Coterie "+s.f.opts.Version+"\n")
}

func cmdShutdown(s *session, _ [][]byte) {
	s.rw.Error("ERR SHUTDOWN is not for clients: stop the node's process (SIGTERM)")
}

func cmdReplicaof(s *session, _ [][]byte) {
	s.rw.Error("ERR replication is the cluster's own: start a node with --join to add a copy")
}

// emptyArray and others are replies of things that do not exist here.
func emptyArray(s *session, _ [][]byte) { s.rw.Array(0) }

func replyText(text string) localFunc {
	return func(s *session, _ [][]byte) { s.rw.Verbatim("txt", text) }
}

func replyBulk(text string) localFunc {
	return func(s *session, _ [][]byte) { s.rw.BulkString(text) }
}

func replyError(text string) localFunc {
	return func(s *session, _ [][]byte) { s.rw.Error(text) }
}

func bulks(w *resp.Writer, list []string) {
	w.Array(len(list))
	for _, l := range list {
		w.BulkString(l)
	}
}
