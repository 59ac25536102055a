package geo

import "math"

// The part of the map that has cells.
const (
	maxLongitude = 180.0
	maxLatitude  = 85.05112878
)

// maxDepth is the number of halvings each way after which a cell is a score.
const maxDepth = 26

// point is a place in degrees.
type point struct{ longitude, latitude float64 }

func (p point) onMap() bool {
	return math.Abs(p.longitude) <= maxLongitude && math.Abs(p.latitude) <= maxLatitude
}

// cell is a square of the grid whose sides were halved depth times. Columns go
// east, rows north.
type cell struct {
	column, row uint32
	depth       uint
}

// cellOf is the cell that a place on the map is in.
func cellOf(p point, depth uint) cell { return cellWithin(p, maxLatitude, depth) }

// cellWithin is the cell of a grid that has its edges at the given latitude.
func cellWithin(p point, latitude float64, depth uint) cell {
	east := (p.longitude + maxLongitude) / (2 * maxLongitude)
	north := (p.latitude + latitude) / (2 * latitude)
	n := float64(uint64(1) << depth)
	return cell{column: uint32(east * n), row: uint32(north * n), depth: depth}
}

// bits is the cell's row and column, interleaved.
func (c cell) bits() uint64 { return scatter(c.row) | scatter(c.column)<<1 }

// score is the score of a cell of the finest grid.
func (c cell) score() float64 { return float64(c.bits()) }

// scores is the range of scores of the places in a cell: from least up to, but
// not including, end.
func (c cell) scores() (least, end float64) {
	shift := 2 * (maxDepth - c.depth)
	return float64(c.bits() << shift), float64((c.bits() + 1) << shift)
}

// cellOfScore is the cell that a score stands for, whatever the score is.
func cellOfScore(score float64) cell {
	b := uint64(1) << 63
	switch {
	case score >= -1<<63 && score < 1<<63:
		b = uint64(int64(score))
	case score >= 1<<63 && score < 1<<64:
		b = uint64(score)
	}
	return cell{column: gather(b >> 1), row: gather(b), depth: maxDepth}
}

// area is what a cell covers.
type area struct{ west, east, south, north float64 }

func (c cell) area() area {
	n := float64(uint64(1) << c.depth)
	longitude := func(column uint32) float64 { return -maxLongitude + float64(float64(column)/n*(2*maxLongitude)) }
	latitude := func(row uint32) float64 { return -maxLatitude + float64(float64(row)/n*(2*maxLatitude)) }
	return area{longitude(c.column), longitude(c.column + 1), latitude(c.row), latitude(c.row + 1)}
}

// middle is the place that a cell stands for.
func (c cell) middle() point {
	a := c.area()
	return point{
		longitude: within((a.west+a.east)/2, maxLongitude),
		latitude:  within((a.south+a.north)/2, maxLatitude),
	}
}

func within(f, limit float64) float64 { return max(-limit, min(limit, f)) }

// beside is the cell so many columns east and rows north, around the edges.
func (c cell) beside(east, north int) cell {
	mask := uint32(1)<<c.depth - 1
	c.column = (c.column + uint32(east)) & mask
	c.row = (c.row + uint32(north)) & mask
	return c
}

// scatter puts a number's bits into the even places of another.
func scatter(n uint32) uint64 {
	b := uint64(n)
	b = (b | b<<16) & 0x0000ffff0000ffff
	b = (b | b<<8) & 0x00ff00ff00ff00ff
	b = (b | b<<4) & 0x0f0f0f0f0f0f0f0f
	b = (b | b<<2) & 0x3333333333333333
	return (b | b<<1) & 0x5555555555555555
}

// gather takes them out again.
func gather(b uint64) uint32 {
	b &= 0x5555555555555555
	b = (b | b>>1) & 0x3333333333333333
	b = (b | b>>2) & 0x0f0f0f0f0f0f0f0f
	b = (b | b>>4) & 0x00ff00ff00ff00ff
	b = (b | b>>8) & 0x0000ffff0000ffff
	return uint32(b | b>>16)
}

// alphabet is the digits of a geohash.
const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// geohash is a place's standard geohash, whose grid reaches the poles: 11
// digits, of which 52 bits are known, so the last is always 0.
func geohash(p point) []byte {
	b := cellWithin(p, 90, maxDepth).bits()
	text := make([]byte, 11)
	for i := range 10 {
		text[i] = alphabet[b>>(2*maxDepth-5*(i+1))&31]
	}
	text[10] = alphabet[0]
	return text
}
