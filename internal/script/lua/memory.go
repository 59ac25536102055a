package lua

import "unsafe"

// Strings up to this length are not told apart when memory is measured.
const smallString = 64

// minCharge is how much is allocated at least between two measurements.
const minCharge = 1 << 20

// charge notes an allocation. Before it becomes too much, what is really in use is
// measured; if that is too much, the run ends.
func (s *State) charge(n int) {
	s.charged += n
	if s.charged > s.limit && s.limit > 0 {
		s.overcharged(n)
	}
}

func (s *State) overcharged(n int) {
	if n < s.MemoryLimit {
		s.used = s.measure()
		s.steps -= s.used / 64
		s.charged = n
		s.limit = max(s.MemoryLimit-s.used, 0)
		if s.used+n <= s.MemoryLimit {
			s.limit = max(s.limit, min(minCharge, s.MemoryLimit/8))
			return
		}
	}
	s.limit = s.MemoryLimit
	s.charged = 0
	s.Abort(String("not enough memory"))
}

// Memory is about how many bytes are in use.
func (s *State) Memory() int { return s.used + s.charged }

// meter sums up what is reachable.
type meter struct {
	epoch uint32
	bytes int
	work  []any // seen, and not looked into
	big   map[*byte]bool
	seen  map[any]bool // cells and closures
}

func (s *State) measure() int {
	s.epoch++
	m := &meter{epoch: s.epoch, big: map[*byte]bool{}, seen: map[any]bool{}}
	m.table(s.Globals)
	for _, t := range s.Roots {
		m.table(t)
	}
	for t := s.cur; t != nil; t = t.outer {
		m.thread(t)
	}
	m.thread(s.main)
	for len(m.work) > 0 {
		o := m.work[len(m.work)-1]
		m.work = m.work[:len(m.work)-1]
		m.inside(o)
	}
	return m.bytes
}

func (m *meter) table(t *Table) {
	if t != nil && t.seen != m.epoch {
		t.seen = m.epoch
		m.work = append(m.work, t)
	}
}

func (m *meter) thread(t *thread) {
	if t.seen != m.epoch {
		t.seen = m.epoch
		m.work = append(m.work, t)
	}
}

func (m *meter) once(o any) {
	if !m.seen[o] {
		m.seen[o] = true
		m.work = append(m.work, o)
	}
}

// inside adds an object and what it refers to.
func (m *meter) inside(o any) {
	switch o := o.(type) {
	case *Table:
		m.bytes += tableBytes + cap(o.list)*slotBytes + cap(o.nodes)*nodeBytes
		for _, v := range o.list {
			m.value(v)
		}
		for i := range o.nodes {
			m.value(o.nodes[i].key)
			m.value(o.nodes[i].value)
		}
		m.table(o.meta)
	case *thread:
		m.bytes += len(o.stack) * slotBytes
		for _, v := range o.stack[:min(max(o.free(), o.top), len(o.stack))] {
			m.value(v)
		}
		for f := o.frame; f != nil && f.cl != nil; f = f.prev {
			m.once(f.cl)
			for _, v := range f.varargs {
				m.value(v)
			}
		}
		m.value(o.fn)
	case *closure:
		m.bytes += 64 + 8*len(o.up)
		m.table(o.env)
		for _, c := range o.up {
			m.once(c)
		}
	case *cell:
		m.bytes += slotBytes + 8
		m.value(o.v)
	}
}

func (m *meter) value(v Value) {
	switch o := v.o.(type) {
	case string:
		if len(o) > smallString {
			p := unsafe.StringData(o)
			if m.big[p] {
				return
			}
			m.big[p] = true
		}
		m.bytes += len(o) + 16
	case *Table:
		m.table(o)
	case *closure:
		m.once(o)
	case *cell:
		m.once(o)
	case *thread:
		m.thread(o)
	case *proxy:
		m.table(o.meta)
	}
}
