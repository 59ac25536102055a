package datatype_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/datatype/redistest"
)

// streamModel is a keyspace of streams as plain as it can be. It is asked for
// larger streams than what is compared with a real server.
type streamModel struct {
	now     int64
	streams map[string]*streamItem
}

type entryID struct{ ms, seq int64 }

func (a entryID) String() string { return fmt.Sprintf("%d-%d", a.ms, a.seq) }

func (a entryID) compare(b entryID) int {
	return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.seq, b.seq))
}

type streamItem struct {
	ids    []entryID
	values map[entryID]string
	last   entryID
	added  int
	groups map[string]*groupItem
}

type groupItem struct {
	last      entryID
	pending   map[entryID]pendingItem
	consumers map[string]bool
}

type pendingItem struct {
	owner      string
	at         int64
	deliveries int
}

// clone copies a stream with its groups.
func (s *streamItem) clone() *streamItem {
	c := *s
	c.ids, c.values, c.groups = slices.Clone(s.ids), maps.Clone(s.values), map[string]*groupItem{}
	for name, g := range s.groups {
		c.groups[name] = &groupItem{g.last, maps.Clone(g.pending), maps.Clone(g.consumers)}
	}
	return &c
}

// rank is the number of entries below an id.
func (s *streamItem) rank(id entryID) int {
	n, _ := slices.BinarySearchFunc(s.ids, id, entryID.compare)
	return n
}

func (s *streamItem) entry(id entryID) string {
	return "*2\r\n" + bulk(id.String()) + "*2\r\n" + bulk("f") + bulk(s.values[id])
}

func arrayOf(list []string) string { return fmt.Sprintf("*%d\r\n", len(list)) + strings.Join(list, "") }

// sorted is the ids of what is pending, from an id on, in their order.
func (g *groupItem) sorted(from entryID, owner string) (list []entryID) {
	for id, p := range g.pending {
		if id.compare(from) >= 0 && (owner == "" || p.owner == owner) {
			list = append(list, id)
		}
	}
	slices.SortFunc(list, entryID.compare)
	return list
}

func (m *streamModel) get(key string) *streamItem {
	s := m.streams[key]
	if s == nil {
		s = &streamItem{values: map[entryID]string{}, groups: map[string]*groupItem{}}
	}
	return s
}

func parseEntryID(text string) (id entryID) {
	ms, seq, _ := strings.Cut(text, "-")
	id.ms, _ = strconv.ParseInt(ms, 10, 64)
	id.seq, _ = strconv.ParseInt(seq, 10, 64)
	return id
}

func (m *streamModel) run(a []string) string {
	s := m.get(a[1])
	switch a[0] {
	case "xadd": // key * f value
		id := entryID{ms: m.now}
		if id.compare(s.last) <= 0 {
			id = entryID{s.last.ms, s.last.seq + 1}
		}
		s.ids, s.last, s.values[id] = append(s.ids, id), id, a[4]
		s.added++
		m.streams[a[1]] = s
		return bulk(id.String())
	case "xlen":
		return integer(len(s.ids))
	case "xtrim": // key MAXLEN|MINID =|~ threshold
		n := max(0, len(s.ids)-atoi(a[4]))
		if a[2] == "MINID" {
			n = s.rank(parseEntryID(a[4]))
		}
		if n = min(n, 10_000); a[3] == "~" && n < len(s.ids) {
			n -= min(n, (s.added-len(s.ids)+n)%100)
		}
		s.remove(0, n)
		return integer(n)
	case "xdel":
		n := 0
		for _, text := range a[2:] {
			id := parseEntryID(text)
			if i := s.rank(id); i < len(s.ids) && s.ids[i] == id {
				s.remove(i, i+1)
				n++
			}
		}
		return integer(n)
	case "xrange", "xrevrange": // key from to COUNT n
		from, to, count := parseEntryID(a[2]), parseEntryID(a[3]), atoi(a[5])
		if a[0] == "xrevrange" {
			from, to = to, from
		}
		to.seq++ // the one behind it
		var list []string
		for _, id := range s.ids[min(s.rank(from), s.rank(to)):s.rank(to)] {
			list = append(list, s.entry(id))
		}
		if a[0] == "xrevrange" {
			slices.Reverse(list)
		}
		return arrayOf(list[:min(count, len(list))])
	case "del":
		n := m.streams[a[1]] != nil
		delete(m.streams, a[1])
		return flag(n)
	case "copy":
		if m.streams[a[1]] == nil || a[1] == a[2] {
			return flag(false)
		}
		m.streams[a[2]] = s.clone()
		return flag(true)
	case "rename":
		if m.streams[a[1]] == nil {
			return "-ERR no such key\r\n"
		}
		delete(m.streams, a[1])
		m.streams[a[2]] = s
		return okay
	}
	return m.runGroup(a)
}

func (s *streamItem) remove(i, j int) {
	for _, id := range s.ids[i:j] {
		delete(s.values, id)
	}
	s.ids = slices.Delete(s.ids, i, j)
}

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// runGroup runs a command on a group that exists.
func (m *streamModel) runGroup(a []string) string {
	switch a[0] {
	case "xgroup":
		s := m.get(a[2])
		switch a[1] {
		case "create": // key group id MKSTREAM
			if s.groups[a[3]] != nil {
				return "-BUSYGROUP Consumer Group name already exists\r\n"
			}
			m.streams[a[2]] = s
			s.groups[a[3]] = &groupItem{parseEntryID(a[4]), map[entryID]pendingItem{}, map[string]bool{}}
			return okay
		case "destroy":
			had := s.groups[a[3]] != nil
			delete(s.groups, a[3])
			return flag(had)
		}
		g := s.groups[a[3]]
		if a[1] == "setid" {
			g.last = parseEntryID(a[4])
			return okay
		}
		list := g.sorted(entryID{}, a[4]) // delconsumer
		for _, id := range list {
			delete(g.pending, id)
		}
		delete(g.consumers, a[4])
		return integer(len(list))
	case "xreadgroup": // GROUP group consumer COUNT n STREAMS key id
		return m.readGroup(m.get(a[7]), a[7], m.get(a[7]).groups[a[2]], a[3], atoi(a[5]), a[8])
	}
	s := m.get(a[1])
	g := s.groups[a[2]]
	switch a[0] {
	case "xack":
		n := 0
		for _, text := range a[3:] {
			if _, ok := g.pending[parseEntryID(text)]; ok {
				delete(g.pending, parseEntryID(text))
				n++
			}
		}
		return integer(n)
	case "xpending": // key group IDLE ms from + count [consumer]
		var list []string
		for _, id := range g.sorted(parseEntryID(a[5]), strings.Join(a[8:], "")) {
			p := g.pending[id]
			if idle := m.now - p.at; idle >= int64(atoi(a[4])) && len(list) < atoi(a[7]) {
				list = append(list, "*4\r\n"+bulk(id.String())+bulk(p.owner)+integer(int(idle))+integer(p.deliveries))
			}
		}
		return arrayOf(list)
	case "xclaim": // key group consumer ms id … [FORCE]
		g.consumers[a[3]] = true
		var list []string
		force := a[len(a)-1] == "FORCE"
		for _, text := range a[5:] {
			id := parseEntryID(text)
			p, had := g.pending[id]
			if _, ok := s.values[id]; !ok {
				delete(g.pending, id)
			} else if had && m.now-p.at >= int64(atoi(a[4])) || force && !had {
				if !had {
					p.deliveries = 1
				}
				g.pending[id] = pendingItem{a[3], m.now, p.deliveries + 1}
				list = append(list, s.entry(id))
			}
		}
		return arrayOf(list)
	}
	return m.autoClaim(s, g, a)
}

func (m *streamModel) readGroup(s *streamItem, key string, g *groupItem, consumer string, count int, from string) string {
	g.consumers[consumer] = true
	list := []string{}
	if from == ">" {
		first := s.rank(entryID{g.last.ms, g.last.seq + 1})
		for _, id := range s.ids[first:min(first+count, len(s.ids))] {
			list = append(list, s.entry(id))
			g.pending[id] = pendingItem{consumer, m.now, 1}
			g.last = id
		}
		if len(list) == 0 {
			return "*-1\r\n"
		}
	} else {
		above := parseEntryID(from)
		above.seq++
		for _, id := range g.sorted(above, consumer) {
			if len(list) == count {
				break
			}
			if _, ok := s.values[id]; !ok {
				list = append(list, "*2\r\n"+bulk(id.String())+"*-1\r\n")
				continue
			}
			list = append(list, s.entry(id))
			g.pending[id] = pendingItem{consumer, m.now, g.pending[id].deliveries + 1}
		}
	}
	return "*1\r\n*2\r\n" + bulk(key) + arrayOf(list)
}

// autoClaim: key group consumer ms from COUNT n.
func (m *streamModel) autoClaim(s *streamItem, g *groupItem, a []string) string {
	g.consumers[a[3]] = true
	count, looks, next := atoi(a[7]), 10*atoi(a[7]), "0-0"
	var claimed, gone []string
	for _, id := range g.sorted(parseEntryID(a[5]), "") {
		if count == 0 || looks == 0 {
			next = id.String()
			break
		}
		looks--
		p := g.pending[id]
		if _, ok := s.values[id]; !ok {
			delete(g.pending, id)
			gone = append(gone, bulk(id.String()))
			count--
		} else if m.now-p.at >= int64(atoi(a[4])) {
			g.pending[id] = pendingItem{a[3], m.now, p.deliveries + 1}
			claimed = append(claimed, s.entry(id))
			count--
		}
	}
	return "*3\r\n" + bulk(next) + arrayOf(claimed) + arrayOf(gone)
}

// some is the id of an entry that is, or was, or could be.
func (m *streamModel) some(g redistest.Generator, key string) string {
	s := m.get(key)
	if len(s.ids) == 0 || g.IntN(10) == 0 {
		return entryID{m.now - int64(g.IntN(300)), int64(g.IntN(3))}.String()
	}
	return s.ids[g.IntN(len(s.ids))].String()
}

// command makes a command that the model knows. Groups that it names exist.
func (m *streamModel) command(g redistest.Generator, heavy bool) []string {
	k := redistest.Pick(g, "x", "x", "x", "y", "{x}z")
	s := m.get(k)
	some := func() string { return m.some(g, k) }
	if len(s.groups) == 0 && g.IntN(3) == 0 {
		return redistest.List("xgroup", "create", k, redistest.Pick(g, "g1", "g2"), "0", "MKSTREAM")
	}
	if i := g.IntN(100); i < 40 || len(s.groups) == 0 && i < 60 {
		n := g.IntN(60)
		if g.IntN(50) == 0 {
			n = g.IntN(3000)
		}
		return redistest.List("xadd", k, "*", "f", strings.Repeat("v", n))
	}
	if len(s.groups) == 0 || g.IntN(4) == 0 {
		return m.wholeCommand(g, k, heavy)
	}
	names := slices.Sorted(maps.Keys(s.groups))
	group := names[g.IntN(len(names))]
	consumer := redistest.Pick(g, "c1", "c2", "c3", "c4")
	count := strconv.Itoa(1 + g.IntN(20))
	switch g.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		return redistest.List("xreadgroup", "GROUP", group, consumer, "COUNT", count, "STREAMS", k, ">")
	case 6:
		return redistest.List("xreadgroup", "GROUP", group, consumer, "COUNT", count, "STREAMS", k, redistest.Pick(g, "0", some()))
	case 7, 8, 9, 10:
		return redistest.Join("xack", redistest.List(k, group), g.Repeat(1, 30, redistest.One(some)))
	case 11, 12:
		return redistest.Join("xpending", redistest.List(k, group, "IDLE", redistest.Pick(g, "0", "5", "50"), some(), "+", count), g.Maybe(consumer))
	case 13, 14:
		return redistest.Join("xclaim", redistest.List(k, group, consumer, redistest.Pick(g, "0", "5", "50")), g.Repeat(1, 10, redistest.One(some)), g.Maybe("FORCE"))
	case 15, 16:
		return redistest.List("xautoclaim", k, group, consumer, redistest.Pick(g, "0", "5", "50"), redistest.Pick(g, "0-0", some()), "COUNT", count)
	case 17:
		if heavy || g.IntN(5) > 0 {
			return redistest.List("xlen", k)
		}
		return redistest.Pick(g, redistest.List("xgroup", "destroy", k, group), redistest.List("xgroup", "setid", k, group, some()))
	case 18:
		if s.groups[group].consumers[consumer] && (!heavy || g.IntN(20) == 0) {
			return redistest.List("xgroup", "delconsumer", k, group, consumer)
		}
	}
	return redistest.List("xgroup", "create", k, redistest.Pick(g, "g1", "g2"), some(), "MKSTREAM")
}

func (m *streamModel) wholeCommand(g redistest.Generator, k string, heavy bool) []string {
	some := func() string { return m.some(g, k) }
	switch g.IntN(12) {
	case 0, 1, 2:
		return redistest.Join("xdel", redistest.List(k), g.Repeat(1, 20, redistest.One(some)))
	case 3:
		return redistest.List("xtrim", k, "MAXLEN", redistest.Pick(g, "=", "~"), strconv.Itoa(max(0, len(m.get(k).ids)-g.IntN(150)+5)))
	case 4:
		return redistest.List("xtrim", k, "MINID", redistest.Pick(g, "=", "~"), m.get(k).early(g))
	case 5, 6, 7, 8, 9:
		return redistest.List(redistest.Pick(g, "xrange", "xrevrange"), k, some(), some(), "COUNT", strconv.Itoa(1+g.IntN(50)))
	}
	if heavy {
		return redistest.List("xlen", k)
	}
	return redistest.Pick(g, redistest.List("del", k), redistest.List("copy", k, "{x}z", "REPLACE"), redistest.List("rename", k, redistest.Pick(g, "y", "{x}z")), redistest.List("xtrim", k, "MAXLEN", "=", "0"))
}

// early is the id of an entry not far from the front.
func (s *streamItem) early(g redistest.Generator) string {
	if len(s.ids) == 0 {
		return "5-5"
	}
	return s.ids[min(len(s.ids)-1, g.IntN(150))].String()
}

// TestStreamsAgainstModel runs random commands on streams, small and large, here
// and in the model, with a clock that moves.
func TestStreamsAgainstModel(t *testing.T) {
	for seed := range uint64(40) {
		s := newServer(t, seed)
		m := &streamModel{now: s.txn.Stamp.Millis(), streams: map[string]*streamItem{}}
		g := redistest.NewGenerator(seed, 2)
		heavy := seed%4 == 0
		if heavy {
			for range 3000 {
				m.step(t, s, redistest.List("xadd", "x", "*", "f", "v"))
			}
		}
		for range 1500 {
			m.step(t, s, m.command(g, heavy))
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			if g.IntN(3) == 0 {
				m.now += int64(g.IntN(20))
				s.txn.Stamp = base.StampFromMillis(m.now)
			}
		}
		s.check()
		m.compare(t, s)
	}
}

func (m *streamModel) step(t *testing.T, s *server, args []string) {
	t.Helper()
	if want, got := m.run(args), string(s.run(args...)); got != want && !(args[0] == "copy" && got[0] == '-') {
		t.Errorf("%q:\n  got  %.2000q\n  want %.2000q", args, got, want)
	}
}

// compare compares all that is there.
func (m *streamModel) compare(t *testing.T, s *server) {
	t.Helper()
	s.want(integer(len(m.streams)), "dbsize")
	for key, it := range m.streams {
		m.step(t, s, redistest.List("xrange", key, "0-0", "99999999999999-0", "COUNT", "1000000"))
		for name, g := range it.groups {
			m.step(t, s, redistest.List("xpending", key, name, "IDLE", "0", "0-0", "+", "1000000"))
			for who := range g.consumers {
				m.step(t, s, redistest.List("xpending", key, name, "IDLE", "0", "0-0", "+", "1000000", who))
			}
		}
	}
}
