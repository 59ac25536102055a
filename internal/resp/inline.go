package resp

import "bytes"

// inline reads a command that is a line of words, as a person types it.
func (p *Parser) inline(buf []byte, dst [][]byte) (args [][]byte, n int, err error) {
	end := bytes.IndexByte(buf[p.scanned:], '\n')
	if end < 0 {
		p.scanned = len(buf)
		if len(buf) > p.limits.MaxInline {
			return dst, 0, errInlineSize
		}
		return dst, 0, nil
	}
	end += p.scanned
	p.scanned = 0
	if end > p.limits.MaxInline {
		return dst, 0, errInlineSize
	}
	line := buf[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	args, ok := SplitWords(line, dst)
	switch {
	case !ok:
		return dst, 0, errQuotes
	case len(args) > p.limits.MaxArgs:
		return dst, 0, errMultibulkLength
	}
	return args, end + 1, nil
}

// SplitWords divides a line into words as Redis does. "…" understands \n \r
// \t \b \a, \xhh and a backslash before any other character; '…' understands
// only \'. Quotes may begin inside a word, but a closing one ends it. The
// words are appended to dst and written over the line's own bytes: none is
// longer than its source. ok is false when the quotes are not balanced.
func SplitWords(line []byte, dst [][]byte) (args [][]byte, ok bool) {
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return dst, true
		}
		word, next, ok := splitWord(line, i)
		if !ok {
			return dst, false
		}
		dst = append(dst, word)
		i = next
	}
}

// splitWord reads the word at i and returns it with the offset behind it.
func splitWord(line []byte, i int) (word []byte, next int, ok bool) {
	start, out := i, i
	for i < len(line) {
		switch c := line[i]; c {
		case ' ', '\n', '\r', '\t':
			return line[start:out:out], i + 1, true
		case '"', '\'':
			out, i = unquote(line, out, i)
			// What closes a word is followed by a blank or by nothing.
			if i < 0 || i < len(line) && !isSpace(line[i]) {
				return nil, 0, false
			}
			return line[start:out:out], i, true
		default:
			line[out] = c
			out++
			i++
		}
	}
	return line[start:out:out], i, true
}

// unquote writes the quoted text that begins at i to line[out:], and returns
// the ends of both; next is -1 when the quote is never closed.
func unquote(line []byte, out, i int) (end, next int) {
	quote := line[i]
	for i++; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			return out, i + 1
		case c == '\\' && quote == '\'':
			if i+1 < len(line) && line[i+1] == '\'' {
				c = '\''
				i++
			}
		case c == '\\':
			if i+3 < len(line) && line[i+1] == 'x' && isHex(line[i+2]) && isHex(line[i+3]) {
				c = hexValue(line[i+2])<<4 | hexValue(line[i+3])
				i += 3
			} else if i+1 < len(line) {
				i++
				c = unescape(line[i])
			}
		}
		line[out] = c
		out++
	}
	return out, -1
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
