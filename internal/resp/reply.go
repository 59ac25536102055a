package resp

import (
	"bytes"
	"math"
	"strconv"
)

const (
	errReply      ProtocolError = "Protocol error: broken reply"
	errReplyKind  ProtocolError = "Protocol error: reply of unknown type"
	errReplyDepth ProtocolError = "Protocol error: reply nested too deeply"
)

const (
	// maxElements is the most a reply's aggregate may declare.
	maxElements = 1<<32 - 1
	// maxDepth is how deeply ParseReply lets aggregates nest.
	maxDepth = 128
)

// SkipReply finds the length of the complete reply that buf begins with, with
// everything nested in it and the attributes before it. n == 0 without an
// error means that it has not come completely. It allocates nothing, and
// looks at no byte of a string whose length is known.
func SkipReply(buf []byte) (n int, err error) {
	pos := 0
	for left := int64(1); left > 0; left-- {
		kind, number, next, err := replyLine(buf, pos)
		if err != nil || next == 0 {
			return 0, err
		}
		pos = next
		switch kind {
		case '$', '=', '!':
			if number < 0 {
				continue
			}
			if number > int64(len(buf)-pos)-2 {
				return 0, nil
			}
			pos += int(number) + 2
			if buf[pos-2] != '\r' || buf[pos-1] != '\n' {
				return 0, errReply
			}
		case '*', '~', '>':
			left += max(number, 0)
		case '%':
			left += 2 * number
		case '|': // the value that it describes follows
			left += 2*number + 1
		}
	}
	return pos, nil
}

// replyLine reads the line at pos, and the number in it where its kind has
// one. next is the offset behind it, 0 when it has not come completely.
func replyLine(buf []byte, pos int) (kind byte, number int64, next int, err error) {
	line := buf[pos:]
	if len(line) < 3 {
		return 0, 0, 0, nil
	}
	kind = line[0]
	end := bytes.IndexByte(line, '\r')
	switch {
	case end < 0 || end == len(line)-1:
		return 0, 0, 0, nil
	case line[end+1] != '\n' || end == 0:
		return 0, 0, 0, errReply
	}
	text, ok := line[1:end], true
	switch kind {
	case '+', '-', '(', ',':
	case ':':
		number, ok = parseReplyInt(text)
	case '_':
		ok = len(text) == 0
	case '#':
		ok = len(text) == 1 && (text[0] == 't' || text[0] == 'f')
	case '$', '*':
		number, ok = parseInt(text)
		ok = ok && number >= -1 && (kind == '$' || number <= maxElements)
	case '=', '!', '~', '>', '%', '|':
		number, ok = parseInt(text)
		ok = ok && number >= 0 && (kind == '=' || kind == '!' || number <= maxElements)
	default:
		return 0, 0, 0, errReplyKind
	}
	if !ok {
		return 0, 0, 0, errReply
	}
	return kind, number, pos + end + 2, nil
}

// parseReplyInt also takes the plus sign that the protocol allows.
func parseReplyInt(text []byte) (int64, bool) {
	if len(text) > 1 && text[0] == '+' && text[1] != '-' {
		text = text[1:]
	}
	return parseInt(text)
}

// Value is a reply, taken apart. Kind is its type byte on the wire:
//
//	'+' simple string, '-' error     Str
//	'$' bulk string, '!' bulk error  Str
//	'=' verbatim string              Str, with the format in front: "txt:…"
//	'(' big number                   Str
//	':' integer                      Int
//	'#' boolean                      Int, 1 or 0
//	',' double                       Float, and Str as it was sent
//	'_' null                         Null
//	'*' array, '~' set, '>' push     Elems
//	'%' map                          Elems, each key before its value
//
// Version 2 spells null as a '$' or '*' without content: Null is set then too.
type Value struct {
	Kind  byte
	Null  bool
	Int   int64
	Float float64
	Str   []byte
	Elems []Value
}

// ReplyError is a server's answer of kind '-' or '!', as an error.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// Err is the reply as a ReplyError when it is one, and nil otherwise.
func (v Value) Err() error {
	if v.Kind == '-' || v.Kind == '!' {
		return ReplyError(v.Str)
	}
	return nil
}

// Text is the string of the reply; a verbatim string's is without its format.
func (v Value) Text() string {
	if v.Kind == '=' && len(v.Str) >= 4 && v.Str[3] == ':' {
		return string(v.Str[4:])
	}
	return string(v.Str)
}

// ParseReply reads the reply that buf begins with; n == 0 without an error
// means that it has not come completely, and costs no memory. Attributes are
// left out. The strings alias buf.
func ParseReply(buf []byte) (v Value, n int, err error) {
	if n, err = SkipReply(buf); n == 0 || err != nil {
		return Value{}, 0, err
	}
	// From here on everything declared is known to be there, so that room
	// for it can be made at once.
	v, _, err = parseValue(buf, 0, 0)
	if err != nil {
		return Value{}, 0, err
	}
	return v, n, nil
}

func parseValue(buf []byte, pos, depth int) (v Value, next int, err error) {
	if depth > maxDepth {
		return Value{}, 0, errReplyDepth
	}
	kind, number, next, err := replyLine(buf, pos)
	if err != nil {
		return Value{}, 0, err
	}
	v.Kind = kind
	text := buf[pos+1 : next-2 : next-2]
	switch kind {
	case '+', '-', '(':
		v.Str = text
	case ',':
		v.Str = text
		v.Float, err = parseDouble(text)
		return v, next, err
	case ':':
		v.Int = number
	case '#':
		if text[0] == 't' {
			v.Int = 1
		}
	case '_':
		v.Null = true
	case '$', '=', '!':
		if number < 0 {
			v.Null = true
			break
		}
		end := next + int(number)
		v.Str, next = buf[next:end:end], end+2
	case '*', '~', '>':
		v.Null = number < 0
		v.Elems, next, err = parseElems(buf, next, number, depth)
	case '%':
		v.Elems, next, err = parseElems(buf, next, 2*number, depth)
	case '|':
		for range 2 * number {
			n, err := SkipReply(buf[next:])
			if err != nil {
				return Value{}, 0, err
			}
			next += n
		}
		return parseValue(buf, next, depth+1)
	}
	return v, next, err
}

func parseElems(buf []byte, pos int, n int64, depth int) (elems []Value, next int, err error) {
	if n <= 0 {
		return nil, pos, nil
	}
	elems = make([]Value, n)
	for i := range elems {
		if elems[i], pos, err = parseValue(buf, pos, depth+1); err != nil {
			return nil, 0, err
		}
	}
	return elems, pos, nil
}

func parseDouble(text []byte) (float64, error) {
	switch string(text) {
	case "inf":
		return math.Inf(1), nil
	case "-inf":
		return math.Inf(-1), nil
	case "nan", "-nan":
		return math.NaN(), nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, errReply
	}
	return f, nil
}
