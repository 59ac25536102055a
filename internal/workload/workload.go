package workload

import (
	"fmt"
	"slices"
	"strings"
)

// Rand is a source of chance; *rand.Rand is one.
type Rand interface {
	IntN(n int) int
}

// Command is a command as clients write it: a name and its arguments. An empty
// one stands for a client with nothing to do.
type Command []string

// Key is the key of a command that has one.
func (c Command) Key() string {
	if len(c) < 2 || c.Whole() || c[0] == "MULTI" || c[0] == "COTERIE" {
		return ""
	}
	if keys, _, ok := c.Script(); ok {
		if len(keys) == 0 {
			return ""
		}
		return keys[0]
	}
	switch c[0] {
	case "SCRIPT", "FUNCTION", "CONFIG", "PUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "MESSAGE", "END":
		return ""
	case "XGROUP":
		return c[2]
	case "XREADGROUP":
		return c[len(c)-2]
	}
	return c[1]
}

// Whole says whether the command is about a database, not a key.
func (c Command) Whole() bool { return c[0] == "SCAN" || c[0] == "DBSIZE" }

// Reads says whether the command leaves no effect. A transaction counts
// as a write: it goes the way of one in any case.
func (c Command) Reads() bool {
	switch c[0] {
	case "GET", "GETRANGE", "STRLEN", "GETBIT", "BITCOUNT", "EXISTS", "PTTL", "PEXPIRETIME", "SCAN", "DBSIZE",
		"HGET", "HPTTL", "HPEXPIRETIME", "HGETALL", "HLEN", "HEXISTS", "HKEYS", "WATCH", "LLEN", "LRANGE",
		"XRANGE", "XPENDING", "XLEN", "COTERIE", "EVAL_RO", "EVALSHA_RO", "FCALL_RO":
		return true
	}
	return false
}

func (c Command) String() string { return strings.Join(c, " ") }

// Client is a connection of a client. A client that lost its connection comes
// back with the next Conn.
type Client struct {
	ID, Conn int
}

// reads says whether the client only reads: one in three does. Where no write
// is under way, reads are all that shows a leader which is none any more.
func (c Client) reads() bool { return c.ID%3 == 2 }

// Config makes a workload for one chapter.
type Config struct {
	Prefix string // of all its keys
	Keys   int    // how many keys clients share; few make them meet
	Rand   Rand
	// Spread lets the keys of one transaction lie in several partitions; else
	// they share a hash tag.
	Spread bool
	// Cuts says that there is COTERIE CUTGET, which answers keys' values in a
	// consistent cut.
	Cuts bool
	// Fronts says that transactions may publish.
	Fronts bool
}

// Workload makes the commands of one chapter. Its methods are called one at a
// time.
type Workload interface {
	// Setup are commands that have to be Done before clients begin.
	Setup() []Command
	// Next is what a client does next. Several may be under way.
	Next(Client) Command
	// Returned tells what became of a command.
	Returned(*Op)
	// Final are reads for the end of the chapter, when all faults are over and
	// nothing else is under way. It is asked until it has none; each is
	// repeated until it is Done, and told to Returned before the next question.
	Final() []Command
}

// Kind is a row of the table of workloads.
type Kind struct {
	Name    string
	Summary string
	DB      int // the database that it has for itself, or 0
	New     func(Config) Workload
	Check   func(*History, *Report)
}

// Kinds is the table.
func Kinds() []Kind {
	return []Kind{
		{Name: "register", Summary: "strings: each key is linearizable", New: newRegister, Check: checkLinearizable},
		{Name: "hash", Summary: "hashes: each key with all its fields is linearizable", New: newHash, Check: checkLinearizable},
		{Name: "order", Summary: "commands of a connection take effect in their order, none acknowledged is lost", New: newOrder, Check: checkOrder},
		{Name: "adds", Summary: "unique members and appended words: none lost, none doubled, none out of order", New: newAdds, Check: checkAdds},
		{Name: "expiry", Summary: "keys expire at their time, and never come back", New: newExpiry, Check: checkExpiry},
		{Name: "fields", Summary: "fields of hashes expire at their time, and never come back", New: newFields, Check: checkFields},
		{Name: "scan", Summary: "SCAN returns what was there all the while; DBSIZE agrees", DB: 1, New: newScan, Check: checkScan},
		{Name: "bank", Summary: "transfers between accounts: the total never changes", New: newBank, Check: checkBank},
		{Name: "append", Summary: "transactions that append and read: strictly serializable", New: newAppends, Check: checkAppends},
		{Name: "skew", Summary: "pairs of which WATCH lets one be set at most", DB: 2, New: newSkew, Check: checkSkew},
		{Name: "queue", Summary: "workers wait for elements of lists: none lost, none taken twice, none left while somebody waits", New: newQueue, Check: checkQueue},
		{Name: "lapse", Summary: "lists that expire while workers wait for them: no element taken twice or too late, none lost before", New: newLapse, Check: checkLapse},
		{Name: "tokens", Summary: "tokens that wander between sets, lists and sorted sets of all partitions: each is in one place", New: newTokens, Check: checkTokens},
		{Name: "stream", Summary: "streams and a group: nothing lost, nothing new twice, nothing again once acknowledged", New: newStream, Check: checkStream},
		{Name: "script", Summary: "scripts and functions over keys that they name or not: strictly serializable, each runs once", New: newScripts, Check: checkScripts},
		{Name: "cache", Summary: "a namespace with a limit: what is evicted is gone, what is there is the latest", DB: cacheDB, New: newCache, Check: checkCache},
		{Name: "kept", Summary: "a namespace with a limit where only keys with a deadline may go: no other is ever lost", DB: keptDB, New: newKept, Check: checkKept},
		{Name: "pubsub", Summary: "messages come once, in order, and only of what was committed; when all is quiet, to everybody", DB: messagesDB, New: newMessages, Check: checkMessages},
	}
}

// Names lists the table's names, for help and errors.
func Names() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.Name)
	}
	return strings.Join(names, ", ")
}

// Parse finds the kinds named in a list with commas between; an empty list is
// all of them.
func Parse(list string) ([]Kind, error) {
	if list == "" {
		return Kinds(), nil
	}
	var found []Kind
	for name := range strings.SplitSeq(list, ",") {
		k, ok := Find(strings.TrimSpace(name))
		if !ok {
			return nil, fmt.Errorf("there is no workload %q; choose from %s", name, Names())
		}
		if !slices.ContainsFunc(found, func(x Kind) bool { return x.Name == k.Name }) {
			found = append(found, k)
		}
	}
	return found, nil
}

// Find finds a kind by its name.
func Find(name string) (Kind, bool) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

// Draw picks a mix: each kind with an even chance, at least one.
func Draw(r Rand) []Kind {
	kinds := Kinds()
	one := r.IntN(len(kinds))
	var mix []Kind
	for i, k := range kinds {
		if r.IntN(2) == 0 || i == one {
			mix = append(mix, k)
		}
	}
	return mix
}

// noSetup and its like are for workloads that have nothing to say there.
type noSetup struct{}

func (noSetup) Setup() []Command { return nil }

type noReturned struct{}

func (noReturned) Returned(*Op) {}
