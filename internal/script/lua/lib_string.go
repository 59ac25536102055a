package lua

import (
	"strings"
)

func openString(s *State) {
	t := NewTable(0)
	s.Register(t, map[string]Function{
		"byte": stringByte, "char": stringChar, "dump": stringDump, "find": stringFind, "format": stringFormat,
		"gmatch": stringGmatch, "gfind": stringGmatch, "gsub": stringGsub, "len": stringLen, "lower": stringLower,
		"match": stringMatch, "rep": stringRep, "reverse": stringReverse, "sub": stringSub, "upper": stringUpper,
	})
	s.Globals.SetString("string", FromTable(t))
	s.strings = NewTable(0)
	s.strings.SetString("__index", FromTable(t))
	s.Roots = append(s.Roots, s.strings)
}

// StringMeta is the metatable that all strings share.
func (s *State) StringMeta() *Table { return s.strings }

// position makes a relative position absolute.
func position(p, n int) int {
	if p < 0 {
		p += n + 1
	}
	return max(p, 0)
}

func stringByte(c *Call) {
	s := c.checkText(1)
	i := position(c.OptInt(2, 1), len(s))
	j := position(c.OptInt(3, i), len(s))
	i, j = max(i, 1), min(j, len(s))
	if j-i >= maxStackSlots/2 {
		c.Fail("string slice too long")
	}
	for ; i <= j; i++ {
		c.Push(Number(float64(s[i-1])))
	}
}

func stringChar(c *Call) {
	b := make([]byte, c.N())
	for i := range b {
		n := c.CheckInt(i + 1)
		if n < 0 || n > 255 {
			c.BadArgument(i+1, "invalid value")
		}
		b[i] = byte(n)
	}
	c.PushBytes(b)
}

// stringDump answers what every load refuses: compiled chunks are none.
func stringDump(c *Call) {
	if _, ok := c.CheckFunction(1).o.(*closure); !ok {
		c.Fail("unable to dump given function")
	}
	c.Push(String("\x1bLua"))
}

func stringLen(c *Call) { c.Push(Number(float64(len(c.checkText(1))))) }

func stringLower(c *Call) {
	b := []byte(c.CheckString(1))
	for i, ch := range b {
		if 'A' <= ch && ch <= 'Z' {
			b[i] = ch | 0x20
		}
	}
	c.Step(len(b) / 16)
	c.PushBytes(b)
}

func stringUpper(c *Call) {
	b := []byte(c.CheckString(1))
	for i, ch := range b {
		if 'a' <= ch && ch <= 'z' {
			b[i] = ch &^ 0x20
		}
	}
	c.Step(len(b) / 16)
	c.PushBytes(b)
}

func stringReverse(c *Call) {
	b := []byte(c.CheckString(1))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	c.Step(len(b) / 16)
	c.PushBytes(b)
}

// maxString bounds, in bytes, a string that is made by one call.
const maxString = 1 << 30

func stringRep(c *Call) {
	s, n := c.CheckString(1), c.CheckInt(2)
	if n <= 0 || s == "" {
		c.Push(String(""))
		return
	}
	if n > maxString/len(s) {
		c.Fail("resulting string too large")
	}
	c.charge(n*len(s) + 16)
	c.Step(n * len(s) / 64)
	c.Push(String(strings.Repeat(s, n)))
}

func stringSub(c *Call) {
	s := c.checkText(1)
	i := position(c.CheckInt(2), len(s))
	j := position(c.OptInt(3, -1), len(s))
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		c.Push(String(""))
		return
	}
	c.charge(16)
	c.Push(String(s[i-1 : j]))
}

func stringFind(c *Call)  { find(c, true) }
func stringMatch(c *Call) { find(c, false) }

func find(c *Call, positions bool) {
	s, pat := c.checkText(1), c.CheckString(2)
	init := c.OptInt(3, 1)
	if init < 0 {
		init = max(init+len(s)+1, 1)
	}
	init = min(max(init-1, 0), len(s))
	if positions && (c.Arg(4).Truth() || !strings.ContainsAny(pat, "^$*+?.([%-")) {
		i := strings.Index(s[init:], pat)
		if i < 0 {
			c.Step((len(s) - init) / 16)
		} else {
			c.Step(i / 16)
		}
		if i >= 0 {
			c.Push(Number(float64(init + i + 1)))
			c.Push(Number(float64(init + i + len(pat))))
		} else {
			c.Push(Nil)
		}
		return
	}
	m := &matcher{c: c, src: s, pat: pat}
	anchored := strings.HasPrefix(pat, "^")
	if anchored {
		m.pat = pat[1:]
	}
	for at := init; at <= len(s); at++ {
		m.level = 0
		if e := m.match(at, 0); e >= 0 {
			if positions {
				c.Push(Number(float64(at + 1)))
				c.Push(Number(float64(e)))
			}
			m.pushCaptures(at, e, !positions)
			return
		}
		if anchored {
			break
		}
	}
	c.Push(Nil)
}

func stringGmatch(c *Call) {
	s, pat := c.checkText(1), c.CheckString(2)
	at := 0
	c.charge(128)
	c.Push(c.Function("gmatch_aux", func(c *Call) {
		m := &matcher{c: c, src: s, pat: pat}
		for ; at <= len(s); at++ {
			m.level = 0
			if e := m.match(at, 0); e >= 0 {
				m.pushCaptures(at, e, true)
				if e == at {
					e++
				}
				at = e
				return
			}
		}
		c.Push(Nil)
	}))
}

func stringGsub(c *Call) {
	s, pat, repl := c.checkText(1), c.CheckString(2), c.Arg(3)
	switch repl.o.(type) {
	case number, string, *Table, *closure, *goFunction:
	default:
		c.BadArgument(3, "string/function/table expected")
	}
	limit := c.OptInt(4, len(s)+1)
	m := &matcher{c: c, src: s, pat: pat}
	anchored := strings.HasPrefix(pat, "^")
	if anchored {
		m.pat = pat[1:]
	}
	var b []byte
	at, n := 0, 0
	for n < limit {
		m.level = 0
		e := m.match(at, 0)
		if e >= 0 {
			n++
			before := cap(b)
			size := len(b)
			b = m.replace(b, repl, at, e)
			c.Step((len(b) - size) / 16)
			c.charge(cap(b) - before)
		}
		switch {
		case e > at:
			at = e
		case at < len(s):
			b = append(b, s[at])
			at++
		default:
			at++
		}
		if at > len(s) || anchored {
			break
		}
	}
	if at < len(s) {
		b = append(b, s[at:]...)
	}
	c.PushBytes(b)
	c.Push(Number(float64(n)))
}

// replace appends what takes the place of a match.
func (m *matcher) replace(b []byte, repl Value, s, e int) []byte {
	var v Value
	switch o := repl.o.(type) {
	case *Table:
		v = m.c.index(repl, m.captured(0, s, e), naming{})
	case *closure, *goFunction:
		args := []Value{m.captured(0, s, e)}
		for i := 1; i < m.level; i++ {
			args = append(args, m.captured(i, s, e))
		}
		v = m.c.Call1(repl, args...)
	default:
		text, _ := repl.Text()
		_ = o
		return m.template(b, text, s, e)
	}
	if !v.Truth() {
		return append(b, m.src[s:e]...)
	}
	text, ok := v.Text()
	if !ok {
		m.c.Fail("invalid replacement value (a %s)", v.Type())
	}
	return append(b, text...)
}

func (m *matcher) template(b []byte, text string, s, e int) []byte {
	m.c.Step(len(text) / 16)
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b = append(b, text[i])
			continue
		}
		i++
		switch {
		case i >= len(text):
			b = append(b, 0) // as C reads the end of the string
		case !isDigit(text[i]):
			b = append(b, text[i])
		case text[i] == '0':
			b = append(b, m.src[s:e]...)
		default:
			part, _ := m.captured(int(text[i]-'1'), s, e).Text()
			b = append(b, part...)
		}
	}
	return b
}
