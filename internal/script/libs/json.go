package libs

import (
	"math"
	"strconv"
	"strings"

	"coterie/internal/script/lua"
)

// jsonConfig is what scripts may set.
type jsonConfig struct {
	sparseConvert              bool
	sparseRatio, sparseSafe    int
	encodeDepth, decodeDepth   int
	precision                  int
	encodeInvalid, invalidNull bool
	decodeInvalid              bool
	keepBuffer                 bool
}

var defaultJSON = jsonConfig{sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000, precision: 14, decodeInvalid: true, keepBuffer: true}

func openJSON(s *lua.State, l *Libraries) {
	s.Globals.SetString("cjson", lua.FromTable(newJSON(s, l)))
}

func newJSON(s *lua.State, l *Libraries) *lua.Table {
	t := lua.NewTable(0)
	integer := func(field func(*jsonConfig) *int, low, high int) lua.Function {
		return func(c *lua.Call) {
			atMost(c, 1)
			p := field(&l.json)
			setInteger(c, 1, p, low, high)
			c.Push(lua.Number(float64(*p)))
		}
	}
	flag := func(field func(*jsonConfig) *bool) lua.Function {
		return func(c *lua.Call) {
			atMost(c, 1)
			p := field(&l.json)
			setFlag(c, 1, p)
			c.Push(lua.Bool(*p))
		}
	}
	s.Register(t, map[string]lua.Function{
		"encode":                  l.encode,
		"decode":                  l.decode,
		"new":                     func(c *lua.Call) { c.Charge(2048); c.Push(lua.FromTable(newJSON(s, l))) },
		"encode_max_depth":        integer(func(j *jsonConfig) *int { return &j.encodeDepth }, 1, math.MaxInt32),
		"decode_max_depth":        integer(func(j *jsonConfig) *int { return &j.decodeDepth }, 1, math.MaxInt32),
		"encode_number_precision": integer(func(j *jsonConfig) *int { return &j.precision }, 1, 14),
		"encode_keep_buffer":      flag(func(j *jsonConfig) *bool { return &j.keepBuffer }),
		"decode_invalid_numbers":  flag(func(j *jsonConfig) *bool { return &j.decodeInvalid }),
		"encode_invalid_numbers":  l.encodeInvalidNumbers,
		"encode_sparse_array":     l.encodeSparseArray,
	})
	t.SetString("null", l.Null)
	t.SetString("_NAME", lua.String("cjson"))
	t.SetString("_VERSION", lua.String("2.1.0"))
	return t
}

func atMost(c *lua.Call, n int) {
	if c.N() > n {
		c.BadArgument(n+1, "found too many arguments")
	}
}

func setInteger(c *lua.Call, i int, p *int, low, high int) {
	if c.Arg(i).IsNil() {
		return
	}
	n := c.CheckInt(i)
	if n < low || n > high {
		c.BadArgument(1, "expected integer between "+strconv.Itoa(low)+" and "+strconv.Itoa(high))
	}
	*p = n
}

func setFlag(c *lua.Call, i int, p *bool) {
	if c.Arg(i).IsNil() {
		return
	}
	if b, ok := c.Arg(i).Bool(); ok {
		*p = b
		return
	}
	switch c.CheckString(i) {
	case "on":
		*p = true
	case "off":
		*p = false
	default:
		c.BadArgument(i, "invalid option '"+c.CheckString(i)+"'")
	}
}

func (l *Libraries) encodeInvalidNumbers(c *lua.Call) {
	atMost(c, 1)
	if s, _ := c.Arg(1).Str(); s == "null" {
		l.json.encodeInvalid, l.json.invalidNull = true, true
	} else if !c.Arg(1).IsNil() {
		setFlag(c, 1, &l.json.encodeInvalid)
		l.json.invalidNull = false
	}
	if l.json.invalidNull {
		c.Push(lua.String("null"))
		return
	}
	c.Push(lua.Bool(l.json.encodeInvalid))
}

func (l *Libraries) encodeSparseArray(c *lua.Call) {
	atMost(c, 3)
	setFlag(c, 1, &l.json.sparseConvert)
	setInteger(c, 2, &l.json.sparseRatio, 0, math.MaxInt32)
	setInteger(c, 3, &l.json.sparseSafe, 0, math.MaxInt32)
	c.Push(lua.Bool(l.json.sparseConvert))
	c.Push(lua.Number(float64(l.json.sparseRatio)))
	c.Push(lua.Number(float64(l.json.sparseSafe)))
}

// maxEncodeDepth bounds recursion whatever a script sets.
const maxEncodeDepth = 5000

func (l *Libraries) encode(c *lua.Call) {
	if c.N() != 1 {
		c.BadArgument(1, "expected 1 argument")
	}
	e := &encoder{c: c, cfg: &l.json, null: l.Null}
	e.value(c.Arg(1), 0)
	c.PushBytes(e.b)
}

type encoder struct {
	c    *lua.Call
	cfg  *jsonConfig
	null lua.Value
	b    []byte
}

func (e *encoder) value(v lua.Value, depth int) {
	before := cap(e.b)
	e.c.Step(1)
	if s, ok := v.Str(); ok {
		e.text(s)
	} else if n, ok := v.Num(); ok {
		e.number(n)
	} else if b, ok := v.Bool(); ok {
		e.b = strconv.AppendBool(e.b, b)
	} else if t, ok := v.Table(); ok {
		if depth++; depth > e.cfg.encodeDepth || depth > maxEncodeDepth {
			e.c.Fail("Cannot serialise, excessive nesting (%d)", depth)
		}
		e.table(t, depth)
	} else if v.IsNil() || v == e.null {
		e.b = append(e.b, "null"...)
	} else {
		e.c.Fail("Cannot serialise %s: %s", v.Type(), "type not supported")
	}
	if grown := cap(e.b) - before; grown > 0 {
		e.c.Charge(grown)
	}
}

func (e *encoder) number(n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		switch {
		case e.cfg.invalidNull:
			e.b = append(e.b, "null"...)
			return
		case !e.cfg.encodeInvalid:
			e.c.Fail("Cannot serialise %s: %s", "number", "must not be NaN or Inf")
		}
	}
	e.b = lua.AppendGeneral(e.b, n, e.cfg.precision)
}

// list says whether a table is encoded as an array, and how long that is.
func (e *encoder) list(t *lua.Table) (n int, ok bool) {
	items, highest := 0, 0.0
	for k, _, _ := t.Next(lua.Nil); !k.IsNil(); k, _, _ = t.Next(k) {
		f, isNumber := k.Num()
		if !isNumber || f < 1 || f != math.Floor(f) {
			return 0, false
		}
		highest = max(highest, f)
		items++
	}
	e.c.Step(items)
	if e.cfg.sparseRatio > 0 && highest > float64(items)*float64(e.cfg.sparseRatio) && highest > float64(e.cfg.sparseSafe) {
		if !e.cfg.sparseConvert {
			e.c.Fail("Cannot serialise %s: %s", "table", "excessively sparse array")
		}
		return 0, false
	}
	if highest > 1<<26 {
		e.c.Fail("Cannot serialise %s: %s", "table", "excessively sparse array")
	}
	return int(highest), items > 0
}

func (e *encoder) table(t *lua.Table, depth int) {
	if n, ok := e.list(t); ok {
		e.b = append(e.b, '[')
		for i := 1; i <= n; i++ {
			if i > 1 {
				e.b = append(e.b, ',')
			}
			e.value(t.GetInt(i), depth)
		}
		e.b = append(e.b, ']')
		return
	}
	e.b = append(e.b, '{')
	first := true
	for k, v, _ := t.Next(lua.Nil); !k.IsNil(); k, v, _ = t.Next(k) {
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		if n, ok := k.Num(); ok {
			e.b = append(e.b, '"')
			e.number(n)
			e.b = append(e.b, '"')
		} else if s, ok := k.Str(); ok {
			e.text(s)
		} else {
			e.c.Fail("Cannot serialise %s: %s", k.Type(), "table key must be a number or string")
		}
		e.b = append(e.b, ':')
		e.value(v, depth)
	}
	e.b = append(e.b, '}')
}

func (e *encoder) text(s string) {
	const hex = "0123456789abcdef"
	e.c.Step(len(s) / 32)
	e.b = append(e.b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '/':
			e.b = append(e.b, '\\', c)
		case c == '\b':
			e.b = append(e.b, `\b`...)
		case c == '\t':
			e.b = append(e.b, `\t`...)
		case c == '\n':
			e.b = append(e.b, `\n`...)
		case c == '\f':
			e.b = append(e.b, `\f`...)
		case c == '\r':
			e.b = append(e.b, `\r`...)
		case c < ' ' || c == 127:
			e.b = append(e.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			e.b = append(e.b, c)
		}
	}
	e.b = append(e.b, '"')
}

func (l *Libraries) decode(c *lua.Call) {
	if c.N() != 1 {
		c.BadArgument(1, "expected 1 argument")
	}
	s := c.CheckString(1)
	if len(s) >= 2 && (s[0] == 0 || s[1] == 0) {
		c.Fail("JSON parser does not support UTF-16 or UTF-32")
	}
	d := &decoder{c: c, cfg: &l.json, null: l.Null, src: s}
	v := d.value(d.token())
	if t := d.token(); t.kind != jsonEnd {
		d.expected("the end", t)
	}
	c.Push(v)
}

type jsonKind string

// Names of tokens, as errors have them.
const (
	jsonObject    jsonKind = "T_OBJ_BEGIN"
	jsonObjectEnd jsonKind = "T_OBJ_END"
	jsonArray     jsonKind = "T_ARR_BEGIN"
	jsonArrayEnd  jsonKind = "T_ARR_END"
	jsonString    jsonKind = "T_STRING"
	jsonNumber    jsonKind = "T_NUMBER"
	jsonBoolean   jsonKind = "T_BOOLEAN"
	jsonNull      jsonKind = "T_NULL"
	jsonColon     jsonKind = "T_COLON"
	jsonComma     jsonKind = "T_COMMA"
	jsonEnd       jsonKind = "T_END"
)

type jsonToken struct {
	kind  jsonKind // or what is wrong
	wrong bool
	at    int
	value lua.Value
}

type decoder struct {
	c     *lua.Call
	cfg   *jsonConfig
	null  lua.Value
	src   string
	pos   int
	depth int
}

func (d *decoder) expected(what string, t jsonToken) {
	d.c.Fail("Expected %s but found %s at character %d", what, string(t.kind), t.at+1)
}

func (d *decoder) token() jsonToken {
	for d.pos < len(d.src) && strings.IndexByte(" \t\n\r", d.src[d.pos]) >= 0 {
		d.pos++
	}
	d.c.Step(1)
	t := jsonToken{at: d.pos}
	if d.pos >= len(d.src) {
		t.kind = jsonEnd
		return t
	}
	c := d.src[d.pos]
	for _, p := range [...]struct {
		c byte
		k jsonKind
	}{{'{', jsonObject}, {'}', jsonObjectEnd}, {'[', jsonArray}, {']', jsonArrayEnd}, {':', jsonColon}, {',', jsonComma}} {
		if c == p.c {
			d.pos++
			t.kind = p.k
			return t
		}
	}
	rest := d.src[d.pos:]
	switch {
	case c == '"':
		return d.quoted(t)
	case c >= '0' && c <= '9' || c == '-' || c == '+':
		return d.number(t)
	case strings.HasPrefix(rest, "true"), strings.HasPrefix(rest, "false"):
		t.kind, t.value = jsonBoolean, lua.Bool(c == 't')
		d.pos += len("false")
		if c == 't' {
			d.pos--
		}
		return t
	case strings.HasPrefix(rest, "null"):
		t.kind, t.value = jsonNull, d.null
		d.pos += len("null")
		return t
	case d.cfg.decodeInvalid && (c|0x20 == 'i' || c|0x20 == 'n'):
		return d.number(t)
	}
	t.kind, t.wrong = "invalid token", true
	return t
}

// number reads what C's strtod takes. A leading zero must stand alone, unless
// invalid numbers are allowed.
func (d *decoder) number(t jsonToken) jsonToken {
	end := d.pos
	for end < len(d.src) {
		c := d.src[end]
		sign := c == '-' || c == '+'
		if sign && end > d.pos && d.src[end-1]|0x20 != 'e' && d.src[end-1]|0x20 != 'p' {
			break
		}
		if !sign && c != '.' && !('0' <= c && c <= '9') && !('a' <= c|0x20 && c|0x20 <= 'z') {
			break
		}
		end++
	}
	text := d.src[d.pos:end]
	if !d.cfg.decodeInvalid {
		digits := strings.TrimPrefix(text, "-")
		if digits == "" || digits[0] < '0' || digits[0] > '9' || len(digits) > 1 && digits[0] == '0' && digits[1] != '.' && digits[1]|0x20 != 'e' {
			t.kind, t.wrong = "invalid number", true
			return t
		}
	}
	for n := len(text); n > 0; n-- { // strtod takes as much as it can
		if v, ok := lua.ParseNumber(text[:n]); ok && text[0] != ' ' {
			t.kind, t.value = jsonNumber, lua.Number(v)
			d.pos += n
			return t
		}
		d.c.Step(n / 8)
	}
	t.kind, t.wrong = "invalid number", true
	if c := t.at; d.src[c]|0x20 == 'i' || d.src[c]|0x20 == 'n' {
		t.kind = "invalid token"
	}
	return t
}

func (d *decoder) quoted(t jsonToken) jsonToken {
	d.pos++
	end := strings.IndexByte(d.src[d.pos:], '"')
	if end >= 0 && strings.IndexByte(d.src[d.pos:d.pos+end], '\\') < 0 {
		d.c.Charge(16)
		d.c.Step(end / 32)
		t.kind, t.value = jsonString, lua.String(d.src[d.pos:d.pos+end])
		d.pos += end + 1
		return t
	}
	var b []byte
	wrong := func(what jsonKind) jsonToken {
		t.kind, t.wrong, t.at = what, true, d.pos
		return t
	}
	for {
		if d.pos >= len(d.src) {
			return wrong("unexpected end of string")
		}
		c := d.src[d.pos]
		if c == '"' {
			break
		}
		if c != '\\' {
			b = append(b, c)
			d.pos++
			continue
		}
		if d.pos+1 >= len(d.src) {
			return wrong("invalid escape code")
		}
		c = d.src[d.pos+1]
		if c == 'u' {
			r, n := d.unicode()
			if n == 0 {
				return wrong("invalid unicode escape code")
			}
			b = appendRune(b, r)
			d.pos += n
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			return wrong("invalid escape code")
		}
		b = append(b, "\"\\/\b\f\n\r\t"[i])
		d.pos += 2
	}
	d.pos++
	d.c.Charge(len(b) + 16)
	d.c.Step(len(b) / 16)
	t.kind, t.value = jsonString, lua.String(string(b))
	return t
}

// unicode reads \uXXXX, twice for a pair of surrogates. n is its length, 0 if it is
// none.
func (d *decoder) unicode() (r uint32, n int) {
	four := func(at int) (uint32, bool) {
		if at+6 > len(d.src) || d.src[at] != '\\' || d.src[at+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(d.src[at+2:at+6], 16, 32)
		return uint32(v), err == nil
	}
	r, ok := four(d.pos)
	if !ok {
		return 0, 0
	}
	if r&0xf800 != 0xd800 {
		return r, 6
	}
	if r&0x400 != 0 {
		return 0, 0
	}
	low, ok := four(d.pos + 6)
	if !ok || low&0xfc00 != 0xdc00 {
		return 0, 0
	}
	return 0x10000 + (r&0x3ff)<<10 + low&0x3ff, 12
}

func appendRune(b []byte, r uint32) []byte {
	switch {
	case r < 0x80:
		return append(b, byte(r))
	case r < 0x800:
		return append(b, 0xc0|byte(r>>6), 0x80|byte(r&0x3f))
	case r < 0x10000:
		return append(b, 0xe0|byte(r>>12), 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
	}
	return append(b, 0xf0|byte(r>>18), 0x80|byte(r>>12&0x3f), 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
}

func (d *decoder) descend() {
	if d.depth++; d.depth > d.cfg.decodeDepth || d.depth > maxEncodeDepth {
		d.c.Fail("Found too many nested data structures (%d) at character %d", d.depth, d.pos)
	}
	d.c.Charge(96)
}

func (d *decoder) value(t jsonToken) lua.Value {
	switch {
	case t.wrong:
		d.expected("value", t)
	case t.kind == jsonObject:
		return d.object()
	case t.kind == jsonArray:
		return d.array()
	case t.kind == jsonString || t.kind == jsonNumber || t.kind == jsonBoolean || t.kind == jsonNull:
		return t.value
	}
	d.expected("value", t)
	return lua.Nil
}

func (d *decoder) object() lua.Value {
	d.descend()
	defer func() { d.depth-- }()
	table := lua.NewTable(0)
	t := d.token()
	if t.kind == jsonObjectEnd {
		return lua.FromTable(table)
	}
	for {
		if t.kind != jsonString || t.wrong {
			d.expected("object key string", t)
		}
		key := t.value
		if t = d.token(); t.kind != jsonColon {
			d.expected("colon", t)
		}
		d.c.Charge(table.Set(key, d.value(d.token())))
		switch t = d.token(); t.kind {
		case jsonObjectEnd:
			return lua.FromTable(table)
		case jsonComma:
			t = d.token()
		default:
			d.expected("comma or object end", t)
		}
	}
}

func (d *decoder) array() lua.Value {
	d.descend()
	defer func() { d.depth-- }()
	table := lua.NewTable(0)
	t := d.token()
	if t.kind == jsonArrayEnd {
		return lua.FromTable(table)
	}
	for i := 1; ; i++ {
		d.c.Charge(table.Set(lua.Number(float64(i)), d.value(t)))
		switch t = d.token(); t.kind {
		case jsonArrayEnd:
			return lua.FromTable(table)
		case jsonComma:
			t = d.token()
		default:
			d.expected("comma or array end", t)
		}
	}
}
