package datatype_test

import (
	"fmt"
	"strconv"
)

func (g generator) geoKey() string {
	return pick(g, "geo", "geo", "geobig", "geobig", "geodist", g.key())
}

func (g generator) place() string { return fmt.Sprint("p", g.IntN(pick(g, 10, 300))) }

func (g generator) degrees(limit float64) string {
	switch g.IntN(15) {
	case 0:
		return pick(g, "0", "180", "-180", "85.05112878", "-85.05112878", "85.06", "181", "x", "inf", "-90", "nan")
	case 1, 2, 3: // near each other
		return strconv.FormatFloat(10+g.Float64(), 'f', 6, 64)
	}
	return strconv.FormatFloat((2*g.Float64()-1)*limit, 'f', g.IntN(10), 64)
}

func (g generator) onMap() []string { return list(g.degrees(180), g.degrees(85)) }

func (g generator) unit() string {
	return pick(g, "m", "km", "KM", "ft", "mi", "km", pick(g, "cm", "", "km"))
}

func (g generator) length() string {
	return pick(g, "0", "1", "100", "5000", "200.5", "20000", "1e7", "300000", pick(g, "-1", "x", "inf", "1e300"))
}

func (g generator) shown() []string {
	return join("", g.maybe("WITHDIST"), g.maybe("withcoord"), g.maybe("WITHHASH"), g.maybe(pick(g, "ASC", "desc")), g.maybe(join("COUNT", list(pick(g, "1", "3", "100", "0", "x")), g.maybe("ANY"))...))[1:]
}

func (g generator) stored() []string {
	return g.maybe(pick(g, list("STORE", pick(g, "geodist", "z1")), list("storedist", "geodist"))...)
}

func (g generator) geoCommand() []string {
	k := g.geoKey()
	add := func() []string { return join(g.degrees(180), list(g.degrees(85), g.place())) }
	from := func() []string {
		return pick(g, list("FROMMEMBER", g.place()), join("FROMLONLAT", g.onMap()), g.maybe("frommember", g.place()))
	}
	by := func() []string {
		return pick(g, list("BYRADIUS", g.length(), g.unit()), list("BYBOX", g.length(), g.length(), g.unit()), g.maybe("bybox"))
	}
	switch g.IntN(12) {
	case 0, 1:
		return join("geoadd", list(k), g.maybe(pick(g, "NX", "xx", "CH")), g.repeat(1, 3, add))
	case 2:
		return join("geoadd", list("geobig"), g.repeat(50, 250, func() []string {
			return list(strconv.FormatFloat(g.Float64()*360-180, 'f', 6, 64), strconv.FormatFloat(g.Float64()*170-85, 'f', 6, 64), g.place())
		}))
	case 3:
		return join(pick(g, "geopos", "geohash"), list(k), g.repeat(0, 4, one(g.place)))
	case 4:
		return join("geodist", list(k, g.place(), g.place()), g.maybe(g.unit()))
	case 5, 6, 7:
		return join("geosearch", list(k), from(), by(), g.shown(), g.maybe("storedist"))
	case 8:
		return join("geosearchstore", list("geodist", k), from(), by(), g.maybe(g.shown()...), g.maybe("STOREDIST"))
	case 9:
		return join(pick(g, "georadius", "georadius", "georadius_ro"), list(k), g.onMap(), list(g.length(), g.unit()), g.shown(), g.stored())
	default:
		return join(pick(g, "georadiusbymember", "georadiusbymember", "georadiusbymember_ro"), list(k, g.place(), g.length(), g.unit()), g.shown(), g.stored())
	}
}
