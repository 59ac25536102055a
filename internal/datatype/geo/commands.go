package geo

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"coterie/internal/command"
	"coterie/internal/command/number"
	"coterie/internal/datatype/zset"
)

func geoAdd(c *command.Ctx) {
	var a zset.Adding
	i := 2
options:
	for ; i < len(c.Args); i++ {
		switch {
		case command.Is(c.Args[i], "NX"):
			a.NX = true
		case command.Is(c.Args[i], "XX"):
			a.XX = true
		case command.Is(c.Args[i], "CH"):
			a.Changed = true
		default:
			break options
		}
	}
	if n := len(c.Args) - i; n == 0 || n%3 != 0 || a.NX && a.XX {
		c.Fail(command.ErrSyntax)
		return
	}
	var places []zset.Scored
	for ; i < len(c.Args); i += 3 {
		p, ok := parsePoint(c, i)
		if !ok {
			return
		}
		places = append(places, zset.Scored{Member: c.Args[i+2], Score: cellOf(p, maxDepth).score()})
	}
	a.Run(c, places)
}

// parsePoint reads a longitude and a latitude from argument i on. ok is false
// when it replied with an error.
func parsePoint(c *command.Ctx, i int) (p point, ok bool) {
	for j, f := range []*float64{&p.longitude, &p.latitude} {
		if *f, ok = number.ParseDouble(c.Args[i+j]); !ok {
			c.Fail(command.ErrNotFloat)
			return p, false
		}
	}
	if !p.onMap() {
		c.Fail("ERR invalid longitude,latitude pair " + sixDigits(p.longitude) + "," + sixDigits(p.latitude))
		return p, false
	}
	return p, true
}

// sixDigits is what C's "%f" prints.
func sixDigits(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return strconv.FormatFloat(f, 'f', 6, 64)
}

// placeOf is where a member is.
func placeOf(z *zset.Value, member []byte) (p point, ok bool) {
	score, ok := z.Score(member)
	if !ok {
		return p, false
	}
	return cellOfScore(score).middle(), true
}

func geoPos(c *command.Ctx) { eachPlace(c, replyPoint, c.Out.NullArray) }

// eachPlace replies for each member that a command names with its place, or
// with none if it is not in the set.
func eachPlace(c *command.Ctx, place func(*command.Ctx, point), none func()) {
	z, ok := zset.Open(c, c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		if p, ok := placeOf(&z, member); ok {
			place(c, p)
		} else {
			none()
		}
	}
}

func replyPoint(c *command.Ctx, p point) {
	c.Out.Array(2)
	replyDegrees(c, p.longitude)
	replyDegrees(c, p.latitude)
}

// replyDegrees replies with a number as people write it: up to 17 digits
// behind the point.
func replyDegrees(c *command.Ctx, f float64) {
	var room [64]byte
	text := strconv.AppendFloat(room[:0], f, 'f', 17, 64)
	text = bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte("."))
	if string(text) == "-0" {
		text = text[1:]
	}
	if c.Out.Proto == 3 {
		c.Out.Raw(append(append([]byte{','}, text...), "\r\n"...))
		return
	}
	c.Out.Bulk(text)
}

func geoHash(c *command.Ctx) {
	eachPlace(c, func(c *command.Ctx, p point) { c.Out.Bulk(geohash(p)) }, c.Out.Null)
}

func geoDist(c *command.Ctx) {
	unit := 1.0
	switch {
	case len(c.Args) > 5:
		c.Fail(command.ErrSyntax)
		return
	case len(c.Args) == 5:
		var ok bool
		if unit, ok = parseUnit(c, c.Args[4]); !ok {
			return
		}
	}
	z, ok := zset.Open(c, c.Args[1])
	if !ok {
		return
	}
	from, okFrom := placeOf(&z, c.Args[2])
	to, okTo := placeOf(&z, c.Args[3])
	if !okFrom || !okTo {
		c.Out.Null()
		return
	}
	replyDistance(c, distance(from, to)/unit)
}

// replyDistance replies with four digits behind the point.
func replyDistance(c *command.Ctx, f float64) {
	const scale = 10_000
	n := uint64(math.RoundToEven(f * scale))
	c.Out.Bulk(fmt.Appendf(nil, "%d.%04d", n/scale, n%scale))
}

// parseUnit reads a unit of length, in metres. ok is false when it replied
// with an error.
func parseUnit(c *command.Ctx, p []byte) (metres float64, ok bool) {
	switch {
	case command.Is(p, "M"):
		return 1, true
	case command.Is(p, "KM"):
		return 1000, true
	case command.Is(p, "FT"):
		return 0.3048, true
	case command.Is(p, "MI"):
		return 1609.34, true
	}
	c.Fail("ERR unsupported unit provided. please use M, KM, FT, MI")
	return 0, false
}
