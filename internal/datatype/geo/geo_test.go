package geo

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestKnownPlaces pins what is stored, and shown, for places.
func TestKnownPlaces(t *testing.T) {
	for _, tc := range []struct {
		at    point
		score float64
		hash  string
	}{
		{point{13.361389, 38.115556}, 3479099956230698, "sqc8b49rny0"},
		{point{15.087269, 37.502669}, 3479447370796909, "sqdtr74hyu0"},
		{point{-180, -maxLatitude}, 0, "0000000000"},
		{point{0, 0}, 3 << 50, "s0000000000"},
	} {
		score := cellOf(tc.at, maxDepth).score()
		if score != tc.score {
			t.Errorf("%v has score %.0f, want %.0f", tc.at, score, tc.score)
		}
		back := cellOfScore(score).middle()
		if math.Abs(back.longitude-tc.at.longitude) > 3e-6 || math.Abs(back.latitude-tc.at.latitude) > 3e-6 {
			t.Errorf("%v comes back as %v", tc.at, back)
		}
		if tc.at.latitude == -maxLatitude {
			continue // the standard's grid has its edge elsewhere
		}
		if got := string(geohash(back)); got != tc.hash {
			t.Errorf("%v has geohash %s, want %s", tc.at, got, tc.hash)
		}
	}
	a, b := cellOfScore(3479099956230698).middle(), cellOfScore(3479447370796909).middle()
	if d := distance(a, b); math.Abs(d-166274.1516) > 1e-4 {
		t.Errorf("the distance is %f", d)
	}
	for _, score := range []float64{-1, math.Inf(1), math.Inf(-1), 1e300, 1 << 63, 1.5} { // any sorted set may be asked
		if p := cellOfScore(score).middle(); !p.onMap() {
			t.Errorf("score %v is at %v, off the map", score, p)
		}
	}
}

func TestScatter(t *testing.T) {
	for range 1000 {
		n := rand.Uint32()
		if gather(scatter(n)) != n {
			t.Fatalf("%x comes back as %x", n, gather(scatter(n)))
		}
	}
}

// TestCellsHoldTheShape: every place that is in a shape is in one of the
// cells that are looked at, and no cell is looked at twice.
func TestCellsHoldTheShape(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	somewhere := func(c point, degrees float64) point {
		return point{within(c.longitude+(2*r.Float64()-1)*degrees, maxLongitude), within(c.latitude+(2*r.Float64()-1)*degrees, maxLatitude)}
	}
	inside := 0
	for range 3000 {
		metres := math.Pow(10, 1+6*r.Float64()) // 10 m … 10,000 km
		s := shape{centre: somewhere(point{}, 180), unit: 1, radius: metres}
		s.centre.latitude = within(s.centre.latitude, 70) // nearer to the poles, Redis's own cells are too small for large boxes
		if r.IntN(2) == 0 {
			s.box, s.width, s.height = true, metres*r.Float64(), metres*r.Float64()
		}
		cells := s.cells()
		for i, c := range cells {
			if holds(cells[:i], c) {
				t.Fatalf("%+v: a cell comes twice", s)
			}
		}
		for range 100 {
			p := cellOf(somewhere(s.centre, metres/80_000), maxDepth).middle()
			if _, ok := s.contains(p); !ok || wraps(s) {
				continue
			}
			inside++
			found := false
			for _, c := range cells {
				least, end := c.scores()
				score := cellOf(p, maxDepth).score()
				found = found || score >= least && score < end
			}
			if !found {
				t.Fatalf("%v is in %+v, but in none of its cells", p, s)
			}
		}
	}
	if inside < 10_000 {
		t.Errorf("only %d places were inside", inside)
	}
}

// wraps says whether a shape reaches over the edges of the map.
func wraps(s shape) bool {
	b := s.bounds()
	return b.west < -maxLongitude || b.east > maxLongitude || b.south < -maxLatitude || b.north > maxLatitude
}
