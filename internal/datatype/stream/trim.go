package stream

import (
	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/keyspace"
)

// batch is how many entries an approximate trim usually removes at a time, and
// so by how many it may leave too many. It is Redis's default for the entries of
// one node, which are what Redis removes at a time.
const batch = 100

// maxApproximate is how many entries an approximate trim removes at most,
// unless told otherwise.
const maxApproximate = 100 * batch

// trimming is what MAXLEN or MINID ask for.
type trimming struct {
	by     byte // 0: nothing
	approx bool
	limit  int64 // entries to remove at most; 0: all
	maxLen int64
	minID  id
}

const (
	byLength byte = 1 + iota
	byID
)

// addition is what XADD is to add, and what it is to remove.
type addition struct {
	trimming
	given, seqGiven bool // how much of the id
	id              id
	noMake          bool
	fields          [][]byte
}

// parse reads the options of XADD or XTRIM. ok is false when it replied with an
// error.
func parse(c *command.Ctx, xadd bool) (a addition, ok bool) {
	limited := false
	i := 2
options:
	for ; i < len(c.Args); i++ {
		arg, more := c.Args[i], len(c.Args)-1-i
		switch {
		case xadd && isWord(arg, "*"):
			break options
		case (command.Is(arg, "MAXLEN") || command.Is(arg, "MINID")) && more > 0:
			if i, ok = a.parse(c, i); !ok {
				return a, false
			}
		case command.Is(arg, "LIMIT") && more > 0:
			i++
			if a.limit, ok = c.Int(i); !ok {
				return a, false
			}
			if a.limit < 0 {
				c.Fail("ERR The LIMIT argument must be >= 0.")
				return a, false
			}
			limited = true
		case xadd && command.Is(arg, "NOMKSTREAM"):
			a.noMake = true
		case xadd:
			if a.id, a.seqGiven, ok = parseNewID(arg); !ok {
				c.Fail(errID)
				return a, false
			}
			a.given = true
			break options
		default:
			c.Fail(command.ErrSyntax)
			return a, false
		}
	}
	if i < len(c.Args) {
		a.fields = c.Args[i+1:]
	}
	return a, a.complete(c, xadd, limited)
}

// parse reads MAXLEN or MINID at argument i, and says which is its last.
func (t *trimming) parse(c *command.Ctx, i int) (end int, ok bool) {
	if t.by != 0 {
		c.Fail("ERR syntax error, MAXLEN and MINID options at the same time are not compatible")
		return i, false
	}
	t.by = byLength
	if command.Is(c.Args[i], "MINID") {
		t.by = byID
	}
	i++
	if i+1 < len(c.Args) && (isWord(c.Args[i], "~") || isWord(c.Args[i], "=")) {
		t.approx = isWord(c.Args[i], "~")
		i++
	}
	if t.by == byID {
		if t.minID, ok = parseID(c.Args[i], 0); !ok {
			c.Fail(errID)
		}
		return i, ok
	}
	if t.maxLen, ok = number.ParseInt(c.Args[i]); !ok {
		c.Fail(command.ErrNotInteger)
	} else if ok = t.maxLen >= 0; !ok {
		c.Fail("ERR The MAXLEN argument must be >= 0.")
	}
	return i, ok
}

// complete checks what only all options together tell.
func (t *trimming) complete(c *command.Ctx, xadd, limited bool) bool {
	switch {
	case t.limit != 0 && t.by == 0:
		c.Fail("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
	case !xadd && t.by == 0:
		c.Fail("ERR syntax error, XTRIM must be called with a trimming strategy")
	case limited && !t.approx:
		c.Fail("ERR syntax error, LIMIT cannot be used without the special ~ option")
	default:
		if t.approx && !limited {
			t.limit = maxApproximate
		}
		return true
	}
	return false
}

// isWord says whether C would take an argument for a word, case and all.
func isWord(arg []byte, word string) bool {
	return string(arg) == word || len(arg) > len(word) && arg[len(word)] == 0 && string(arg[:len(word)]) == word
}

// batch is how many entries an approximate trim removes at a time: fewer than
// usual if LIMIT would not let it remove so many.
func (t *trimming) batch() uint64 {
	if t.limit == 0 || t.limit >= batch {
		return batch
	}
	return uint64(max(t.limit/3, 2))
}

// trim removes entries from the front, and says how many. An approximate trim
// removes whole batches, counted from the first entry there ever was, or all.
func (s *value) trim(t trimming) (removed uint64) {
	n := s.len()
	switch t.by {
	case byLength:
		removed = n - min(n, uint64(t.maxLen))
	case byID:
		key := idKey(t.minID)
		removed, _ = s.entries.Rank(key[:])
	}
	if limit := uint64(t.limit); limit > 0 {
		removed = min(removed, limit)
	}
	if t.approx && removed < n {
		removed -= min(removed, (s.added-n+removed)%t.batch())
	}
	if removed > 0 {
		s.entries.DeleteRange(0, removed)
	}
	return removed
}

func xAdd(c *command.Ctx) {
	a, ok := parse(c, true)
	if !ok {
		return
	}
	if len(a.fields) < 2 || len(a.fields)%2 == 1 {
		c.Fail(c.Spec.ArityError())
		return
	}
	if a.given && a.seqGiven && a.id.zero() {
		c.Fail("ERR The ID specified in XADD must be greater than 0-0")
		return
	}
	s, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if !s.exists() && a.noMake {
		c.Out.Null()
		return
	}
	if s.last == maxID {
		c.Fail("ERR The stream has exhausted the last possible ID, unable to add more items")
		return
	}
	at, ok := s.newID(a)
	if !ok {
		c.Fail("ERR The ID specified in XADD is equal or smaller than the target stream top item")
		return
	}
	s.make()
	s.add(at, a.fields)
	removed := s.trim(a.trimming)
	s.store()
	c.Notify(keyspace.StreamEvent, "xadd", c.Args[1])
	if removed > 0 {
		c.Notify(keyspace.StreamEvent, "xtrim", c.Args[1])
	}
	replyID(c, at)
}

// newID is the id of an entry to be added; ok is false when it is not above
// all there ever were.
func (s *value) newID(a addition) (at id, ok bool) {
	switch {
	case !a.given:
		if now := uint64(max(s.c.Now(), 0)); now > s.last.ms {
			return id{ms: now}, true
		}
		return s.last.next()
	case !a.seqGiven && s.last.ms == a.id.ms:
		at, ok = s.last.next()
		return at, ok && at.ms == a.id.ms
	}
	return a.id, s.last.less(a.id)
}

func xTrim(c *command.Ctx) {
	a, ok := parse(c, false)
	if !ok {
		return
	}
	s, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if !s.exists() {
		c.Out.Int(0)
		return
	}
	removed := s.trim(a.trimming)
	s.store()
	if removed > 0 {
		c.Notify(keyspace.StreamEvent, "xtrim", c.Args[1])
	}
	c.Out.Int(int64(removed))
}
