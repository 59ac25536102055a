package geo

import "math"

const (
	radians = math.Pi / 180
	// earthRadius is that of the sphere, in metres.
	earthRadius = 6372797.560856
	// mapWidth is about half the equator in metres, for the choice of a grid.
	mapWidth = 20037726.37
)

// distance is that between two places, in metres.
func distance(a, b point) float64 {
	v := math.Sin((inRadians(b.longitude) - inRadians(a.longitude)) / 2)
	if v == 0 {
		return meridian(a.latitude, b.latitude)
	}
	from, to := inRadians(a.latitude), inRadians(b.latitude)
	u := math.Sin((to - from) / 2)
	h := float64(u*u) + float64(math.Cos(from)*math.Cos(to)*v*v)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// meridian is the distance between two places of one longitude.
func meridian(a, b float64) float64 { return earthRadius * math.Abs(inRadians(b)-inRadians(a)) }

// inRadians rounds its result, so that no machine computes with more digits:
// what is near an edge is on the same side of it everywhere.
func inRadians(degrees float64) float64 { return float64(degrees * radians) }

// shape is what is searched: a circle, or a box, around a centre.
type shape struct {
	centre        point
	box           bool
	radius        float64 // of a circle, in units
	width, height float64 // of a box, in units
	unit          float64 // metres
}

// contains says whether a place is in the shape, and how far from its centre.
func (s *shape) contains(p point) (metres float64, ok bool) {
	if !s.box {
		metres = distance(s.centre, p)
		return metres, metres <= s.radius*s.unit
	}
	if meridian(p.latitude, s.centre.latitude) > s.height*s.unit/2 {
		return 0, false
	}
	if distance(p, point{s.centre.longitude, p.latitude}) > s.width*s.unit/2 {
		return 0, false
	}
	return distance(s.centre, p), true
}

// bounds is an area that holds the shape.
func (s *shape) bounds() area {
	width, height := s.radius*s.unit, s.radius*s.unit
	if s.box {
		width, height = s.unit*(s.width/2), s.unit*(s.height/2)
	}
	high := height / earthRadius / radians
	c := s.centre
	edge := c.latitude + high // the side nearer to the pole is wider in degrees
	if c.latitude < 0 {
		edge = c.latitude - high
	}
	wide := width / earthRadius / math.Cos(inRadians(edge)) / radians
	return area{west: c.longitude - wide, east: c.longitude + wide, south: c.latitude - high, north: c.latitude + high}
}

// reach is the distance from the centre within which all of the shape is.
func (s *shape) reach() float64 {
	if !s.box {
		return s.radius * s.unit
	}
	w, h := s.width/2, s.height/2
	return math.Sqrt(float64(w*w)+float64(h*h)) * s.unit
}

// depth is the finest grid in which a cell and its neighbours are likely to
// hold everything within so many metres.
func depth(metres, latitude float64) uint {
	if metres == 0 {
		return maxDepth
	}
	n := -1
	for ; metres < mapWidth; metres *= 2 {
		n++
	}
	if latitude = math.Abs(latitude); latitude > 66 { // meridians come closer
		n--
		if latitude > 80 {
			n--
		}
	}
	return uint(max(1, min(n, maxDepth)))
}

// cells is the cells in which places of the shape may be, that of the centre
// first.
func (s *shape) cells() []cell {
	b := s.bounds()
	d := depth(s.reach(), s.centre.latitude)
	c := cellOf(s.centre, d)
	if d > 1 && !c.surrounds(b) {
		d--
		c = cellOf(s.centre, d)
	}
	list := []cell{c}
	a := c.area()
	for _, n := range [...][2]int{{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}} {
		if d > 1 && (n[0] > 0 && a.east > b.east || n[0] < 0 && a.west < b.west || n[1] > 0 && a.north > b.north || n[1] < 0 && a.south < b.south) {
			continue // the cell itself reaches farther than the shape
		}
		if next := c.beside(n[0], n[1]); !holds(list, next) {
			list = append(list, next)
		}
	}
	return list
}

func holds(list []cell, c cell) bool {
	for _, other := range list {
		if other == c {
			return true
		}
	}
	return false
}

// surrounds says whether a cell and its neighbours reach as far as an area.
func (c cell) surrounds(b area) bool {
	return !(c.beside(0, 1).area().north < b.north || c.beside(0, -1).area().south > b.south ||
		c.beside(1, 0).area().east < b.east || c.beside(-1, 0).area().west > b.west)
}
