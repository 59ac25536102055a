package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

const idLen = 16

func readID(p []byte) ID {
	return ID{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}
}

func (d *decoder) rawID() (a ID) {
	if p := d.take(idLen); p != nil {
		return readID(p)
	}
	return a
}

func (d *decoder) lengthID() ID { return ID{d.number(), d.number()} }

func (d *decoder) millis() int64 {
	p := d.take(8)
	if p == nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(p))
}

// stream reads a stream of any of its layouts.
func (d *decoder) stream(layout byte) *StreamValue {
	s := &StreamValue{}
	for range d.count(2) {
		key := d.string()
		if len(key) != idLen {
			d.fail()
			return nil
		}
		d.node(s, readID(key), d.string())
	}
	if size := d.number(); size != uint64(len(s.Entries)) {
		d.fail()
	}
	s.Last = d.lengthID()
	s.Added = uint64(len(s.Entries))
	if layout >= typeStream2 {
		_ = d.lengthID() // the first entry's
		s.MaxDeleted, s.Added = d.lengthID(), d.number()
	}
	if n := len(s.Entries); n > 0 && s.Last.Less(s.Entries[n-1].ID) || s.Added < uint64(n) || s.Last.Less(s.MaxDeleted) {
		d.fail()
	}
	names := map[string]bool{}
	for range d.count(5) {
		if d.bad {
			return nil
		}
		g := d.group(layout)
		if names[string(g.Name)] {
			d.fail()
		}
		names[string(g.Name)] = true
		s.Groups = append(s.Groups, g)
	}
	return s
}

// Flags of an entry in a stream's node.
const (
	entryDeleted    = 1
	entrySameFields = 2
)

// cells reads a listpack's items one after another.
type cells struct {
	d    *decoder
	list [][]byte
}

func (c *cells) next() []byte {
	if len(c.list) == 0 {
		c.d.fail()
		return nil
	}
	p := c.list[0]
	c.list = c.list[1:]
	return p
}

func (c *cells) int() int64 {
	n, err := strconv.ParseInt(string(c.next()), 10, 64)
	if err != nil {
		c.d.fail()
	}
	return n
}

// many reads some items. The caller may keep them.
func (c *cells) many(n int64) (list [][]byte) {
	if n < 0 || n > int64(len(c.list)) {
		c.d.fail()
		return nil
	}
	list = c.list[:n:n]
	c.list = c.list[n:]
	return list
}

// node reads a node: a listpack of entries, which are told apart from the first
// one that the node ever had.
func (d *decoder) node(s *StreamValue, master ID, p []byte) {
	c := &cells{d, d.listpack(nil, p)}
	count, deleted := c.int(), c.int()
	fields := c.many(c.int())
	if c.int() != 0 || count <= 0 {
		d.fail() // a node without entries is not kept
	}
	for !d.bad && len(c.list) > 0 {
		size := len(c.list)
		flags := c.int()
		at := ID{master.Ms + uint64(c.int()), master.Seq + uint64(c.int())}
		var e [][]byte
		if flags&entrySameFields != 0 {
			for i, v := range c.many(int64(len(fields))) {
				e = append(e, fields[i], v)
				d.spend(itemOverhead)
			}
		} else if n := c.int(); n >= 0 && n <= math.MaxInt32 {
			e = c.many(2 * n)
		} else {
			d.fail()
		}
		if c.int() != int64(size-len(c.list)-1) {
			d.fail()
		}
		if flags&entryDeleted != 0 {
			deleted--
			continue
		}
		count--
		if n := len(s.Entries); d.bad || len(e) == 0 || n > 0 && !s.Entries[n-1].ID.Less(at) || at.Less(master) {
			d.fail()
			return
		}
		s.Entries = append(s.Entries, Entry{at, e})
	}
	if count != 0 || deleted != 0 {
		d.fail()
	}
}

// group reads a group of consumers.
func (d *decoder) group(layout byte) (g Group) {
	g.Name, g.Last, g.Read = d.string(), d.lengthID(), Unknown
	g.Guess = layout == typeStream
	if layout >= typeStream2 {
		if g.Read = int64(d.number()); g.Read < Unknown {
			d.fail()
		}
	}
	place := map[ID]int{}
	for range d.count(idLen + 8 + 1) {
		p := Pending{ID: d.rawID(), Owner: -1, At: d.millis(), Deliveries: d.number()}
		if n := len(g.Pending); d.bad || n > 0 && !g.Pending[n-1].ID.Less(p.ID) {
			d.fail()
			return g
		}
		place[p.ID] = len(g.Pending)
		g.Pending = append(g.Pending, p)
	}
	owned, names := 0, map[string]bool{}
	for n := range d.count(1 + 8 + 1) {
		c := Consumer{Name: d.string(), Seen: d.millis()}
		if c.Active = c.Seen; layout >= typeStream3 {
			c.Active = d.millis()
		}
		if names[string(c.Name)] || c.Active < Unknown {
			d.fail()
		}
		names[string(c.Name)] = true
		g.Consumers = append(g.Consumers, c)
		for range d.count(idLen) {
			i, ok := place[d.rawID()]
			if d.bad || !ok || g.Pending[i].Owner >= 0 {
				d.fail()
				return g
			}
			g.Pending[i].Owner = n
			owned++
		}
	}
	if owned != len(g.Pending) {
		d.fail()
	}
	return g
}
