package keyspace

import "coterie/internal/base"

// Limited are the limits of namespaces as a process knows them.
type Limited struct {
	Now     *NamespaceLimits // nil while no namespace has one
	changes uint64
}

// Follow takes the limits as they have become.
func (l *Limited) Follow(limits NamespaceLimits) {
	switch {
	case !limits.Any():
		l.Now = nil
	case l.Now == nil || *l.Now != limits:
		l.Now = &limits
	default:
		return
	}
	l.changes++
}

// Caches are a leader's, by namespace; nil where there is no limit.
type Caches [Namespaces]*Cache

// LedCaches are the caches of one leadership.
type LedCaches struct {
	caches Caches
	asOf   uint64 // of the limits' changes
}

// Follow returns them as of limits, of which there is at least one.
func (m *LedCaches) Follow(l *Limited, span base.Span, nowMs int64) *Caches {
	if m.asOf != l.changes {
		m.asOf = l.changes
		for db, limit := range l.Now {
			switch c := m.caches[db]; {
			case limit.Bytes == 0:
				m.caches[db] = nil
			case c == nil:
				m.caches[db] = NewCache(limit, span, nowMs)
			default:
				c.Follow(limit, span)
			}
		}
	}
	return &m.caches
}

// Forget forgets what the caches know of keys, after a flush.
func (m *LedCaches) Forget() {
	for _, c := range m.caches {
		if c != nil {
			c.Forget()
		}
	}
}

// Dirty says that counters were written by others than commands.
func (cs *Caches) Dirty() {
	for _, c := range cs {
		if c != nil {
			c.Dirty()
		}
	}
}

// TakeEvicted is how many keys were evicted since it was asked last.
func (cs *Caches) TakeEvicted() (n uint64) {
	for _, c := range cs {
		if c != nil {
			n += c.TakeEvicted()
		}
	}
	return n
}
