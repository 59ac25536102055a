package lua

import (
	"fmt"
	"strings"
)

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokName
	tokString
	tokNumber
	tokOp      // text is the operator
	tokKeyword // text is the word
)

type token struct {
	kind tokenKind
	text string // of a name, operator or keyword; the content of a string
	num  float64
	line int
	raw  string // as errors show it
}

var keywords = map[string]bool{
	"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true, "for": true,
	"function": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true, "repeat": true,
	"return": true, "then": true, "true": true, "until": true, "while": true,
}

// lexer cuts a source into tokens. Errors are panics of *Error with a message.
type lexer struct {
	src   string
	pos   int
	line  int
	chunk string
}

func (l *lexer) fail(near, format string, args ...any) {
	text := fmt.Sprintf("%s:%d: %s", l.chunk, l.line, fmt.Sprintf(format, args...))
	if near != "" {
		text += " near '" + near + "'"
	}
	panic(&Error{Value: String(text)})
}

func isAlpha(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) peek(ahead int) byte {
	if l.pos+ahead < len(l.src) {
		return l.src[l.pos+ahead]
	}
	return 0
}

// skip passes over white space and comments.
func (l *lexer) skip() {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\n' || c == '\r':
			l.newline()
		case isSpace(c):
			l.pos++
		case c == '-' && l.peek(1) == '-':
			l.pos += 2
			if l.peek(0) == '[' {
				if level := l.bracket(); level >= 0 {
					l.long(level, "comment")
					continue
				}
			}
			for l.pos < len(l.src) && l.src[l.pos] != '\n' && l.src[l.pos] != '\r' {
				l.pos++
			}
		default:
			return
		}
	}
}

// newline passes over a line's end, which may be two bytes.
func (l *lexer) newline() {
	c := l.src[l.pos]
	l.pos++
	if n := l.peek(0); l.pos < len(l.src) && (n == '\n' || n == '\r') && n != c {
		l.pos++
	}
	l.line++
}

// bracket passes over the opening of a long string and returns its level; -1 if
// there is none, and then it stays.
func (l *lexer) bracket() int {
	i := 1
	for l.peek(i) == '=' {
		i++
	}
	if l.peek(i) != '[' {
		return -1
	}
	l.pos += i + 1
	return i - 1
}

// long reads a long string's content and its end.
func (l *lexer) long(level int, what string) string {
	closing := "]" + strings.Repeat("=", level) + "]"
	if c := l.peek(0); l.pos < len(l.src) && (c == '\n' || c == '\r') {
		l.newline()
	}
	var b strings.Builder
	for {
		if l.pos >= len(l.src) {
			l.fail("<eof>", "unfinished long %s", what)
		}
		c := l.src[l.pos]
		switch {
		case c == ']' && strings.HasPrefix(l.src[l.pos:], closing):
			l.pos += len(closing)
			return b.String()
		case c == '\n' || c == '\r':
			l.newline()
			b.WriteByte('\n')
		default:
			b.WriteByte(c)
			l.pos++
		}
	}
}

// next reads a token.
func (l *lexer) next() token {
	l.skip()
	t := token{line: l.line}
	start := l.pos
	if l.pos >= len(l.src) {
		t.raw = "<eof>"
		return t
	}
	switch c := l.src[l.pos]; {
	case isAlpha(c):
		for l.pos < len(l.src) && (isAlpha(l.src[l.pos]) || isDigit(l.src[l.pos])) {
			l.pos++
		}
		t.kind, t.text = tokName, l.src[start:l.pos]
		if keywords[t.text] {
			t.kind = tokKeyword
		}
	case isDigit(c) || c == '.' && isDigit(l.peek(1)):
		t.kind, t.num = tokNumber, l.numeral()
	case c == '"' || c == '\'':
		t.kind, t.text = tokString, l.quoted(c)
	case c == '[' && (l.peek(1) == '[' || l.peek(1) == '='):
		level := l.bracket()
		if level < 0 {
			l.fail(l.src[start:l.pos+1], "invalid long string delimiter")
		}
		t.kind, t.text = tokString, l.long(level, "string")
	default:
		t.kind, t.text = tokOp, l.operator()
	}
	t.raw = l.src[start:l.pos]
	return t
}

func (l *lexer) numeral() float64 {
	start := l.pos
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		if (c == '+' || c == '-') && (l.src[l.pos-1]|0x20 != 'e' || l.pos == start) {
			break
		}
		if c != '.' && c != '+' && c != '-' && !isDigit(c) && !isAlpha(c) {
			break
		}
		l.pos++
	}
	text := l.src[start:l.pos]
	n, ok := ParseNumber(text)
	if !ok {
		l.fail(text, "malformed number")
	}
	return n
}

var escapes = map[byte]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v'}

func (l *lexer) quoted(quote byte) string {
	start := l.pos
	l.pos++
	var b []byte
	for {
		if l.pos >= len(l.src) {
			l.fail("<eof>", "unfinished string")
		}
		c := l.src[l.pos]
		switch {
		case c == quote:
			l.pos++
			return string(b)
		case c == '\n' || c == '\r':
			l.fail(l.src[start:l.pos], "unfinished string")
		case c != '\\':
			b = append(b, c)
			l.pos++
		default:
			l.pos++
			b = l.escape(b, start)
		}
	}
}

// escape reads what follows a backslash.
func (l *lexer) escape(b []byte, start int) []byte {
	if l.pos >= len(l.src) {
		return b // the caller finds the end
	}
	c := l.src[l.pos]
	switch e, ok := escapes[c]; {
	case ok:
		l.pos++
		return append(b, e)
	case c == '\n' || c == '\r':
		l.newline()
		return append(b, '\n')
	case !isDigit(c):
		l.pos++
		return append(b, c)
	}
	n := 0
	for i := 0; i < 3 && l.pos < len(l.src) && isDigit(l.src[l.pos]); i++ {
		n = 10*n + int(l.src[l.pos]-'0')
		l.pos++
	}
	if n > 255 {
		l.fail(l.src[start:l.pos], "escape sequence too large")
	}
	return append(b, byte(n))
}

func (l *lexer) operator() string {
	for _, op := range [...]string{"...", "..", "==", "~=", "<=", ">="} {
		if strings.HasPrefix(l.src[l.pos:], op) {
			l.pos += len(op)
			return op
		}
	}
	l.pos++
	return l.src[l.pos-1 : l.pos]
}
