package geo

import (
	"cmp"
	"slices"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/zset"
)

// search is what GEOSEARCH, GEORADIUS and their like ask for.
type search struct {
	c      *command.Ctx
	places zset.Value
	shape  shape

	own      func(i, left int) (taken int, ok bool) // reads the options that not all searches take
	named    bool                                   // GEOSEARCH or GEOSEARCHSTORE, whose shape is among the options
	storable bool                                   // STORE and STOREDIST may name a key

	fromMember, fromPoint bool
	byRadius              bool // else by box, if any

	withDist, withHash, withCoord bool
	any                           bool
	count                         int64 // 0: all
	order                         order

	storeKey  []byte // nil: the result is the reply
	storeDist bool
}

// order is in what order of distances the result is wanted.
type order int8

const (
	unsorted   order = 0
	nearFirst  order = 1
	farthFirst order = -1
)

// found is a place in the shape.
type found struct {
	member []byte
	at     point
	metres float64
	score  float64
}

func geoRadius(c *command.Ctx)           { radius(c, true) }
func geoRadiusRO(c *command.Ctx)         { radius(c, false) }
func geoRadiusByMember(c *command.Ctx)   { radiusByMember(c, true) }
func geoRadiusByMemberRO(c *command.Ctx) { radiusByMember(c, false) }

func radius(c *command.Ctx, storable bool) {
	s, ok := begin(c, 1)
	if !ok {
		return
	}
	if s.shape.centre, ok = parsePoint(c, 2); !ok || !s.parseCircle(4) {
		return
	}
	s.storable, s.own = storable, s.radiusOption
	s.run(6)
}

func radiusByMember(c *command.Ctx, storable bool) {
	s, ok := begin(c, 1)
	if !ok {
		return
	}
	// Without a set there is nothing to look the member up in; what follows is
	// read all the same, because it may name a key to store to.
	if s.places.Len() > 0 && (!s.centreOn(c.Args[2]) || !s.parseCircle(3)) {
		return
	}
	s.storable, s.own = storable, s.radiusOption
	s.run(5)
}

func geoSearch(c *command.Ctx) {
	if s, ok := begin(c, 1); ok {
		s.named, s.own = true, s.searchOption
		s.run(2)
	}
}

func geoSearchStore(c *command.Ctx) {
	if s, ok := begin(c, 2); ok {
		s.named, s.own, s.storeKey = true, s.searchOption, c.Args[1]
		s.run(3)
	}
}

// begin opens the set under argument i.
func begin(c *command.Ctx, i int) (s *search, ok bool) {
	z, ok := zset.Open(c, c.Args[i])
	return &search{c: c, places: z}, ok
}

func (s *search) centreOn(member []byte) (ok bool) {
	if s.shape.centre, ok = placeOf(&s.places, member); !ok {
		s.c.Fail("ERR could not decode requested zset member")
	}
	return ok
}

// parseCircle reads a radius and its unit from argument i on.
func (s *search) parseCircle(i int) (ok bool) {
	if s.shape.radius, ok = s.length(i, "radius"); !ok {
		return false
	}
	if s.shape.radius < 0 {
		s.c.Fail("ERR radius cannot be negative")
		return false
	}
	s.shape.unit, ok = parseUnit(s.c, s.c.Args[i+1])
	return ok
}

// parseBox reads a width, a height and their unit from argument i on.
func (s *search) parseBox(i int) (ok bool) {
	if s.shape.width, ok = s.length(i, "width"); !ok {
		return false
	}
	if s.shape.height, ok = s.length(i+1, "height"); !ok {
		return false
	}
	if s.shape.width < 0 || s.shape.height < 0 {
		s.c.Fail("ERR height or width cannot be negative")
		return false
	}
	s.shape.box = true
	s.shape.unit, ok = parseUnit(s.c, s.c.Args[i+2])
	return ok
}

func (s *search) length(i int, what string) (f float64, ok bool) {
	if f, ok = number.ParseDouble(s.c.Args[i]); !ok {
		s.c.Fail("ERR need numeric " + what)
	}
	return f, ok
}

// run reads options from argument i on, searches, and replies.
func (s *search) run(i int) {
	if !s.options(i) || !s.complete() {
		return
	}
	if s.count > 0 && s.order == unsorted && !s.any {
		s.order = nearFirst
	}
	list := s.find()
	if s.order != unsorted {
		slices.SortStableFunc(list, func(a, b found) int { return cmp.Compare(a.metres, b.metres) * int(s.order) })
	}
	if s.count > 0 && s.count < int64(len(list)) {
		list = list[:s.count]
	}
	if s.storeKey != nil {
		s.store(list)
		return
	}
	s.reply(list)
}

// options reads options from argument i on. ok is false when it replied with
// an error.
func (s *search) options(i int) (ok bool) {
	for i < len(s.c.Args) {
		taken, ok := s.option(i)
		if ok && taken == 0 {
			taken, ok = s.own(i, len(s.c.Args)-i-1)
		}
		switch {
		case !ok:
			return false
		case taken == 0:
			s.c.Fail(command.ErrSyntax)
			return false
		}
		i += taken
	}
	return true
}

// option reads an option that all searches take, and returns of how many
// arguments it is; 0: it is none of these. ok is false when it replied with an
// error.
func (s *search) option(i int) (taken int, ok bool) {
	arg := s.c.Args[i]
	switch {
	case command.Is(arg, "WITHDIST"):
		s.withDist = true
	case command.Is(arg, "WITHHASH"):
		s.withHash = true
	case command.Is(arg, "WITHCOORD"):
		s.withCoord = true
	case command.Is(arg, "ANY"):
		s.any = true
	case command.Is(arg, "ASC"):
		s.order = nearFirst
	case command.Is(arg, "DESC"):
		s.order = farthFirst
	case command.Is(arg, "COUNT") && i+1 < len(s.c.Args):
		if s.count, ok = s.c.Int(i + 1); !ok {
			return 0, false
		}
		if s.count <= 0 {
			s.c.Fail("ERR COUNT must be > 0")
			return 0, false
		}
		return 2, true
	default:
		return 0, true
	}
	return 1, true
}

// radiusOption reads an option of GEORADIUS, behind which so many arguments
// are left.
func (s *search) radiusOption(i, left int) (taken int, ok bool) {
	arg := s.c.Args[i]
	dist := command.Is(arg, "STOREDIST")
	if !s.storable || left == 0 || !dist && !command.Is(arg, "STORE") {
		return 0, true
	}
	s.storeKey, s.storeDist = s.c.Args[i+1], dist
	return 2, true
}

// searchOption reads an option of GEOSEARCH or GEOSEARCHSTORE.
func (s *search) searchOption(i, left int) (taken int, ok bool) {
	arg := s.c.Args[i]
	switch {
	case s.storeKey != nil && command.Is(arg, "STOREDIST"):
		s.storeDist = true
		return 1, true
	case command.Is(arg, "FROMMEMBER") && left >= 1 && !s.fromPoint:
		s.fromMember = true
		return 2, s.places.Len() == 0 || s.centreOn(s.c.Args[i+1])
	case command.Is(arg, "FROMLONLAT") && left >= 2 && !s.fromMember:
		s.fromPoint = true
		s.shape.centre, ok = parsePoint(s.c, i+1)
		return 3, ok
	case command.Is(arg, "BYRADIUS") && left >= 2 && !s.shape.box:
		s.byRadius = true
		return 3, s.parseCircle(i + 1)
	case command.Is(arg, "BYBOX") && left >= 3 && !s.byRadius:
		return 4, s.parseBox(i + 1)
	}
	return 0, true
}

// complete says whether the options make sense together; if not, it replied
// with the error.
func (s *search) complete() bool {
	name := string(s.c.Args[0])
	switch {
	case s.storeKey != nil && (s.withDist || s.withHash || s.withCoord):
		what := "STORE option in GEORADIUS"
		if s.named {
			what = "GEOSEARCHSTORE"
		}
		s.c.Fail("ERR " + what + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
	case s.named && !s.fromMember && !s.fromPoint:
		s.c.Fail("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + name)
	case s.named && !s.byRadius && !s.shape.box:
		s.c.Fail("ERR exactly one of BYRADIUS and BYBOX can be specified for " + name)
	case s.any && s.count == 0:
		s.c.Fail("ERR the ANY argument requires COUNT argument")
	default:
		return true
	}
	return false
}

// find is the places in the shape, by cells; with ANY, the first that come.
func (s *search) find() (list []found) {
	if s.places.Len() == 0 {
		return nil
	}
	enough := func() bool { return s.any && int64(len(list)) >= s.count }
	for _, c := range s.shape.cells() {
		least, end := c.scores()
		s.places.Between(least, end, func(member []byte, score float64) bool {
			p := cellOfScore(score).middle()
			if metres, ok := s.shape.contains(p); ok {
				list = append(list, found{member, p, metres, score})
			}
			return !enough()
		})
		if enough() {
			break
		}
	}
	return list
}

func (s *search) store(list []found) {
	event := "geosearchstore"
	if s.c.Spec.Name != event {
		event = "georadiusstore"
	}
	var result []zset.Scored
	for _, f := range list {
		score := f.score
		if s.storeDist {
			score = f.metres / s.shape.unit
		}
		result = append(result, zset.Scored{Member: f.member, Score: score})
	}
	zset.Replace(s.c, event, s.storeKey, result)
	s.c.Out.Int(int64(len(result)))
}

func (s *search) reply(list []found) {
	c := s.c
	start, n := len(c.Out.Buf), 1
	for _, with := range []bool{s.withDist, s.withHash, s.withCoord} {
		if with {
			n++
		}
	}
	c.Out.Array(len(list))
	for _, f := range list {
		if n > 1 {
			c.Out.Array(n)
		}
		c.Out.Bulk(f.member)
		if s.withDist {
			replyDistance(c, f.metres/s.shape.unit)
		}
		if s.withHash {
			c.Out.Int(int64(f.score))
		}
		if s.withCoord {
			replyPoint(c, f.at)
		}
		if !c.Fits(start) {
			return
		}
	}
}
