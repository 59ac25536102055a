package lua

import "strings"

func openTable(s *State) {
	t := NewTable(0)
	s.Register(t, map[string]Function{
		"concat": tableConcat, "foreach": tableForeach, "foreachi": tableForeachi, "getn": tableGetn, "maxn": tableMaxn,
		"insert": tableInsert, "remove": tableRemove, "setn": tableSetn, "sort": tableSort,
	})
	s.Globals.SetString("table", FromTable(t))
}

func tableConcat(c *Call) {
	t := c.CheckTable(1)
	sep := ""
	if !c.Arg(2).IsNil() {
		sep = c.CheckString(2)
	}
	i, e := c.OptInt(3, 1), 0
	if c.Arg(4).IsNil() {
		e = t.Len()
	} else {
		e = c.CheckInt(4)
	}
	var b strings.Builder
	for first := i; i <= e; i++ {
		v := t.GetInt(i)
		text, ok := v.Text()
		if !ok {
			c.Fail("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		grow := b.Cap()
		if i > first {
			b.WriteString(sep)
		}
		b.WriteString(text)
		if b.Cap() > grow {
			c.charge(b.Cap() - grow)
		}
		c.Step(1 + (len(sep)+len(text))/64)
	}
	c.PushString(b.String())
}

func tableForeach(c *Call) {
	t, fn := c.CheckTable(1), c.CheckFunction(2)
	for k, v := c.nextOf(t, Nil); !k.IsNil(); k, v = c.nextOf(t, k) {
		if r := c.Call1(fn, k, v); !r.IsNil() {
			c.Push(r)
			return
		}
	}
}

func tableForeachi(c *Call) {
	t, fn := c.CheckTable(1), c.CheckFunction(2)
	n := t.Len()
	for i := 1; i <= n; i++ {
		if r := c.Call1(fn, Number(float64(i)), t.GetInt(i)); !r.IsNil() {
			c.Push(r)
			return
		}
	}
}

func tableGetn(c *Call) { c.Push(Number(float64(c.CheckTable(1).Len()))) }

func tableMaxn(c *Call) {
	t := c.CheckTable(1)
	c.Step(len(t.nodes) / 8)
	m := float64(t.Len())
	for _, n := range t.nodes {
		if k, ok := n.key.Num(); ok && k > m && !n.value.IsNil() {
			m = k
		}
	}
	c.Push(Number(m))
}

func tableSetn(c *Call) {
	c.CheckTable(1)
	c.Fail("'setn' is obsolete")
}

func tableInsert(c *Call) {
	t := c.CheckTable(1)
	e := t.Len() + 1
	switch c.N() {
	case 2:
		c.rawSet(t, Number(float64(e)), c.Arg(2))
	case 3:
		at := c.CheckInt(2)
		e = max(e, at)
		c.Step(max(e-at, 0) / 8)
		if v := c.Arg(3); at >= 1 && at < e && e == t.Len()+1 && !t.readonly && !v.IsNil() {
			t.Append(t.GetInt(e - 1))
			c.charge(slotBytes)
			copy(t.list[at:e-1], t.list[at-1:e-2])
			t.list[at-1] = v
			return
		}
		for i := e; i > at; i-- {
			c.rawSet(t, Number(float64(i)), t.GetInt(i-1))
		}
		c.rawSet(t, Number(float64(at)), c.Arg(3))
	default:
		c.Fail("wrong number of arguments to 'insert'")
	}
}

func tableRemove(c *Call) {
	t := c.CheckTable(1)
	e := t.Len()
	at := c.OptInt(2, e)
	if at < 1 || at > e {
		return
	}
	c.Push(t.GetInt(at))
	if t.readonly {
		c.fail("Attempt to modify a readonly table")
	}
	c.Step((e - at) / 8)
	copy(t.list[at-1:], t.list[at:])
	t.SetInt(e, Nil)
}

// tableSort sorts as Lua does: by comparisons that may be wrong, which then must do no
// harm.
func tableSort(c *Call) {
	t := c.CheckTable(1)
	n := t.Len()
	if !c.Arg(2).IsNil() {
		c.CheckFunction(2)
	}
	if t.readonly {
		c.fail("Attempt to modify a readonly table")
	}
	less := c.Arg(2)
	list := append([]Value(nil), t.list[:n]...)
	c.charge(2 * n * slotBytes)
	mergeSort(list, make([]Value, n), func(a, b Value) bool {
		c.Step(1)
		if less.IsNil() {
			return c.less(a, b)
		}
		return c.Call1(less, a, b).Truth()
	})
	for i, v := range list {
		t.SetInt(i+1, v)
	}
}

// mergeSort needs no promises by less.
func mergeSort(list, room []Value, less func(a, b Value) bool) {
	if len(list) < 2 {
		return
	}
	if len(list) <= 8 {
		for i := 1; i < len(list); i++ {
			for j := i; j > 0 && less(list[j], list[j-1]); j-- {
				list[j], list[j-1] = list[j-1], list[j]
			}
		}
		return
	}
	mid := len(list) / 2
	mergeSort(list[:mid], room[:mid], less)
	mergeSort(list[mid:], room[mid:], less)
	copy(room, list)
	a, b := room[:mid], room[mid:]
	for i := range list {
		switch {
		case len(b) == 0 || len(a) > 0 && !less(b[0], a[0]):
			list[i], a = a[0], a[1:]
		default:
			list[i], b = b[0], b[1:]
		}
	}
}
