package redistest

import (
	"fmt"
	"strconv"
)

func (g Generator) geoKey() string {
	return Pick(g, "geo", "geo", "geobig", "geobig", "geodist", g.key())
}

func (g Generator) place() string { return fmt.Sprint("p", g.IntN(Pick(g, 10, 300))) }

func (g Generator) degrees(limit float64) string {
	switch g.IntN(15) {
	case 0:
		return Pick(g, "0", "180", "-180", "85.05112878", "-85.05112878", "85.06", "181", "x", "inf", "-90", "nan")
	case 1, 2, 3: // near each other
		return strconv.FormatFloat(10+g.Float64(), 'f', 6, 64)
	}
	return strconv.FormatFloat((2*g.Float64()-1)*limit, 'f', g.IntN(10), 64)
}

func (g Generator) onMap() []string { return List(g.degrees(180), g.degrees(85)) }

func (g Generator) unit() string {
	return Pick(g, "m", "km", "KM", "ft", "mi", "km", Pick(g, "cm", "", "km"))
}

func (g Generator) length() string {
	return Pick(g, "0", "1", "100", "5000", "200.5", "20000", "1e7", "300000", Pick(g, "-1", "x", "inf", "1e300"))
}

func (g Generator) shown() []string {
	return Join("", g.Maybe("WITHDIST"), g.Maybe("withcoord"), g.Maybe("WITHHASH"), g.Maybe(Pick(g, "ASC", "desc")), g.Maybe(Join("COUNT", List(Pick(g, "1", "3", "100", "0", "x")), g.Maybe("ANY"))...))[1:]
}

func (g Generator) stored() []string {
	return g.Maybe(Pick(g, List("STORE", Pick(g, "geodist", "z1")), List("storedist", "geodist"))...)
}

func (g Generator) geoCommand() []string {
	k := g.geoKey()
	add := func() []string { return Join(g.degrees(180), List(g.degrees(85), g.place())) }
	from := func() []string {
		return Pick(g, List("FROMMEMBER", g.place()), Join("FROMLONLAT", g.onMap()), g.Maybe("frommember", g.place()))
	}
	by := func() []string {
		return Pick(g, List("BYRADIUS", g.length(), g.unit()), List("BYBOX", g.length(), g.length(), g.unit()), g.Maybe("bybox"))
	}
	switch g.IntN(12) {
	case 0, 1:
		return Join("geoadd", List(k), g.Maybe(Pick(g, "NX", "xx", "CH")), g.Repeat(1, 3, add))
	case 2:
		return Join("geoadd", List("geobig"), g.Repeat(50, 250, func() []string {
			return List(strconv.FormatFloat(g.Float64()*360-180, 'f', 6, 64), strconv.FormatFloat(g.Float64()*170-85, 'f', 6, 64), g.place())
		}))
	case 3:
		return Join(Pick(g, "geopos", "geohash"), List(k), g.Repeat(0, 4, One(g.place)))
	case 4:
		return Join("geodist", List(k, g.place(), g.place()), g.Maybe(g.unit()))
	case 5, 6, 7:
		return Join("geosearch", List(k), from(), by(), g.shown(), g.Maybe("storedist"))
	case 8:
		return Join("geosearchstore", List("geodist", k), from(), by(), g.Maybe(g.shown()...), g.Maybe("STOREDIST"))
	case 9:
		return Join(Pick(g, "georadius", "georadius", "georadius_ro"), List(k), g.onMap(), List(g.length(), g.unit()), g.shown(), g.stored())
	default:
		return Join(Pick(g, "georadiusbymember", "georadiusbymember", "georadiusbymember_ro"), List(k, g.place(), g.length(), g.unit()), g.shown(), g.stored())
	}
}
