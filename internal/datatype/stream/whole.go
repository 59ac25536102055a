package stream

import (
	"coterie/internal/command"
	"coterie/internal/rdb"
)

func exportID(a id) rdb.ID { return rdb.ID{Ms: a.ms, Seq: a.seq} }
func importID(a rdb.ID) id { return id{a.Ms, a.Seq} }

// Export is the stream under a key, which holds one. It is false when that comes
// to more than max bytes.
func Export(c *command.Ctx, key []byte, max int) (x *rdb.StreamValue, ok bool) {
	s, ok := open(c, key)
	if !ok || !s.exists() {
		return nil, false
	}
	x = &rdb.StreamValue{Last: exportID(s.last), MaxDeleted: exportID(s.maxDeleted), Added: s.added}
	s.scan(0, s.len(), func(at id, entry []byte) bool {
		max -= len(entry) + idLen
		x.Entries = append(x.Entries, rdb.Entry{ID: exportID(at), Fields: readFields(entry)})
		return max >= 0
	})
	s.eachGroup(func(g *group) bool {
		max -= len(g.name) + int(min(g.pending.Len(), 1<<32))*exportedPending
		if max >= 0 {
			x.Groups = append(x.Groups, g.export())
		}
		return max >= 0
	})
	return x, max >= 0
}

// exportedPending is what a pending entry takes in a payload: it is named twice.
const exportedPending = 2*idLen + 8 + 1

func readFields(entry []byte) (fields [][]byte) {
	r := reader{entry}
	n := 2 * r.uint()
	for range n {
		fields = append(fields, r.bytes(r.uint()))
	}
	return fields
}

func (g *group) export() rdb.Group {
	x := rdb.Group{Name: g.name, Last: exportID(g.last), Read: g.read}
	places := map[uint64]int{}
	g.eachConsumer(func(c *consumer) bool {
		places[c.number] = len(x.Consumers)
		x.Consumers = append(x.Consumers, rdb.Consumer{Name: c.name, Seen: c.seen, Active: c.active})
		return true
	})
	g.eachPending(id{}, maxID, func(at id, p pending) bool {
		x.Pending = append(x.Pending, rdb.Pending{ID: exportID(at), Owner: places[p.owner], At: p.at, Deliveries: p.deliveries})
		return true
	})
	return x
}

// Make stores a stream under a key that there is not. It tells nobody.
func Make(c *command.Ctx, key []byte, x *rdb.StreamValue) {
	s := &value{c: c, key: key, slot: c.Slot(key)}
	s.make()
	for _, e := range x.Entries {
		s.add(importID(e.ID), e.Fields)
	}
	s.last, s.maxDeleted, s.added = importID(x.Last), importID(x.MaxDeleted), x.Added
	for _, g := range x.Groups {
		s.addExported(g)
	}
	s.store()
}

func (s *value) addExported(x rdb.Group) {
	read := x.Read
	if x.Guess {
		if n, known := s.reach(importID(x.Last)); known {
			read = n
		}
	}
	s.addGroup(x.Name, importID(x.Last), read)
	g := s.group(x.Name)
	for _, c := range x.Consumers {
		g.made++
		g.numbers.Put(c.Name, numberKey(g.made))
		g.saveConsumer(&consumer{number: g.made, name: c.Name, seen: c.Seen, active: c.Active})
	}
	for _, p := range x.Pending {
		g.put(importID(p.ID), pending{owner: uint64(p.Owner) + 1, at: p.At, deliveries: p.Deliveries}, 0)
	}
	g.save()
}
