package spanning

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/effects"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/overlay"
	"coterie/internal/partition"
	"coterie/internal/txn"
)

// fake is a cluster of three partitions without anybody else in it, but for
// those who are said to be in the way.
type fake struct {
	parts   map[base.PartitionID]*keyspacetest.Txn
	said    []string
	both    []string // said, and how was fetched
	changed int      // so many VALIDATEs find a change
	busy    int      // so many transactions meet a conflict
	lost    int      // so many FETCHes under locks find them gone
	unsure  bool     // nobody knows what came of a transaction
	stamp   base.Stamp
	down    int // FETCHes of a tree's node from so many on are refused; 0: none
}

func newFake() *fake {
	f := &fake{parts: map[base.PartitionID]*keyspacetest.Txn{}}
	for id := base.PartitionID(1); id <= 3; id++ {
		f.parts[id] = keyspacetest.New(uint64(id))
	}
	return f
}

// key is a key in partition 1 for a, 2 for b and x, 3 for c and w; other words
// are as they are.
func (f *fake) key(w string) string {
	want := map[string]base.PartitionID{"a": 1, "b": 2, "x": 2, "c": 3, "w": 3}[w]
	for n := 0; want != 0; n++ {
		key := fmt.Sprint(w, n)
		if id, _ := f.Owner(base.KeySlot([]byte(key))); id == want {
			return key
		}
	}
	return w
}

func (f *fake) Owner(s base.Slot) (base.PartitionID, bool) { return base.PartitionID(s%3) + 1, true }
func (f *fake) Rand() uint64                               { return 4 }

func (f *fake) Submit(reqs []*partition.Request) bool {
	for _, r := range reqs {
		id, queries, ok := partition.DecodeFetch(r.Args)
		switch {
		case !ok && f.changed > 0:
			f.changed--
			f.said = append(f.said, "changed")
			r.Reply = []byte{partition.TxnChanged}
		case !ok:
			f.said = append(f.said, "valid")
			r.Reply = []byte{partition.TxnValid}
		case id != (partition.TxnID{}) && f.lost > 0:
			f.lost--
			f.said = append(f.said, "lost")
			r.Reply = []byte{partition.TxnAborted}
		case ofNode(queries) && f.down == 1:
			r.Status, r.Reply = partition.NotRun, []byte("-CLUSTERDOWN no leader\r\n")
		default:
			if ofNode(queries) && f.down > 0 {
				f.down--
			}
			how := map[bool]string{true: "locked", false: "now"}[id != (partition.TxnID{})]
			if r.Args[0][1] == 1 {
				how = "wait"
			}
			if len(r.Args[2]) > 0 {
				how += "+before"
			}
			f.both = append(f.both, how)
			fetched := partition.Fetched{Term: 1, Round: 1, Stamp: max(1e12, f.stamp), NextID: 5}
			r.Reply = partition.AppendFetched(nil, &fetched, f.parts[r.Partition], queries)
		}
	}
	return true
}

// ofNode says whether a FETCH asks for a node of a tree.
func ofNode(queries []partition.Query) bool {
	const node = 0x04
	return len(queries) == 1 && queries[0].Upper == nil && queries[0].Key[2] == node
}

func (f *fake) Transact(t *txn.Transaction) bool {
	switch {
	case t.Hold:
		f.said = append(f.said, "hold")
		f.both = append(f.both, "hold")
		t.ID = partition.TxnID{Gateway: 1, Sequence: uint64(len(f.said))}
		return true
	case f.busy > 0:
		f.busy--
		f.said = append(f.said, "busy")
		f.both = append(f.both, "busy")
		t.Status, t.Conflict = partition.NotRun, true
		return true
	}
	if f.unsure {
		f.said = append(f.said, "unsure")
		t.Status, t.Reply = partition.Unknown, []byte("-UNKNOWNOUTCOME nobody knows\r\n")
		return true
	}
	f.said = append(f.said, fmt.Sprintf("commit%d", len(t.Parts)))
	f.both = append(f.both, f.said[len(f.said)-1])
	for _, p := range t.Parts {
		for d := effects.Body(p.Work.Body); ; {
			op, ok := d.Next()
			if !ok {
				break
			}
			overlay.Write(f.parts[p.Partition], op)
		}
	}
	return true
}

func (f *fake) Release(*txn.Transaction) { f.said = append(f.said, "release") }

func (f *fake) run(t *testing.T, line string, change func(*Job)) string {
	t.Helper()
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	job := &Job{Proto: 2}
	for _, w := range strings.Fields(line) {
		job.Args = append(job.Args, []byte(f.key(w)))
	}
	if spec := table.Lookup(job.Args); spec != nil {
		for _, i := range spec.AppendKeys(nil, job.Args) {
			job.Keys = append(job.Keys, command.WatchedKey(0, job.Args[i]))
		}
	}
	if change != nil {
		change(job)
	}
	f.said = nil
	status, reply := Run(f, command.NewEvaluator(table, keyspace.Limits{}), job)
	if status != partition.Done {
		return fmt.Sprintf("%d %s", status, strings.Fields(string(reply))[0])
	}
	return strings.Join(strings.Fields(string(reply)), " ")
}

// TestRun: what is done for a command over several partitions, alone and with
// others in the way.
func TestRun(t *testing.T) {
	watch := func(j *Job) { j.Watched = [][]byte{command.WatchedKey(0, []byte(newFake().key("w")))} }
	for _, tc := range []struct {
		line, want, said string
		fake             fake
		change           func(*Job)
	}{
		{line: "msetnx a 1 b 2 c 3", want: ":1", said: "commit3"},
		{line: "rename a x", want: "+OK", said: "commit2"},
		{line: "rename a x", want: "+OK", said: "busy hold commit2", fake: fake{busy: 1}},
		{line: "rename a x", want: "+OK", said: "busy hold busy hold commit2", fake: fake{busy: 2}},
		{line: "rename a x", want: "+OK", said: "busy hold lost release hold commit2", fake: fake{busy: 1, lost: 1}},
		{line: "rename a x", want: "1 -TRYAGAIN", said: "busy" + strings.Repeat(" hold busy", maxAttempts-1), fake: fake{busy: 1000}},
		{line: "lcs a b", want: "$0", said: "valid valid"},
		{line: "lcs a b", want: "$0", said: "changed valid hold release", fake: fake{changed: 1}},
		{line: "rename w x", want: "-ERR no such key", said: "valid valid"},
		{line: "rename a x", want: "+OK", said: "hold commit3", change: watch},
		{line: "rename a x", want: "1 -ERR", change: func(j *Job) { j.MaxBytes = 10 }},
		{line: "dbsize", want: "1 -ERR"},
		{line: "flushall", want: "1 -ERR"},
		{line: "nosuch", want: "-ERR unknown command 'nosuch', with args beginning with:"},
	} {
		f := newFake()
		f.busy, f.changed, f.lost = tc.fake.busy, tc.fake.changed, tc.fake.lost
		busy, changed := f.busy, f.changed
		f.busy, f.changed = 0, 0
		if tc.line != "msetnx a 1 b 2 c 3" {
			f.run(t, "msetnx a 1 b 2", nil)
		}
		f.busy, f.changed = busy, changed
		got := f.run(t, tc.line, tc.change)
		if said := strings.Join(f.said, " "); got != tc.want || said != tc.said {
			t.Errorf("%s: %q (%s), want %q (%s)", tc.line, got, said, tc.want, tc.said)
		}
	}
}

// TestReadsAreNeverUnsure: what only reads, and meets what has expired, commits that it
// is gone. When nobody knows what came of that, the command was not run: who asks again
// loses nothing. The same holds for what has written nothing, but was under locks.
func TestReadsAreNeverUnsure(t *testing.T) {
	f := newFake()
	f.run(t, "mset a 1 b 2 c 3", nil)
	f.run(t, "pexpire a 1000", nil)
	f.run(t, "hset {c}h f 1 g 2 h 3", nil)
	f.run(t, "hpexpire {c}h 1000 fields 2 f h", nil)
	f.stamp, f.unsure = 2e12, true
	watch := func(j *Job) { j.Watched = [][]byte{command.WatchedKey(0, []byte(f.key("w")))} }
	for _, tc := range []struct {
		line, want string
		change     func(*Job)
	}{
		{"get a", "1 -TRYAGAIN", nil},
		{"mget a b c", "1 -TRYAGAIN", nil},
		{"pttl a", "1 -TRYAGAIN", nil},
		{"hgetall {c}h", "1 -TRYAGAIN", nil},
		{"eval_ro return(redis.call('get',KEYS[1])) 1 a", "1 -TRYAGAIN", nil},
		{"mget b c", "1 -TRYAGAIN", watch},
		{"eval return(redis.call('get',KEYS[1])) 1 b", "$1 2", nil},
		{"eval return(redis.call('get',KEYS[1])) 1 b", "1 -TRYAGAIN", watch},
		{"group get a", "1 -TRYAGAIN", nil},
		{"group get b append b y", "2 -UNKNOWNOUTCOME", nil},
		{"eval return(redis.call('incr',KEYS[1])) 1 b", "2 -UNKNOWNOUTCOME", nil},
		{"getex a", "2 -UNKNOWNOUTCOME", nil}, // it may write
		{"append a y", "2 -UNKNOWNOUTCOME", nil},
	} {
		change := tc.change
		if rest, ok := strings.CutPrefix(tc.line, "group "); ok {
			change = f.grouped(rest)
		}
		if got := f.run(t, tc.line, change); got != tc.want {
			t.Errorf("%s: %q (%s), want %q", tc.line, got, strings.Join(f.said, " "), tc.want)
		}
	}
	f.unsure = false
	if got := f.run(t, "get a", nil); got != "$-1" || strings.Join(f.said, " ") != "commit1" {
		t.Errorf("get a: %s (%v)", got, f.said)
	}
	// A leader whose clock is behind must not find it again.
	if f.stamp = 0; f.run(t, "get a", nil) != "$-1" {
		t.Error("what was seen to have expired came back")
	}
}

// grouped makes a job one of a group of commands.
func (f *fake) grouped(line string) func(*Job) {
	return func(j *Job) {
		var cmds []command.Grouped
		for words := strings.Fields(line); len(words) > 0; {
			n := map[string]int{"get": 2, "append": 3}[words[0]]
			var c command.Grouped
			for _, w := range words[:n] {
				c.Args = append(c.Args, []byte(f.key(w)))
			}
			cmds, words = append(cmds, c), words[n:]
		}
		j.Group, j.Args = true, command.ExecGroup(0, nil, cmds)
	}
}

// TestHoldersDoNotWait: who holds locks waits for nobody's when it fetches, not
// for the time either, which is all that is fetched ahead for a script that
// names no keys.
func TestHoldersDoNotWait(t *testing.T) {
	f := newFake()
	f.run(t, "msetnx a 1 b 2", nil)
	f.busy, f.both = 1, nil
	if got := f.run(t, "rename a x", func(j *Job) { j.Keys = nil }); got != "+OK" {
		t.Error(got)
	}
	held := false
	for _, how := range f.both {
		if held = held || how == "hold"; held && strings.HasPrefix(how, "wait") {
			t.Errorf("a FETCH waits while locks are held: %v", f.both)
		}
	}
	if !held || f.both[0] != "wait" {
		t.Errorf("it went otherwise: %v", f.both)
	}
}

// TestCollectionsTravel: a large collection moves between partitions, and
// nothing of it stays behind.
func TestCollectionsTravel(t *testing.T) {
	f := newFake()
	for i := range 20 {
		line := "hset a"
		for j := range 50 {
			line += fmt.Sprintf(" field:%d %s", i*50+j, strings.Repeat("v", 400))
		}
		f.run(t, line, nil)
	}
	for _, line := range []string{"rename a b", "copy b c", "rename c x", "del x", "rename b a"} {
		if got := f.run(t, line, nil); got[0] == '-' || got[0] == '1' {
			t.Fatalf("%s: %s", line, got)
		}
	}
	if got := f.run(t, "hlen a", nil); got != ":1000" {
		t.Errorf("hlen: %s", got)
	}
	for id, p := range f.parts {
		if err := keyspace.Check(p, base.Span{Lo: 0, Hi: base.NumSlots}); err != nil {
			t.Errorf("p%d: %v", id, err)
		}
	}
}

// TestFetchesInSteps: what a script asks for in a second step must be of the state of
// the first; and who holds locks waits for nobody's.
func TestFetchesInSteps(t *testing.T) {
	f := newFake()
	f.busy = 1
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	named, tag := f.key("a"), "{"+f.key("b")+"}"
	script := "redis.call('get', KEYS[1]) redis.call('get', '" + tag + "1') return redis.call('set', '" + tag + "2', 1)"
	job := &Job{Proto: 2, Args: [][]byte{[]byte("eval"), []byte(script), []byte("1"), []byte(named)}, Keys: [][]byte{command.WatchedKey(0, []byte(named))}}
	eval := command.NewEvaluator(table, keyspace.Limits{})
	if status, reply := Run(f, eval, job); status != partition.Done || string(reply) != "+OK\r\n" {
		t.Fatalf("%d %q", status, reply)
	}
	// Without locks: the named key; the slot of the others; that again. Then all are locked.
	if want := "wait wait wait+before busy hold locked locked locked commit2"; strings.Join(f.both, " ") != want {
		t.Errorf("said %q, not %q", strings.Join(f.both, " "), want)
	}
	f = newFake()
	f.both = nil
	job.Watched = [][]byte{command.WatchedKey(0, []byte(f.key("w")))} // it is under locks at once, before the others are known
	if status, reply := Run(f, eval, job); status != partition.Done || string(reply) != "+OK\r\n" {
		t.Fatalf("%d %q", status, reply)
	}
	if want := "hold locked now now+before commit3"; strings.Join(f.both, " ") != want {
		t.Errorf("said %q, not %q", strings.Join(f.both, " "), want)
	}
}

// TestNewCollections: of a collection that a script makes nothing is fetched.
func TestNewCollections(t *testing.T) {
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ each, last, want string }{
		{"redis.call('sadd', KEYS[1], i)", "redis.call('scard', KEYS[1])", ":3000\r\n"},
		{"redis.call('hset', KEYS[1], i, i)", "#redis.call('hgetall', KEYS[1])", ":6000\r\n"},
		{"redis.call('zadd', KEYS[1], i, i)", "redis.call('zcount', KEYS[1], 11, 20)", ":10\r\n"},
		{"redis.call('rpush', KEYS[1], i)", "redis.call('lindex', KEYS[1], 77)", "$2\r\n78\r\n"},
		{"redis.call('xadd', KEYS[1], i, 'f', i)", "redis.call('xlen', KEYS[1])", ":3000\r\n"},
	} {
		f := newFake()
		key := f.key("a")
		script := "for i = 1, 3000 do " + tc.each + " end return " + tc.last
		job := &Job{Proto: 2, Args: [][]byte{[]byte("eval"), []byte(script), []byte("1"), []byte(key)}, Keys: [][]byte{command.WatchedKey(0, []byte(key))}}
		if status, reply := Run(f, command.NewEvaluator(table, keyspace.Limits{}), job); status != partition.Done || string(reply) != tc.want {
			t.Fatalf("%s: %d %q", tc.each, status, reply)
		}
		if want := "wait commit1"; strings.Join(f.both, " ") != want {
			t.Errorf("%s: said %d words, not %q", tc.each, len(f.both), want)
		}
		for id, p := range f.parts {
			if err := keyspace.Check(p, base.Span{Lo: 0, Hi: base.NumSlots}); err != nil {
				t.Errorf("%s: p%d: %v", tc.each, id, err)
			}
		}
	}
}

// TestNotToTheEnd: a large collection that cannot be fetched to its end is an
// error, and nothing worse.
func TestNotToTheEnd(t *testing.T) {
	f := newFake()
	for i := range 20 {
		line := "zadd a"
		for j := range 50 {
			line += fmt.Sprintf(" %d member:%d", j, i*50+j)
		}
		f.run(t, line, nil)
	}
	const line = "zunionstore x 2 a c"
	f.run(t, "del c", nil)
	f.run(t, "xgroup create b g 0 mkstream", nil)
	f.run(t, "xgroup create c g 0 mkstream", nil)
	for range 100 {
		f.run(t, "xadd b * field value", nil)
	}
	for at := range 4 {
		f.down = at + 1
		if got := f.run(t, "xreadgroup group g me streams c b > >", nil); got != "1 -CLUSTERDOWN" {
			t.Errorf("refused: %d %s", at, got)
		}
	}
	f.down = 0
	f.run(t, "del c", nil)
	f.down = 1
	if got := f.run(t, line, nil); got != "1 -CLUSTERDOWN" {
		t.Errorf("refused: %s", got)
	}
	f.down = 0
	if got := f.run(t, line, func(j *Job) { j.MaxBytes = 4000 }); got != "1 -ERR" {
		t.Errorf("too large: %s", got)
	}
}

// TestWritesWithoutEnd: a script that writes more than it may ends there, and
// keeps none of it in memory. What it catches does not keep it running.
func TestWritesWithoutEnd(t *testing.T) {
	table, err := command.NewTable(datatype.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range []string{
		"redis.call('set', 'k' .. i, string.rep('x', 1e5))",
		"redis.call('set', 'k', string.rep('x', 1e5))",
		"redis.call('append', 'k', string.rep('x', 1e4))",
		"redis.call('setrange', 'k' .. i, 1e6, 'x')",
		"redis.pcall('set', 'k' .. i, string.rep('x', 1e5))",
		"pcall(redis.call, 'set', 'k' .. i, string.rep('x', 1e5))",
		"redis.call('get', 'k' .. i)",
	} {
		f := newFake()
		script := "local i = 0 while i < 10000 do i = i + 1 " + each + " end"
		job := &Job{Proto: 2, Args: [][]byte{[]byte("eval"), []byte(script), []byte("0")}, MaxBytes: 1 << 20}
		if strings.Contains(each, "get") {
			job.MaxBytes = 1 << 10
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		status, reply := Run(f, command.NewEvaluator(table, keyspace.Limits{}), job)
		runtime.ReadMemStats(&after)
		if status != partition.NotRun || !strings.Contains(string(reply), "bytes over several partitions, and was not run") {
			t.Errorf("%s: %d %q", each, status, reply)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 128<<20 {
			t.Errorf("%s: took %d MiB", each, took>>20)
		}
	}
}
