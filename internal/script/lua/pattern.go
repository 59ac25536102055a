package lua

import "strings"

// Bounds of matching.
const (
	maxCaptures   = 32
	maxMatchDepth = 10000
)

const (
	capUnfinished = -1
	capPosition   = -2
)

// matcher matches a pattern of Lua against a string.
type matcher struct {
	c        *Call
	src, pat string
	level    int
	depth    int
	capture  [maxCaptures]struct{ start, len int }
}

func classEnd(m *matcher, p int) int {
	if p >= len(m.pat) {
		m.c.Fail("malformed pattern (ends with '%%')")
	}
	ch := m.pat[p]
	p++
	switch ch {
	case '%':
		if p >= len(m.pat) {
			m.c.Fail("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for {
			if p >= len(m.pat) {
				m.c.Fail("malformed pattern (missing ']')")
			}
			ch := m.pat[p]
			p++
			if ch == '%' && p < len(m.pat) {
				p++
			}
			if p < len(m.pat) && m.pat[p] == ']' {
				return p + 1
			}
		}
	}
	return p
}

func isPunct(c byte) bool { return c > ' ' && c < 127 && !isAlnum(c) }
func isAlnum(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }

func singleClass(c, class byte) bool {
	var is bool
	switch class | 0x20 {
	case 'a':
		is = c|0x20 >= 'a' && c|0x20 <= 'z'
	case 'c':
		is = c < ' ' || c == 127
	case 'd':
		is = isDigit(c)
	case 'l':
		is = c >= 'a' && c <= 'z'
	case 'p':
		is = isPunct(c)
	case 's':
		is = isSpace(c)
	case 'u':
		is = c >= 'A' && c <= 'Z'
	case 'w':
		is = isAlnum(c)
	case 'x':
		is = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		is = c == 0
	default:
		return class == c
	}
	if class >= 'A' && class <= 'Z' {
		return !is
	}
	return is
}

// setMatches matches a set; p is at '[', end behind ']'.
func setMatches(c byte, set string) bool {
	set = set[1 : len(set)-1]
	want := true
	if strings.HasPrefix(set, "^") {
		want, set = false, set[1:]
	}
	for i := 0; i < len(set); i++ {
		switch {
		case set[i] == '%' && i+1 < len(set):
			i++
			if singleClass(c, set[i]) {
				return want
			}
		case i+2 < len(set) && set[i+1] == '-':
			if set[i] <= c && c <= set[i+2] {
				return want
			}
			i += 2
		case set[i] == c:
			return want
		}
	}
	return !want
}

func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return singleClass(c, m.pat[p+1])
	case '[':
		m.c.Step((end - p) / 16)
		return setMatches(c, m.pat[p:end])
	}
	return m.pat[p] == c
}

// match matches the pattern from p on at s and returns the match's end; -1 if there is
// none.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.c.Fail("pattern too complex")
	}
	defer func() { m.depth-- }()
	for {
		m.c.Step(1)
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(s, p+2, capPosition)
			}
			return m.startCapture(s, p+1, capUnfinished)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch c := m.pat[p+1]; {
				case c == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case c == 'f':
					var ok bool
					if p, ok = m.frontier(s, p+2); !ok {
						return -1
					}
					continue
				case isDigit(c):
					if s = m.backReference(s, c); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := classEnd(m, p)
		m.c.Step((end - p) / 16)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if r := m.match(s+1, end+1); r >= 0 {
					return r
				}
			}
			p = end + 1
		case '*':
			return m.longest(s, p, end, 0)
		case '+':
			return m.longest(s, p, end, 1)
		case '-':
			return m.shortest(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
}

func (m *matcher) longest(s, p, end, least int) int {
	n := 0
	for m.single(s+n, p, end) {
		n++
	}
	m.c.Step(n / 4)
	for ; n >= least; n-- {
		if r := m.match(s+n, end+1); r >= 0 {
			return r
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, end int) int {
	for {
		if r := m.match(s, end+1); r >= 0 {
			return r
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) startCapture(s, p, what int) int {
	if m.level >= maxCaptures {
		m.c.Fail("too many captures")
	}
	m.capture[m.level].start, m.capture[m.level].len = s, what
	m.level++
	r := m.match(s, p)
	if r < 0 {
		m.level--
	}
	return r
}

func (m *matcher) endCapture(s, p int) int {
	l := m.level - 1
	for ; l >= 0 && m.capture[l].len != capUnfinished; l-- {
	}
	if l < 0 {
		m.c.Fail("invalid pattern capture")
	}
	m.capture[l].len = s - m.capture[l].start
	r := m.match(s, p)
	if r < 0 {
		m.capture[l].len = capUnfinished
	}
	return r
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.c.Fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	open, closing, depth := m.pat[p], m.pat[p+1], 1
	for i := s + 1; i < len(m.src); i++ {
		switch m.src[i] {
		case closing:
			if depth--; depth == 0 {
				m.c.Step((i - s) / 8)
				return i + 1
			}
		case open:
			depth++
		}
	}
	m.c.Step((len(m.src) - s) / 8)
	return -1
}

func (m *matcher) frontier(s, p int) (next int, ok bool) {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.c.Fail("missing '[' after '%%f' in pattern")
	}
	end := classEnd(m, p)
	var before, here byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		here = m.src[s]
	}
	set := m.pat[p:end]
	m.c.Step(len(set) / 8)
	return end, !setMatches(before, set) && setMatches(here, set)
}

func (m *matcher) backReference(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.capture[l].len == capUnfinished {
		m.c.Fail("invalid capture index")
	}
	text := m.src[m.capture[l].start:][:max(m.capture[l].len, 0)]
	m.c.Step(len(text) / 64)
	if strings.HasPrefix(m.src[s:], text) {
		return s + len(text)
	}
	return -1
}

// captured is capture i; without captures, number 0 is the whole match.
func (m *matcher) captured(i, s, e int) Value {
	if i >= m.level {
		if i > 0 {
			m.c.Fail("invalid capture index")
		}
		return m.text(s, e)
	}
	start, n := m.capture[i].start, m.capture[i].len
	switch n {
	case capUnfinished:
		m.c.Fail("unfinished capture")
	case capPosition:
		return Number(float64(start + 1))
	}
	return m.text(start, start+n)
}

func (m *matcher) text(s, e int) Value {
	m.c.charge(16) // it shares the subject's bytes
	return String(m.src[s:e])
}

// pushCaptures pushes all captures; whole stands for none.
func (m *matcher) pushCaptures(s, e int, whole bool) {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.c.Push(m.captured(i, s, e))
	}
}
