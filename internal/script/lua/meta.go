package lua

import (
	"strings"
)

// metatable is a value's metatable, or nil.
func (s *State) metatable(v Value) *Table {
	switch o := v.o.(type) {
	case *Table:
		return o.meta
	case *proxy:
		return o.meta
	case string:
		return s.strings
	}
	return nil
}

// metamethod is a value's handler of an event, or nil.
func (s *State) metamethod(v Value, event string) Value {
	if m := s.metatable(v); m != nil {
		return m.GetString(event)
	}
	return Nil
}

// maxMetaLoop bounds chains of __index and __newindex, as in Lua.
const maxMetaLoop = 100

// index is obj[key] with metamethods.
func (s *State) index(obj, key Value, n naming) Value {
	for range maxMetaLoop {
		var handler Value
		if t, ok := obj.o.(*Table); ok {
			if v := t.Get(key); !v.IsNil() || t.meta == nil {
				return v
			}
			if handler = t.meta.GetString("__index"); handler.IsNil() {
				return Nil
			}
		} else if handler = s.metamethod(obj, "__index"); handler.IsNil() {
			s.typeError("index", obj, n)
		}
		if handler.IsFunction() {
			return s.call(handler, obj, key)
		}
		obj, n = handler, naming{}
	}
	s.fail("loop in gettable")
	return Nil
}

// setIndex is obj[key] = v with metamethods.
func (s *State) setIndex(obj, key, v Value, n naming) {
	for range maxMetaLoop {
		var handler Value
		if t, ok := obj.o.(*Table); ok {
			if t.readonly {
				s.fail("Attempt to modify a readonly table")
			}
			if t.meta == nil || !t.Get(key).IsNil() {
				s.rawSet(t, key, v)
				return
			}
			if handler = t.meta.GetString("__newindex"); handler.IsNil() {
				s.rawSet(t, key, v)
				return
			}
		} else if handler = s.metamethod(obj, "__newindex"); handler.IsNil() {
			s.typeError("index", obj, n)
		}
		if handler.IsFunction() {
			s.call(handler, obj, key, v)
			return
		}
		obj, n = handler, naming{}
	}
	s.fail("loop in settable")
}

// rawSet stores into a table for a script.
func (s *State) rawSet(t *Table, key, v Value) {
	if t.readonly {
		s.fail("Attempt to modify a readonly table")
	}
	if key.IsNil() {
		s.fail("table index is nil")
	}
	if n, ok := key.Num(); ok && n != n {
		s.fail("table index is NaN")
	}
	s.charge(t.Set(key, v))
}

func (s *State) typeError(op string, v Value, n naming) {
	if n.kind != "" {
		s.fail("attempt to %s %s '%s' (a %s value)", op, n.kind, n.name, v.Type())
	}
	s.fail("attempt to %s a %s value", op, v.Type())
}

var events = map[opcode]string{
	opAdd: "__add", opSub: "__sub", opMul: "__mul", opDiv: "__div", opMod: "__mod", opPow: "__pow", opNeg: "__unm",
}

func (s *State) metaArithmetic(f *frame, op opcode, b, c Value) Value {
	handler := s.metamethod(b, events[op])
	if handler.IsNil() {
		handler = s.metamethod(c, events[op])
	}
	if handler.IsNil() {
		bad, j := b, 0
		if _, ok := b.ToNumber(); ok {
			bad, j = c, 1
		}
		s.typeError("perform arithmetic on", bad, f.operand(j))
	}
	return s.call(handler, b, c)
}

func (s *State) length(v Value, n naming) Value {
	switch o := v.o.(type) {
	case string:
		return Number(float64(len(o)))
	case *Table:
		return Number(float64(o.Len()))
	}
	if h := s.metamethod(v, "__len"); !h.IsNil() {
		return s.call(h, v)
	}
	s.typeError("get length of", v, n)
	return Nil
}

// concat joins n values from a slot on.
func (s *State) concat(t *thread, f *frame, at, n int) Value {
	values := t.stack[at : at+n]
	size := 0
	for _, v := range values {
		switch o := v.o.(type) {
		case string:
			size += len(o)
		case number:
			size += 8
		default:
			return s.concatMeta(f, append([]Value(nil), values...))
		}
	}
	s.charge(size + 16)
	s.Step(size / 64)
	var b strings.Builder
	b.Grow(size)
	for _, v := range values {
		text, _ := v.Text()
		b.WriteString(text)
	}
	return String(b.String())
}

// concatMeta joins values of which some are neither strings nor numbers, from the
// right.
func (s *State) concatMeta(f *frame, values []Value) Value {
	for n := len(values); n > 1; n-- {
		a, b := values[n-2], values[n-1]
		x, okA := a.Text()
		y, okB := b.Text()
		if okA && okB {
			s.charge(len(x) + len(y) + 16)
			s.look(len(x) + len(y))
			values[n-2] = String(x + y)
			continue
		}
		h := s.metamethod(a, "__concat")
		if h.IsNil() {
			h = s.metamethod(b, "__concat")
		}
		if h.IsNil() {
			bad, j := a, n-2
			if okA {
				bad, j = b, n-1
			}
			s.typeError("concatenate", bad, f.operand(j))
		}
		values[n-2] = s.call(h, a, b)
	}
	return values[0]
}

// compare compares values that are not both numbers.
func (s *State) compare(op opcode, a, b Value) bool {
	switch op {
	case opJumpEq:
		return s.equals(a, b)
	case opJumpNe:
		return !s.equals(a, b)
	case opJumpLt:
		return s.less(a, b)
	case opJumpNotLt:
		return !s.less(a, b)
	case opJumpLe:
		return s.lessEqual(a, b)
	}
	return !s.lessEqual(a, b)
}

func (s *State) equals(a, b Value) bool {
	if s.equal(a, b) {
		return true
	}
	switch x := a.o.(type) {
	case *Table:
		y, ok := b.o.(*Table)
		if !ok || x.meta == nil || y.meta == nil {
			return false
		}
	case *proxy:
		if _, ok := b.o.(*proxy); !ok {
			return false
		}
	default:
		return false
	}
	h := s.metamethod(a, "__eq")
	if h.IsNil() || !equal(h, s.metamethod(b, "__eq")) {
		return false
	}
	return s.call(h, a, b).Truth()
}

// equal is the function, with its steps counted.
func (s *State) equal(a, b Value) bool {
	if x, ok := a.o.(string); ok && len(x) >= longString {
		if y, ok := b.o.(string); ok && len(x) == len(y) {
			s.look(len(x))
		}
	}
	return equal(a, b)
}

func (s *State) less(a, b Value) bool {
	if x, ok := a.Num(); ok {
		if y, ok := b.Num(); ok {
			return x < y
		}
	}
	if x, ok := a.Str(); ok {
		if y, ok := b.Str(); ok {
			s.look(min(len(x), len(y)))
			return x < y
		}
	}
	if h, ok := s.comparison(a, b, "__lt"); ok {
		return s.call(h, a, b).Truth()
	}
	s.compareError(a, b)
	return false
}

func (s *State) lessEqual(a, b Value) bool {
	if x, ok := a.Num(); ok {
		if y, ok := b.Num(); ok {
			return x <= y
		}
	}
	if x, ok := a.Str(); ok {
		if y, ok := b.Str(); ok {
			s.look(min(len(x), len(y)))
			return x <= y
		}
	}
	if h, ok := s.comparison(a, b, "__le"); ok {
		return s.call(h, a, b).Truth()
	}
	if h, ok := s.comparison(b, a, "__lt"); ok {
		return !s.call(h, b, a).Truth()
	}
	s.compareError(a, b)
	return false
}

// comparison is the handler that two values of a type have in common.
func (s *State) comparison(a, b Value, event string) (Value, bool) {
	if a.Type() != b.Type() {
		return Nil, false
	}
	h := s.metamethod(a, event)
	return h, !h.IsNil() && equal(h, s.metamethod(b, event))
}

func (s *State) compareError(a, b Value) {
	if x, y := a.Type(), b.Type(); x == y {
		s.fail("attempt to compare two %s values", x)
	} else {
		s.fail("attempt to compare %s with %s", x, y)
	}
}

// toText is what tostring makes of a value.
func (s *State) toText(v Value) string {
	if h := s.metamethod(v, "__tostring"); !h.IsNil() {
		text, ok := s.call(h, v).Text()
		if !ok {
			s.fail("'tostring' must return a string to 'print'")
		}
		return text
	}
	return s.plainText(v)
}
