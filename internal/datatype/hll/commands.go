package hll

import (
	"strconv"
	"strings"

	"coterie/internal/command"
	"coterie/internal/keyspace"
)

const (
	errNone   = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errBroken = "INVALIDOBJ Corrupted HLL object detected"
)

// open looks a sketch up; an absent one is nil. ok is false when it replied
// with an error.
func open(c *command.Ctx, key []byte) (s sketch, r keyspace.Record, ok bool) {
	r, ok = c.Typed(key, keyspace.String)
	if !ok || !r.Exists() {
		return nil, r, ok
	}
	if !valid(r.Body) {
		c.Fail(errNone)
		return nil, r, false
	}
	return r.Body, r, true
}

// owned is a copy of a sketch that may be changed; of none, an empty one.
func owned(c *command.Ctx, s sketch) sketch {
	if s == nil {
		return empty(c.Buf)
	}
	return append(c.Buf[:0], s...)
}

func store(c *command.Ctx, key []byte, old keyspace.Record, s sketch) {
	c.Put(key, old, keyspace.Record{Type: keyspace.String, ExpireAt: old.ExpireAt, Body: s})
	c.Buf = s
}

func pfAdd(c *command.Ctx) {
	s, old, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	changed := s == nil
	s = owned(c, s)
	for _, element := range c.Args[2:] {
		var raised bool
		if s, raised, ok = s.add(element); !ok {
			c.Fail(errBroken)
			return
		}
		changed = changed || raised
	}
	if !changed {
		c.Out.Int(0)
		return
	}
	s.invalidate()
	store(c, c.Args[1], old, s)
	c.Notify(keyspace.StringEvent, "pfadd", c.Args[1])
	c.Out.Int(1)
}

// pfCount counts the elements of one sketch, and keeps the count in it, or of
// several together.
func pfCount(c *command.Ctx) {
	if len(c.Args) > 2 {
		var all [registers]byte
		if merge(c, c.Args[1:], &all) {
			c.Out.Int(int64(countOf(&all)))
		}
		return
	}
	s, old, ok := open(c, c.Args[1])
	if !ok {
		return
	}
	if s == nil {
		c.Out.Int(0)
		return
	}
	n, ok := s.cached()
	if !ok {
		if n, ok = s.count(); !ok {
			c.Fail(errBroken)
			return
		}
		s = owned(c, s)
		s.setCached(n)
		store(c, c.Args[1], old, s)
	}
	c.Out.Int(int64(n))
}

// merge raises all to the registers of several sketches. ok is false when it
// replied with an error.
func merge(c *command.Ctx, keys [][]byte, all *[registers]byte) (ok bool) {
	for _, key := range keys {
		s, _, ok := open(c, key)
		if !ok {
			return false
		}
		if s != nil && !s.raise(all) {
			c.Fail(errBroken)
			return false
		}
	}
	return true
}

func pfMerge(c *command.Ctx) {
	var all [registers]byte
	if !merge(c, c.Args[1:], &all) {
		return
	}
	asDense := false
	for _, key := range c.Args[1:] {
		s, _, _ := open(c, key)
		asDense = asDense || s != nil && s.isDense()
	}
	s, old, _ := open(c, c.Args[1])
	s = owned(c, s)
	if asDense {
		s, _ = s.toDense()
	}
	for i, v := range all {
		if v > 0 {
			s, _, _ = s.set(i, v)
		}
	}
	s.invalidate()
	store(c, c.Args[1], old, s)
	c.Notify(keyspace.StringEvent, "pfadd", c.Args[1])
	c.Out.Simple("OK")
}

func pfDebug(c *command.Ctx) {
	r := c.Lookup(c.Args[2])
	if !r.Exists() {
		c.Fail("ERR The specified key does not exist")
		return
	}
	s, old, ok := open(c, c.Args[2])
	if !ok {
		return
	}
	switch {
	case command.Is(c.Args[1], "GETREG"):
		if s, ok = becomeDense(c, s, old); ok {
			c.Out.Array(registers)
			for i := range registers {
				c.Out.Int(int64(s.get(i)))
			}
		}
	case command.Is(c.Args[1], "DECODE"):
		if s.isDense() {
			c.Fail("ERR HLL encoding is not sparse")
			return
		}
		c.Out.BulkString(s.decoded())
	case command.Is(c.Args[1], "ENCODING"):
		if s.isDense() {
			c.Out.Simple("dense")
		} else {
			c.Out.Simple("sparse")
		}
	case command.Is(c.Args[1], "TODENSE"):
		n := int64(0)
		if !s.isDense() {
			n = 1
		}
		if _, ok = becomeDense(c, s, old); ok {
			c.Out.Int(n)
		}
	default:
		c.Fail("ERR Unknown PFDEBUG subcommand '" + command.Quoted(c.Args[1]) + "'")
	}
}

// becomeDense stores a sketch in the dense encoding. ok is false when it
// replied with an error.
func becomeDense(c *command.Ctx, s sketch, old keyspace.Record) (_ sketch, ok bool) {
	if s.isDense() {
		return s, true
	}
	if s, ok = s.toDense(); !ok {
		c.Fail(errBroken)
		return s, false
	}
	store(c, c.Args[2], old, s)
	return s, true
}

// decoded is a sparse sketch as a text of runs.
func (s sketch) decoded() string {
	var text strings.Builder
	for r := range s.runs {
		if r.at > headLen {
			text.WriteByte(' ')
		}
		switch {
		case r.value > 0:
			text.WriteString("v:" + strconv.Itoa(int(r.value)) + ",")
		case r.end-r.at == 2:
			text.WriteString("Z:")
		default:
			text.WriteString("z:")
		}
		text.WriteString(strconv.Itoa(r.n))
	}
	return text.String()
}

// pfSelfTest adds elements to a dense and to a sparse sketch and compares the
// two with each other and with the truth. It takes some milliseconds.
func pfSelfTest(c *command.Ctx) {
	const elements = 100_000
	full, _ := empty(nil).toDense()
	small, seed := empty(nil), c.Txn.Rand()
	check := 1
	for n := 1; n <= elements; n++ {
		element := strconv.AppendUint(nil, seed+uint64(n), 36)
		full, _, _ = full.add(element)
		small, _, _ = small.add(element)
		if n != check {
			continue
		}
		check *= 10
		a, _ := full.count()
		b, ok := small.count()
		if !ok || a != b {
			c.Fail("ERR TESTFAILED dense/sparse disagree")
			return
		}
		const sixErrors = 6 * 1.04 / 128
		if off := max(int64(a)-int64(n), int64(n)-int64(a)); float64(off) > max(sixErrors*float64(n), 1) {
			c.Fail("ERR TESTFAILED Too big error. card:" + strconv.Itoa(n) + " abserr:" + strconv.FormatInt(off, 10))
			return
		}
	}
	c.Out.Simple("OK")
}
