package hll

import (
	"encoding/binary"
	"math/bits"
)

const (
	indexBits = 14
	registers = 1 << indexBits
	runBits   = 64 - indexBits // of the hash, in which zeros are counted
	wide      = 6              // bits of a dense register
	maxValue  = 1<<wide - 1

	headLen  = 16
	denseLen = headLen + registers*wide/8

	encodingAt = 4
	countAt    = 8
	dense      = 0
	sparse     = 1

	// stale is set in the last byte of the cached count when it says nothing.
	stale = 0x80
)

// sketch is a string's value, checked by valid.
type sketch []byte

func empty(dst []byte) sketch {
	dst = append(dst[:0], "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	return appendZeros(dst, registers)
}

// valid says whether a string can be a sketch; a sparse one's runs may still
// be broken.
func valid(b []byte) bool {
	if len(b) < headLen || string(b[:4]) != "HYLL" {
		return false
	}
	return b[encodingAt] == sparse || b[encodingAt] == dense && len(b) == denseLen
}

func (s sketch) isDense() bool { return s[encodingAt] == dense }

// cached is the count that is kept; ok is false when it is out of date.
func (s sketch) cached() (n uint64, ok bool) {
	n = binary.LittleEndian.Uint64(s[countAt:])
	return n, s[countAt+7]&stale == 0
}

func (s sketch) setCached(n uint64) { binary.LittleEndian.PutUint64(s[countAt:], n) }

func (s sketch) invalidate() { s[countAt+7] |= stale }

// get is a dense sketch's register.
func (s sketch) get(i int) byte {
	at, shift := headLen+i*wide/8, i*wide%8
	v := uint16(s[at])
	if at+1 < len(s) {
		v |= uint16(s[at+1]) << 8
	}
	return byte(v>>shift) & maxValue
}

func (s sketch) put(i int, value byte) {
	at, shift := headLen+i*wide/8, i*wide%8
	mask, v := uint16(maxValue)<<shift, uint16(value)<<shift
	s[at] = s[at]&^byte(mask) | byte(v)
	if mask > 0xff {
		s[at+1] = s[at+1]&^byte(mask>>8) | byte(v>>8)
	}
}

// set raises a register to value; changed is false if it is not below. ok is
// false when the sketch is broken. The sketch may be another afterwards.
func (s sketch) set(i int, value byte) (_ sketch, changed, ok bool) {
	if !s.isDense() {
		return s.setSparse(i, value)
	}
	if s.get(i) >= value {
		return s, false, true
	}
	s.put(i, value)
	return s, true, true
}

// add adds an element, as set does.
func (s sketch) add(element []byte) (_ sketch, changed, ok bool) {
	i, value := place(element)
	return s.set(i, value)
}

// place is an element's register, and the value that it asks for.
func place(element []byte) (i int, value byte) {
	h := murmur64A(element, 0xadc83b19)
	i = int(h & (registers - 1))
	h = h>>indexBits | 1<<runBits
	return i, byte(bits.TrailingZeros64(h)) + 1
}

// murmur64A is MurmurHash2 for 64-bit machines, reading little endian.
func murmur64A(p []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(p))*m
	for ; len(p) >= 8; p = p[8:] {
		k := binary.LittleEndian.Uint64(p) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(p) > 0 {
		for i, b := range p {
			h ^= uint64(b) << (8 * i)
		}
		h *= m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}

// raise raises each of max to the sketch's register; ok is false when the
// sketch is broken.
func (s sketch) raise(max *[registers]byte) (ok bool) {
	if s.isDense() {
		for i := range max {
			if v := s.get(i); v > max[i] {
				max[i] = v
			}
		}
		return true
	}
	i := 0
	for r := range s.runs {
		if r.n > registers-i {
			return false
		}
		if r.value > 0 {
			for j := i; j < i+r.n; j++ {
				if r.value > max[j] {
					max[j] = r.value
				}
			}
		}
		i += r.n
	}
	return i == registers
}

// toDense is the sketch in the dense encoding, in memory of its own unless it
// was dense; ok is false when it is broken.
func (s sketch) toDense() (_ sketch, ok bool) {
	if s.isDense() {
		return s, true
	}
	out := make(sketch, denseLen)
	copy(out, s[:headLen])
	out[encodingAt] = dense
	i := 0
	for r := range s.runs {
		if r.n > registers-i {
			return s, false
		}
		for j := i; r.value > 0 && j < i+r.n; j++ {
			out.put(j, r.value)
		}
		i += r.n
	}
	return out, i == registers
}
