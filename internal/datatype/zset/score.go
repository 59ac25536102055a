package zset

import (
	"encoding/binary"
	"math"
)

// order maps a score to a number that sorts as scores do: what is stored. The
// two zeros are one. NaN is no score.
func order(score float64) uint64 {
	if score == 0 {
		score = 0 // without a sign
	}
	if b := math.Float64bits(score); b>>63 == 0 {
		return b | 1<<63
	} else {
		return ^b
	}
}

// unorder is the score that a number stands for.
func unorder(o uint64) float64 {
	if o>>63 == 1 {
		return math.Float64frombits(o &^ (1 << 63))
	}
	return math.Float64frombits(^o)
}

const scoreLen = 8

func readOrder(p []byte) uint64 { return binary.BigEndian.Uint64(p) }

// appendPlace appends a member's place in the set's order: its score, then
// itself.
func appendPlace(dst []byte, o uint64, member []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, o), member...)
}
