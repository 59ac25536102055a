// Package geo is places on earth: members of a sorted set whose score names a
// cell of a grid over the map, as Redis has it, so that places that are near
// each other mostly have scores that are.
//
// The grid has 2²⁶ × 2²⁶ cells between the longitudes ±180° and the latitudes
// ±85.05112878°; the bits of a cell's row and column, interleaved, are its
// score, the latitude's in the even places. A search looks at the cell of a
// coarser grid around its centre, and at those around that, each of which is a
// range of scores. So it costs the members in those cells, and a logarithm.
//
// Distances are along great circles of a sphere. The command table calls the
// rows' handlers; everything stored is package zset's.
package geo
