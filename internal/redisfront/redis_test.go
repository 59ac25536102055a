package redisfront

import (
	"coterie/internal/datatype/redistest"
	"fmt"
	"testing"
)

// TestLikeRedis compares replies byte by byte with redis-server's, where both
// should answer the same.
func TestLikeRedis(t *testing.T) {
	theirs := redistest.Start(t)
	r := newFake(t, fakeLoop, 5)
	ours, _ := serveFake(t, r, Limits{})
	lines := []string{
		"PING", "PING a", "PING a b", "ECHO", "ECHO a", "ECHO a b", "echo \"a\\x41b\" ", "ECHO ''",
		"SELECT x", "SELECT 16", "SELECT -1", "SELECT 01", "SELECT 3", "SELECT 0",
		"HELLO 4", "HELLO x", "HELLO 2 FOO", "HELLO 2 AUTH a b", "HELLO 2 SETNAME \"a b\"", "HELLO 2 AUTH a",
		"AUTH x", "AUTH default x", "AUTH a b", "AUTH a b c", "AUTH",
		"CLIENT", "CLIENT FOO", "CLIENT SETNAME", "CLIENT SETNAME \"a b\"", "CLIENT GETNAME", "CLIENT SETNAME a", "CLIENT GETNAME", "CLIENT SETNAME ''", "CLIENT GETNAME",
		"CLIENT KILL x", "CLIENT KILL ID 0", "CLIENT KILL ID x", "CLIENT KILL FOO x", "CLIENT KILL ID 1 ADDR", "CLIENT KILL ID 99999", "CLIENT KILL TYPE foo",
		"CLIENT KILL USER foo", "CLIENT KILL SKIPME x ID 1", "CLIENT REPLY x", "CLIENT LIST TYPE foo", "CLIENT LIST ID x", "CLIENT LIST FOO", "CLIENT LIST ID 0",
		"CLIENT CACHING YES", "CLIENT NO-EVICT x", "CLIENT NO-EVICT on", "CLIENT NO-EVICT off", "CLIENT GETREDIR", "CLIENT TRACKINGINFO", "CLIENT UNPAUSE", "CLIENT TRACKING off",
		"CLIENT TRACKING x", "CLIENT TRACKING on PREFIX a", "CLIENT TRACKING on REDIRECT x", "CLIENT TRACKING on REDIRECT 99999", "CLIENT TRACKING on FOO",
		"CLIENT TRACKING on OPTIN OPTOUT", "CLIENT TRACKING on OPTIN BCAST", "CLIENT TRACKING on BCAST PREFIX ab PREFIX a", "CLIENT TRACKING on BCAST PREFIX a PREFIX ab",
		"CLIENT TRACKING on OPTIN", "CLIENT TRACKINGINFO", "CLIENT CACHING NO", "CLIENT CACHING x", "CLIENT CACHING YES", "CLIENT TRACKINGINFO", "CLIENT TRACKINGINFO", "CLIENT GETREDIR",
		"CLIENT TRACKING on BCAST", "CLIENT TRACKING on OPTOUT", "CLIENT TRACKING off", "CLIENT TRACKING on OPTOUT NOLOOP", "CLIENT CACHING YES", "CLIENT CACHING NO", "CLIENT TRACKINGINFO",
		"CLIENT TRACKING off", "CLIENT TRACKING on BCAST PREFIX foo", "CLIENT TRACKING on BCAST PREFIX fo", "CLIENT TRACKING on BCAST PREFIX food", "CLIENT TRACKINGINFO", "CLIENT TRACKING on", "CLIENT TRACKING off",
		"CLIENT TRACKING on BCAST", "CLIENT TRACKINGINFO", "CLIENT TRACKING off", "CLIENT TRACKINGINFO", "CLIENT GETREDIR",
		"CLIENT PAUSE", "CLIENT PAUSE x", "CLIENT PAUSE -1", "CLIENT PAUSE 1 foo", "CLIENT PAUSE 1 WRITE", "CLIENT UNPAUSE",
		"CONFIG SET hz x", "CONFIG SET save a", "CONFIG SET appendonly maybe", "CONFIG SET maxmemory-policy foo", "CONFIG SET maxmemory-clients 200%", "CONFIG SET daemonize yes",
		"CONFIG SET maxmemory-samples 0", "CONFIG SET hz 20 hz 30", "CONFIG SET slowlog-max-len x", "CONFIG SET nosuch 1", "CONFIG SET latency-tracking-info-percentiles 101", "CONFIG SET client-query-buffer-limit x",
		"COMMAND GETKEYSANDFLAGS SET k v", "COMMAND GETKEYSANDFLAGS SET k v GET", "COMMAND GETKEYSANDFLAGS MSET a 1 b 2", "COMMAND GETKEYSANDFLAGS ZUNIONSTORE d 2 a b", "COMMAND GETKEYSANDFLAGS SORT a STORE b", "COMMAND GETKEYSANDFLAGS LMPOP 2 a b LEFT", "COMMAND GETKEYSANDFLAGS EVAL x 1 a", "CONFIG SET maxmemory 1 maxmemory 2", "COMMAND LIST FILTERBY FOO x", "COMMAND LIST x", "COMMAND INFO get|x",
		"LATENCY GRAPH foo", "LATENCY HISTORY", "LATENCY FOO",
		"CONFIG", "CONFIG GET", "CONFIG GET nosuch", "CONFIG GET save", "CONFIG GET databases", "CONFIG GET maxmemory-policy", "CONFIG SET a", "CONFIG FOO",
		"CONFIG SET hash-max-listpack-entries 5", "CONFIG GET hash-max-listpack-entries",
		"COMMAND GETKEYS FOO x", "COMMAND GETKEYS PING x", "COMMAND GETKEYS GET x y", "COMMAND GETKEYS MSET a 1 b 2", "COMMAND FOO", "COMMAND DOCS nosuch",
		"SLOWLOG GET x", "SLOWLOG GET -2", "SLOWLOG FOO", "LATENCY LATEST", "LATENCY HISTORY x", "LATENCY RESET", "MODULE LIST",
		"ACL WHOAMI", "ACL USERS", "ACL CAT nosuch", "ACL CAT", "ACL GETUSER nosuch",
		"WAIT x 0", "WAIT 0 x", "WAIT 0 -1", "WAIT 0", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER", "READONLY", "READWRITE", "ASKING",
		"FOO", "FOO bar", "FOO bar 'a b' \"c\\r\\nd\"", "get", "GET a b", "SET a", "MSET a", "MSET a 1 b", "DEL", "EXISTS",
		"FLUSHALL FOO", "FLUSHDB SYNC", "FLUSHALL ASYNC", "FLUSHALL SYNC ASYNC", "SCAN x", "SCAN", "DBSIZE", "DBSIZE a", "RANDOMKEY", "KEYS *",
		"MSET a 1 b 2", "MGET a b c", "DEL a b c", "UNLINK a", "TOUCH a b", "MEMORY USAGE nokey", "MEMORY USAGE", "MEMORY FOO",
		"MOVE a", "MOVE a x", "MOVE a 99999999999", "MOVE a 16", "MOVE a -1", "MOVE a 0", "SWAPDB 0", "SWAPDB x 0", "SWAPDB 0 x", "SWAPDB 16 0", "SWAPDB 0 -1", "SWAPDB 1 1",
		"COPY a b DB x", "COPY a b DB 16", "LASTSAVE x", "TIME x", "ROLE x", "MONITOR x", "RESET x", "RESET",
	}
	for _, proto := range []int{2, 3} {
		a, b := dial(t, ours), dial(t, theirs)
		a.do("HELLO", fmt.Sprint(proto))
		b.do("HELLO", fmt.Sprint(proto))
		for _, l := range lines {
			if l == "RESET" && proto == 3 {
				continue
			}
			a.send(l + "\r\n")
			b.send(l + "\r\n")
			got, want := a.reply(), b.reply()
			if len(l) > 6 && l[:7] == "HELLO 2" && want[0] != '-' {
				continue
			}
			if got != want {
				t.Errorf("RESP%d %s:\n got %q\nwant %q", proto, l, got, want)
			}
		}
	}
}
