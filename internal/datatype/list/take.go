package list

import (
	"coterie/internal/command"
	"coterie/internal/keyspace"
)

// pop is LPOP and RPOP.
func pop(front bool) func(*command.Ctx) {
	return func(c *command.Ctx) {
		count, many := int64(1), len(c.Args) > 2
		if len(c.Args) > 3 {
			c.Fail(c.Spec.ArityError())
			return
		}
		ok := true
		if many {
			if count, ok = atLeast(c, 2, 0, "ERR value is out of range, must be positive"); !ok {
				return
			}
		}
		l, ok := open(c, c.Args[1])
		switch {
		case !ok:
		case l.Len() == 0 && many:
			c.Out.NullArray()
		case l.Len() == 0:
			c.Out.Null()
		case many:
			l.take(len(c.Out.Buf), min(uint64(count), l.Len()), front)
		default:
			v, _ := l.end(front)
			c.Out.Bulk(v)
			l.drop(1, front)
			l.store(popped(front))
		}
	}
}

// take replies with n values of an end and removes them, unless the reply,
// which began at start, becomes too large, and an error.
func (l *list) take(start int, n uint64, front bool) {
	c := l.c
	c.Out.Array(int(n))
	if n == 0 {
		return
	}
	left, fits := n, true
	l.walk(front, func(_ uint64, v []byte) bool {
		c.Out.Bulk(v)
		left--
		fits = c.Fits(start)
		return fits && left > 0
	})
	if fits {
		l.drop(n, front)
		l.store(popped(front))
	}
}

// parseSide reads argument i as an end of a list; when it is none, it replies
// with the error, and ok is false.
func parseSide(c *command.Ctx, i int) (front, ok bool) {
	front = command.Is(c.Args[i], "LEFT")
	if !front && !command.Is(c.Args[i], "RIGHT") {
		c.Fail(command.ErrSyntax)
		return false, false
	}
	return front, true
}

// move moves a value from an end of argument 1's list to an end of argument
// 2's, and replies with it. moved is false when there was none, and no reply.
func move(c *command.Ctx, from, to bool) (moved bool) {
	if c.Passes(c.Args[1], keyspace.List) {
		return false
	}
	source, ok := open(c, c.Args[1])
	switch {
	case !ok:
		return true
	case source.Len() == 0:
		return false
	}
	v, _ := source.end(from)
	if string(c.Args[1]) == string(c.Args[2]) {
		if source.Len() > 1 {
			source.drop(1, from)
			source.push(v, to)
			c.Notify(keyspace.ListEvent, pushed(to), source.key)
			source.store(popped(from))
		}
		c.Out.Bulk(v)
		return true
	}
	destination, ok := open(c, c.Args[2])
	if !ok {
		return true
	}
	destination.push(v, to)
	destination.store(pushed(to))
	source.drop(1, from)
	source.store(popped(from))
	c.Out.Bulk(v)
	return true
}

func lMove(c *command.Ctx) {
	if from, to, ok := parseSides(c); ok && !move(c, from, to) {
		c.Out.Null()
	}
}

func rPopLPush(c *command.Ctx) {
	if !move(c, false, true) {
		c.Out.Null()
	}
}

func bLMove(c *command.Ctx) {
	from, to, ok := parseSides(c)
	if !ok {
		return
	}
	if _, ok = c.Timeout(5); ok && !move(c, from, to) {
		block(c)
	}
}

func bRPopLPush(c *command.Ctx) {
	if _, ok := c.Timeout(3); ok && !move(c, false, true) {
		block(c)
	}
}

func parseSides(c *command.Ctx) (from, to, ok bool) {
	if from, ok = parseSide(c, 3); ok {
		to, ok = parseSide(c, 4)
	}
	return from, to, ok
}

// block is Block for a command that answers with a value: where it may not
// wait it answers null, which differs from what it answers after a wait.
func block(c *command.Ctx) {
	if !c.MayBlock {
		c.Out.Null()
		return
	}
	c.Block()
}

// bPop is BLPOP and BRPOP.
func bPop(front bool) func(*command.Ctx) {
	return func(c *command.Ctx) {
		last := len(c.Args) - 1
		if _, ok := c.Timeout(last); !ok {
			return
		}
		l, ok := firstOf(c, c.Args[1:last])
		switch {
		case !ok:
		case l == nil:
			c.Block()
		default:
			v, _ := l.end(front)
			c.Out.Array(2)
			c.Out.Bulk(l.key)
			c.Out.Bulk(v)
			l.drop(1, front)
			l.store(popped(front))
		}
	}
}

// firstOf is the first list that exists, or nil. ok is false when it replied
// with an error.
func firstOf(c *command.Ctx, keys [][]byte) (l *list, ok bool) {
	for _, key := range keys {
		if c.Passes(key, keyspace.List) {
			continue
		}
		if l, ok = open(c, key); !ok || l.Len() > 0 {
			return l, ok
		}
	}
	return nil, true
}

func lMPop(c *command.Ctx) {
	if t, ok := parseTaking(c, 1); ok && !t.run(c) {
		c.Out.NullArray()
	}
}

func bLMPop(c *command.Ctx) {
	t, ok := parseTaking(c, 2)
	if !ok {
		return
	}
	if _, ok = c.Timeout(1); ok && !t.run(c) {
		c.Block()
	}
}

// taking is the arguments of LMPOP.
type taking struct {
	keys  [][]byte
	front bool
	count int64
}

// parseTaking reads them from argument i on, the number of keys. ok is false
// when it replied with an error.
func parseTaking(c *command.Ctx, i int) (t taking, ok bool) {
	n, ok := atLeast(c, i, 1, "ERR numkeys should be greater than 0")
	if !ok {
		return t, false
	}
	if n >= int64(len(c.Args)-i-1) {
		c.Fail(command.ErrSyntax)
		return t, false
	}
	end := i + 1 + int(n)
	t = taking{keys: c.Args[i+1 : end], count: 1}
	if t.front, ok = parseSide(c, end); !ok {
		return t, false
	}
	for at := end + 1; at < len(c.Args); at += 2 {
		if at > end+1 || at+1 == len(c.Args) || !command.Is(c.Args[at], "COUNT") {
			c.Fail(command.ErrSyntax)
			return t, false
		}
		if t.count, ok = atLeast(c, at+1, 1, "ERR count should be greater than 0"); !ok {
			return t, false
		}
	}
	return t, true
}

// run takes from the first list that exists, and replies; found is false when
// there is none, and no reply.
func (t *taking) run(c *command.Ctx) (found bool) {
	l, ok := firstOf(c, t.keys)
	if !ok || l == nil {
		return !ok
	}
	start := len(c.Out.Buf)
	c.Out.Array(2)
	c.Out.Bulk(l.key)
	l.take(start, min(uint64(t.count), l.Len()), t.front)
	return true
}
