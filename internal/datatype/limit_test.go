package datatype_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/datatype/redistest"
	"coterie/internal/datatype/scripting"
	"coterie/internal/keyspace"
	"coterie/internal/overlay"
	"coterie/internal/script"
	"coterie/internal/storage/memstate"
)

// limited is a partition whose namespaces have limits, with a leader's memory
// of them. It is stored as on a node, but in memory.
type limited struct {
	t       testing.TB
	txn     *memTxn
	store   *memstate.Store
	eval    *command.Evaluator
	limits  keyspace.NamespaceLimits
	caches  keyspace.Caches
	evicted map[int]int // by database
	rounds  int
}

type memTxn struct {
	*overlay.Overlay
	Stamp base.Stamp
	ids   uint64
	rnd   *rand.Rand
}

func (t *memTxn) Now() base.Stamp              { return t.Stamp }
func (t *memTxn) NewObjectID(base.Slot) uint64 { t.ids++; return t.ids }
func (t *memTxn) Rand() uint64                 { return t.rnd.Uint64() }

func newLimited(t testing.TB, db int, bytes uint64, policy keyspace.Policy) *limited {
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	store := memstate.New()
	l := &limited{t: t, store: store, evicted: map[int]int{}, eval: command.NewEvaluator(table, keyspace.Limits{MaxString: maxString})}
	l.txn = &memTxn{overlay.New(store), base.StampFromMillis(1_700_000_000_000), 0, rand.New(rand.NewPCG(1, 2))}
	l.limits[db] = keyspace.Limit{Bytes: bytes, Policy: policy, Epoch: 7}
	l.lead()
	return l
}

// round runs f as a round that is committed.
func (l *limited) round(f func()) {
	l.t.Helper()
	l.txn.Begin()
	f()
	wrote := l.txn.Wrote()
	if l.txn.End(); wrote {
		l.txn.Committed()
	}
	if err := l.txn.Err(); err != nil {
		l.t.Fatal(err)
	}
	if l.rounds++; l.rounds%200 == 0 || l.txn.NeedsFreeze() {
		b := l.store.NewBatch()
		for _, op := range l.txn.Freeze().Ops() {
			overlay.Write(b, op)
		}
		if err := l.store.Commit(b); err != nil {
			l.t.Fatal(err)
		}
		l.txn.Moved()
	}
}

func (l *limited) check() {
	l.t.Helper()
	if err := keyspace.Check(l.txn, wholeSpan); err != nil {
		l.t.Fatal(err)
	}
}

// lead begins a leadership, which remembers nothing.
func (l *limited) lead() {
	for db, limit := range l.limits {
		l.caches[db] = nil
		if limit.Bytes > 0 {
			l.caches[db] = keyspace.NewCache(limit, wholeSpan, l.txn.Stamp.Millis())
		}
	}
	for l.maintain() {
	}
}

func (l *limited) maintain() (more bool) {
	l.round(func() {
		more = keyspace.Maintain(l.txn, 1, wholeSpan, &l.limits, &l.caches, 0, func(db int, _ []byte) { l.evicted[db]++ })
	})
	return more
}

func (l *limited) do(db int, args ...string) string {
	l.t.Helper()
	list := make([][]byte, len(args))
	for i, a := range args {
		list[i] = []byte(a)
	}
	var out []byte
	l.round(func() {
		out, _ = l.eval.Evaluate(command.Call{
			Txn: l.txn, Partition: 1, Span: wholeSpan, DB: uint8(db), Proto: 2, Args: list, Limits: &l.limits, Caches: &l.caches,
		}, nil)
	})
	return string(out)
}

// bytes is what the store holds, but for counters.
func (l *limited) bytes() (sum int64) {
	it := l.txn.Iter([]byte{0}, []byte{0x40})
	defer it.Close()
	for it.Next() {
		if len(it.Key()) > 2 && it.Key()[0] < 0x40 && it.Key()[2] != 0 {
			sum += int64(len(it.Key()) + len(it.Value()))
		}
	}
	return sum
}

// counted is what the counters of a database say.
func (l *limited) counted(db int) int64 {
	var s keyspace.Space
	s.Bind(l.txn, 1, wholeSpan, db, nil)
	return int64(s.Count().Bytes)
}

// TestBytesAreCounted runs random commands on all types: what the counters say
// is what is there.
func TestBytesAreCounted(t *testing.T) {
	for seed := range uint64(20) {
		l := newLimited(t, 0, 1<<40, keyspace.AllKeysLRU)
		g := redistest.NewGenerator(seed, 9)
		for i := range 400 {
			args := g.Command()
			switch strings.ToLower(args[0]) {
			case "move", "copy", "swapdb", "flushdb", "flushall":
				continue // what other databases hold is not counted
			}
			l.do(0, args...)
			l.txn.Stamp += base.Stamp(g.IntN(1000))
			if g.IntN(20) == 0 {
				l.round(func() { keyspace.SweepExpired(l.txn, 1, wholeSpan, 0, 1000, datatype.Due, 0) })
			}
			if got, want := l.counted(0), l.bytes(); got != want {
				t.Fatalf("seed %d: after %d commands, the last of them %.100q, %d bytes are counted, and %d are there", seed, i, args, got, want)
			}
		}
		l.caches[0].Dirty()
		for l.maintain() {
		}
		if got, want := l.caches[0].Used(), l.bytes(); got != want {
			t.Errorf("seed %d: the leader counts %d bytes, %d are there", seed, got, want)
		}
		l.check()
	}
}

// TestBytesBetweenDatabases: of two limited databases, each has what it holds.
func TestBytesBetweenDatabases(t *testing.T) {
	l := newLimited(t, 0, 1<<40, keyspace.AllKeysLRU)
	l.limits[3] = keyspace.Limit{Bytes: 1 << 40, Epoch: 9}
	l.lead()
	for _, n := range []int{3, 200, 2000} {
		args := []string{"zadd", "k"}
		for i := range n {
			args = append(args, fmt.Sprint(i), fmt.Sprint("member", i))
		}
		l.do(0, args...)
		whole := l.bytes()
		if got := l.do(0, "move", "k", "3"); got != ":1\r\n" {
			t.Fatal(got)
		}
		if a, b := l.counted(0), l.counted(3); a != 0 || b < whole*9/10 || b > whole*11/10 || n < 200 && b != whole {
			t.Errorf("%d members moved: %d and %d bytes are counted, %d are there", n, a, b, whole)
		}
		l.do(3, "copy", "k", "k", "db", "0")
		if a, b := l.counted(0), l.counted(3); a < whole*9/10 || a > whole*11/10 || b < whole*9/10 {
			t.Errorf("%d members copied: %d and %d bytes are counted, of %d", n, a, b, whole)
		}
		l.do(0, "del", "k")
		l.do(3, "del", "k")
		if a, b, there := l.counted(0), l.counted(3), l.bytes(); a != 0 || b != 0 || there != 0 {
			t.Errorf("%d members deleted: %d and %d bytes are counted, %d are there", n, a, b, there)
		}
	}
}

// TestEviction: a limit holds under random writes, whatever the policy; other
// databases are not touched, and a new leader goes on.
func TestEviction(t *testing.T) {
	const limit = 200_000
	for p := keyspace.AllKeysLRU; p <= keyspace.VolatileTTL; p++ {
		t.Run(p.String(), func(t *testing.T) {
			l := newLimited(t, 2, limit, p)
			for i := range 50 {
				l.do(0, "set", fmt.Sprint("other", i), strings.Repeat("x", 1000))
			}
			others := l.bytes()
			g := rand.New(rand.NewPCG(1, uint64(p)))
			for i := range 2400 {
				key := fmt.Sprint("k", g.IntN(3000))
				reply := ""
				switch g.IntN(3) {
				case 0:
					reply = l.do(2, "set", key, strings.Repeat("v", g.IntN(500)), "px", fmt.Sprint(1_000_000+g.IntN(1_000_000)))
				case 1:
					reply = l.do(2, "hset", "h"+key, fmt.Sprint(g.IntN(200)), strings.Repeat("v", g.IntN(100)))
					l.do(2, "expire", "h"+key, fmt.Sprint(1000+g.IntN(1000)))
				default:
					reply = l.do(2, "rpush", "l"+key, strings.Repeat("v", g.IntN(100)))
					l.do(2, "expire", "l"+key, fmt.Sprint(1000+g.IntN(1000)))
				}
				if strings.HasPrefix(reply, "-OOM") {
					t.Fatalf("command %d: %s", i, reply)
				}
				l.txn.Stamp += 5000
				if i%100 == 0 {
					l.maintain()
				}
				if i%20 == 0 {
					if there := l.bytes() - others; there > limit+1000 {
						t.Fatalf("command %d: %d bytes, the limit is %d", i, there, limit)
					}
				}
				if i == 1700 {
					l.lead()
				}
			}
			if there := l.bytes() - others; there < limit*8/10 {
				t.Errorf("only %d bytes are left of the limit of %d", there, limit)
			}
			if got := l.do(0, "dbsize"); got != ":50\r\n" {
				t.Errorf("another database has %q keys", got)
			}
			if l.caches[2].TakeEvicted() == 0 {
				t.Error("nothing was evicted")
			}
			l.check()
		})
	}
}

// TestWhoIsEvicted: the policies keep what they should much better than chance.
func TestWhoIsEvicted(t *testing.T) {
	kept := func(p keyspace.Policy) (hot int) {
		l := newLimited(t, 0, 100_000, p)
		g := rand.New(rand.NewPCG(3, 4))
		set := func(key string, px int) {
			l.do(0, "set", key, strings.Repeat("v", 100), "px", fmt.Sprint(px))
			l.txn.Stamp += 20_000
		}
		for i := range 200 {
			set(fmt.Sprint("hot", i), 1_000_000_000)
			for range 20 {
				l.do(0, "get", fmt.Sprint("hot", i))
			}
		}
		for i := range 2500 {
			set(fmt.Sprint("cold", i), 100_000_000)
			for range 6 {
				l.do(0, "get", fmt.Sprint("hot", g.IntN(200)))
			}
		}
		for i := range 200 {
			if l.do(0, "exists", fmt.Sprint("hot", i)) == ":1\r\n" {
				hot++
			}
		}
		return hot
	}
	chance := kept(keyspace.AllKeysRandom)
	if chance > 60 {
		t.Errorf("%d of 200 hot keys are kept by chance: too few were evicted for a comparison", chance)
	}
	for _, p := range []keyspace.Policy{keyspace.AllKeysLRU, keyspace.AllKeysLFU, keyspace.VolatileLRU, keyspace.VolatileLFU, keyspace.VolatileTTL} {
		if n := kept(p); n < 180 {
			t.Errorf("%s keeps %d of 200 hot keys, chance %d", p, n, chance)
		}
	}
}

// TestOutOfMemory: without anything to evict, what needs memory is refused.
func TestOutOfMemory(t *testing.T) {
	const oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
	for _, p := range []keyspace.Policy{keyspace.NoEviction, keyspace.VolatileLRU, keyspace.VolatileTTL} {
		l := newLimited(t, 0, 10_000, p)
		n := 0
		for ; n < 1000 && l.do(0, "set", fmt.Sprint("k", n), strings.Repeat("v", 100)) == okay; n++ {
		}
		if n < 60 || n > 90 {
			t.Errorf("%s: %d keys are taken", p, n)
		}
		for _, tc := range []struct{ want, cmd string }{
			{oom, "set k1 x"}, {oom, "rpush l x"}, {bulk(strings.Repeat("v", 100)), "get k1"}, {integer(1), "del k1"}, {flag(true), "expire k2 100"}, {okay, "set k1 x"},
		} {
			if got := l.do(0, strings.Fields(tc.cmd)...); got != tc.want {
				t.Errorf("%s: %s: %q, want %q", p, tc.cmd, got, tc.want)
			}
		}
		if got := l.do(1, "set", "k", strings.Repeat("v", 100_000)); got != okay {
			t.Errorf("another database: %q", got)
		}
	}
}

// TestScriptsAndLimits: a script that began where there was room goes on, and one
// that did not is refused what needs memory.
func TestScriptsAndLimits(t *testing.T) {
	l := newLimited(t, 0, 10_000, keyspace.NoEviction)
	scripting.Attach(l.eval, script.NewStore(), nil)
	body := "for i=1,1000 do redis.call('set','{k}'..i,'0123456789') end return 1"
	if got := l.do(0, "eval", body, "1", "{k}"); got != integer(1) {
		t.Errorf("with room: %q", got)
	}
	if got := l.do(0, "eval", body, "1", "{k}"); !strings.HasPrefix(got, "-OOM command not allowed when used memory > 'maxmemory'.") {
		t.Errorf("without: %q", got)
	}
	if got := l.do(0, "eval", "return redis.call('get','{k}1')", "1", "{k}"); got != bulk("0123456789") {
		t.Errorf("reading: %q", got)
	}
	// One that says what it does is asked before it begins.
	for flags, want := range map[string]string{
		"":                "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
		"flags=no-writes": bulk("0123456789"),
		"flags=allow-oom": okay,
	} {
		body := "#!lua " + flags + "\nreturn redis.call('get',KEYS[1])"
		if want == okay {
			body = strings.Replace(body, "KEYS[1]", "KEYS[1],'x'", 1)
			body = strings.Replace(body, "'get'", "'set'", 1)
		}
		if got := l.do(0, "eval", body, "1", "{k}1"); got != want {
			t.Errorf("%q: %q, want %q", flags, got, want)
		}
		if want == okay {
			l.do(0, "eval", "#!lua flags=allow-oom\nreturn redis.call('set',KEYS[1],'0123456789')", "1", "{k}1")
		}
	}
}

// TestLimitOfWhatIsThere: a namespace that gets a limit is counted first, and so
// it is after a limit that was taken away.
func TestLimitOfWhatIsThere(t *testing.T) {
	l := newLimited(t, 5, 1<<40, keyspace.NoEviction) // of another one
	for i := range 500 {
		l.do(0, "set", fmt.Sprint("k", i), strings.Repeat("v", 100))
	}
	for epoch := range uint32(2) {
		l.limits[0] = keyspace.Limit{Bytes: 20_000, Policy: keyspace.AllKeysLRU, Epoch: 20 + epoch}
		l.lead()
		if there := l.bytes(); there > 20_000 || there < 19_000 {
			t.Errorf("%d bytes are there, of 20000", there)
		}
		l.limits[0] = keyspace.Limit{}
		l.lead()
		for i := range 500 {
			l.do(0, "set", fmt.Sprint("k", i), strings.Repeat("w", 100))
		}
	}
	l.check()
}

// TestObjectUsage: OBJECT tells what the policy goes by, and leaves no trace.
func TestObjectUsage(t *testing.T) {
	l := newLimited(t, 0, 1<<30, keyspace.AllKeysLRU)
	l.do(0, "set", "k", "v")
	for _, want := range []string{integer(10), integer(20)} {
		l.txn.Stamp += 10_000_000
		if got := l.do(0, "object", "idletime", "k"); got != want {
			t.Errorf("idle %q, want %q", got, want)
		}
	}
	l.do(0, "get", "k")
	if got := l.do(0, "object", "idletime", "k"); got != integer(0) {
		t.Errorf("idle %q after it was used", got)
	}
	if got := l.do(0, "object", "freq", "k"); !strings.HasPrefix(got, "-ERR An LFU") {
		t.Error(got)
	}
	l = newLimited(t, 0, 1<<30, keyspace.VolatileLFU)
	l.do(0, "set", "k", "v")
	first := l.do(0, "object", "freq", "k")
	for range 100 {
		l.do(0, "get", "k")
	}
	if got := l.do(0, "object", "freq", "k"); first != integer(5) || len(got) < 5 || got > integer(30) {
		t.Errorf("frequency %q, at first %q", got, first)
	}
	if got := l.do(0, "object", "idletime", "k"); !strings.HasPrefix(got, "-ERR An LFU maxmemory policy is selected") {
		t.Error(got)
	}
}
