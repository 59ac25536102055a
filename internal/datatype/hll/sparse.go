package hll

// Limits of the sparse encoding.
const (
	maxSparse   = 3000 // bytes of a sketch
	maxRunValue = 32
	maxRun      = 4       // registers in a run that is not of zeros
	maxZeros    = 64      // in one byte
	maxXZeros   = 1 << 14 // in two
)

// run is some equal registers, as at..end of a sparse sketch says.
type run struct {
	n       int
	value   byte // 0: of zeros
	at, end int
}

// runAt reads the run at a place before the sketch's end.
func (s sketch) runAt(at int) run {
	switch b := s[at]; {
	case b&0x80 != 0:
		return run{n: int(b&3) + 1, value: b>>2&0x1f + 1, at: at, end: at + 1}
	case b&0x40 == 0:
		return run{n: int(b) + 1, at: at, end: at + 1}
	case at+1 == len(s): // cut off: longer than any
		return run{n: maxXZeros + 1, at: at, end: at + 1}
	default:
		return run{n: int(b&0x3f)<<8 + int(s[at+1]) + 1, at: at, end: at + 2}
	}
}

// runs walks a sparse sketch.
func (s sketch) runs(visit func(run) bool) {
	for at := headLen; at < len(s); {
		r := s.runAt(at)
		if !visit(r) {
			return
		}
		at = r.end
	}
}

func valueRun(value byte, n int) byte { return 0x80 | (value-1)<<2 | byte(n-1) }

// appendZeros appends a run of n > 0 zeros.
func appendZeros(dst []byte, n int) []byte {
	if n > maxZeros {
		return append(dst, 0x40|byte((n-1)>>8), byte(n-1))
	}
	return append(dst, byte(n-1))
}

// appendPart appends what is left of run r on one side of a register.
func appendPart(dst []byte, r run, n int) []byte {
	switch {
	case n == 0:
		return dst
	case r.value == 0:
		return appendZeros(dst, n)
	}
	return append(dst, valueRun(r.value, n))
}

// setSparse raises a register of a sparse sketch; see set. Which runs stay
// apart is part of the format: other implementations compare the bytes. As in
// Redis, runs behind the register may be broken and stay so.
func (s sketch) setSparse(i int, value byte) (_ sketch, changed, ok bool) {
	if value > maxRunValue {
		return s.setAsDense(i, value)
	}
	r, at, first, before := run{}, headLen, 0, headLen
	for {
		if at >= len(s) {
			return s, false, false
		}
		if r = s.runAt(at); r.n > maxXZeros {
			return s, false, false
		}
		if i < first+r.n {
			break
		}
		before, at, first = at, r.end, first+r.n
	}
	if r.value >= value {
		return s, false, true
	}
	var room [5]byte
	parts := appendPart(room[:0], r, i-first)
	parts = append(parts, valueRun(value, 1))
	parts = appendPart(parts, r, first+r.n-1-i)
	grow := len(parts) - (r.end - r.at)
	if grow > 0 && len(s)+grow > maxSparse {
		return s.setAsDense(i, value)
	}
	s = s.splice(r.at, r.end, parts)
	s = s.join(before)
	s.invalidate()
	return s, true, true
}

func (s sketch) setAsDense(i int, value byte) (_ sketch, changed, ok bool) {
	if s, ok = s.toDense(); !ok {
		return s, false, false
	}
	s, changed, _ = s.set(i, value)
	return s, changed, true
}

// splice replaces s[at:end] by p, in place.
func (s sketch) splice(at, end int, p []byte) sketch {
	old := len(s)
	grow := len(p) - (end - at)
	for range max(grow, 0) {
		s = append(s, 0)
	}
	copy(s[end+grow:], s[end:old])
	copy(s[at:], p)
	return s[:old+grow]
}

// joinRuns is how many runs are looked at after a change.
const joinRuns = 5

// join makes one run of neighbours of the same value, from a place on.
func (s sketch) join(at int) sketch {
	for n := 0; n < joinRuns && at < len(s); n++ {
		r := s.runAt(at)
		if r.value > 0 && r.end < len(s) {
			next := s.runAt(r.end)
			if next.value == r.value && r.n+next.n <= maxRun {
				s = s.splice(at, next.end, []byte{valueRun(r.value, r.n+next.n)})
				continue
			}
		}
		at = r.end
	}
	return s
}
