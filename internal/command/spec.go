package command

import (
	"coterie/internal/keyspace"
	"coterie/internal/resp"
)

// Flags are a command's properties, as COMMAND INFO reports them.
type Flags uint32

const (
	Write Flags = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Fast
	NoAuth
	MovableKeys
	NoMulti
	AllowBusy
	NoMandatoryKeys
	// MayReplicate: it may write though it is no Write.
	MayReplicate
	// RunsOthers: it runs other commands, as Ctx.Call does, which it does not name.
	// Not shown.
	RunsOthers
)

// Fan says how a command over several keys is divided when its keys live in
// several partitions, and how the parts' replies become one.
type Fan uint8

const (
	// FanNone: not divided; all keys must be in one partition.
	FanNone Fan = iota
	// FanSum: each part gets its keys; integer replies are added (DEL, EXISTS).
	FanSum
	// FanGather: each part gets its keys; array replies are put back in the order of the keys (MGET).
	FanGather
	// FanOK: each part gets its keys with what belongs to them (Keys.Step arguments each); all answer OK (MSET).
	FanOK
	// FanAllSum, FanAllOK, FanAllConcat: sent to every partition (DBSIZE; FLUSHDB; KEYS).
	FanAllSum
	FanAllOK
	FanAllConcat
	// FanScan: SCAN; the cursor names the partition.
	FanScan
	// FanAny: any one partition that has something (RANDOMKEY).
	FanAny
)

// KeyRange names a command's keys as Redis's legacy triple does: positions
// from 1; Last counts from the end when negative; Step is the distance.
// The zero KeyRange means no keys.
type KeyRange struct {
	First, Last, Step int
}

// KeySpec says how a command treats the keys of one range, in Redis's words:
// "RO", "RW", "OW" or "RM", then any of "access", "update", "insert", "delete".
type KeySpec struct {
	Keys  KeyRange
	Flags []string
	// Numbered says that the argument at Keys.First is the number of the keys
	// that follow it; the rest of Keys is not looked at.
	Numbered bool
	// Keyword, if there is one, is the word behind which the keys begin, looked
	// for from argument Keys.First on: as many keys as there are other arguments
	// behind them.
	Keyword string
}

// Arg documents one argument for COMMAND DOCS (what redis-cli's help and
// hints read). Type is Redis's: "key", "string", "integer", "double",
// "pattern", "unix-time", "pure-token", "oneof", "block".
type Arg struct {
	Name     string
	Type     string
	Token    string
	Optional bool
	Multiple bool
	Args     []Arg
}

// Spec is a command as data: one row of the command table. Handlers of
// evaluated commands hang on it; what concerns only a connection is answered
// by the front, and has no Run.
type Spec struct {
	Name       string // lower case; a subcommand holds only its own word
	Arity      int    // as in Redis: negative means "at least"
	Flags      Flags
	Keys       KeyRange
	Fan        Fan
	Categories []string // ACL categories without '@'; Write, ReadOnly, Fast/Slow are derived from Flags
	Group      string   // "string", "hash", "generic", "connection", "server", "cluster", "bitmap"
	Since      string
	Complexity string
	Summary    string
	Args       []Arg
	Tips       []string
	Sub        []Spec

	// KeySpecs is needed where Keys and Flags do not say enough. When it is
	// nil, there is one: all of Keys, read or updated as Flags say.
	KeySpecs []KeySpec

	// FindKeys appends the positions of the keys in args to dst, for a command
	// whose arguments say where its keys are (EVAL, ZUNIONSTORE); nil: Keys says
	// all. Arguments that make no sense have no keys: Run says what is wrong.
	FindKeys func(dst []int, args [][]byte) []int

	// Undeclared says whether a command with these arguments may use keys that it
	// does not name. Where they are not here, it calls Ctx.Divert before it writes.
	Undeclared func(args [][]byte) bool

	// Wraps is the place from which on the arguments may be a command of their
	// own, whose keys count as this one's; 0: nowhere. It is run with Ctx.Call.
	Wraps int
	// Condition says that without a command of its own it is a condition: in a
	// transaction, nothing is run if it fails.
	Condition bool

	// Of a command with the flag Blocking, whose Run calls Ctx.Block when it
	// finds nothing: Timeout says where its timeout is. Broadcast says that it
	// takes nothing away from others that wait for the same key. TimedOut
	// writes the reply when the time is up; nil: the null array.
	Timeout   TimeoutAt
	Broadcast bool
	TimedOut  func(*resp.Writer)

	// Full is the name with its container's, "object|encoding". NewTable sets it.
	Full  string
	table *Table

	// Run evaluates the command. It validates before it writes.
	Run func(*Ctx)
}

// Ctx is what an evaluated command gets.
type Ctx struct {
	*keyspace.Space
	Args [][]byte // name first
	Out  *resp.Writer
	Spec *Spec

	// MayBlock says that Block lets the command wait. It is false in a
	// transaction, a script, and where several partitions are asked.
	MayBlock bool
	// Waited says that the command waits and is run again. What it meets now
	// came while it waited: a value of another type is no error of its own.
	Waited bool

	// Kept is the position of a key that the command left as it was while it
	// wrote others: who watches it need not know. 0: there is none.
	Kept int

	eval      *Evaluator
	call      *Call
	blocked   bool
	blockedAs [][]byte // the arguments to run it with again
}
