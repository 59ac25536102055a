package bench

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"

	"coterie/internal/base"
	"coterie/internal/resp"
)

// frame is one command as it goes over the wire, with holes: digits of keys
// and bytes of values are written over a copy of it.
type frame struct {
	wire   []byte
	keys   []int // offsets of the keys' digits
	digits int   // of one key
	values []int // offsets of the values

	routed  []byte // the argument that the first key is in; empty when there is none
	hole    int    // offset of the key's digits in it
	scratch []byte // routed's working copy; a worker's own
}

// workload is the frames of a phase and how often each is chosen.
type workload struct {
	frames []frame
	reads  float64 // share of frames[0], when there are two
}

func newWorkload(c Config) (workload, error) {
	switch strings.ToLower(strings.TrimSpace(c.Command)) {
	case "get":
		return c.workload(0, keyPrefix, "GET __key__")
	case "set":
		return c.workload(0, keyPrefix, "SET __key__ __value__")
	case "mixed":
		return c.workload(c.ReadShare, keyPrefix, "GET __key__", "SET __key__ __value__")
	case "incr":
		return c.workload(0, counterPrefix, "INCR __key__")
	}
	return c.workload(0, keyPrefix, c.Command)
}

func (c Config) workload(reads float64, prefix string, templates ...string) (workload, error) {
	w := workload{reads: reads}
	key := []byte(prefix + strings.Repeat("0", c.KeySize-len(prefix)))
	for _, t := range templates {
		args, ok := resp.SplitWords([]byte(t), nil)
		if !ok || len(args) == 0 {
			return w, fmt.Errorf("command %q: empty, or its quotes are not balanced", t)
		}
		w.frames = append(w.frames, newFrame(args, key, len(prefix), c.ValueSize))
	}
	return w, nil
}

const (
	keyHole   = "__key__"
	valueHole = "__value__"
)

// newFrame builds a frame from a command's arguments with placeholders. key
// is a key's text, with zeros for digits behind its prefix.
func newFrame(args [][]byte, key []byte, prefix, valueSize int) frame {
	f := frame{digits: len(key) - prefix}
	value := bytes.Repeat([]byte("v"), valueSize)
	f.wire = fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		text, keys, values := fillHoles(arg, key, value)
		f.wire = fmt.Appendf(f.wire, "$%d\r\n", len(text))
		at := len(f.wire)
		f.wire = append(append(f.wire, text...), "\r\n"...)
		if f.routed == nil && len(keys) > 0 {
			f.routed, f.hole = text, keys[0]+prefix
		}
		for _, k := range keys {
			f.keys = append(f.keys, at+k+prefix)
		}
		for _, v := range values {
			f.values = append(f.values, at+v)
		}
	}
	return f
}

// fillHoles puts key and value in the place of their placeholders, and says
// where in the text.
func fillHoles(arg, key, value []byte) (text []byte, keys, values []int) {
	for len(arg) > 0 {
		switch {
		case bytes.HasPrefix(arg, []byte(keyHole)):
			keys = append(keys, len(text))
			text, arg = append(text, key...), arg[len(keyHole):]
		case bytes.HasPrefix(arg, []byte(valueHole)):
			values = append(values, len(text))
			text, arg = append(text, value...), arg[len(valueHole):]
		default:
			text, arg = append(text, arg[0]), arg[1:]
		}
	}
	return text, keys, values
}

// slot is where the frame with the given key belongs; ok is false when it has
// no key and may go anywhere.
func (f *frame) slot(key uint64) (s base.Slot, ok bool) {
	if len(f.routed) == 0 {
		return 0, false
	}
	f.scratch = append(f.scratch[:0], f.routed...)
	putDigits(f.scratch[f.hole:f.hole+f.digits], key)
	return base.KeySlot(f.scratch), true
}

// appendTo appends the request. Its first key is given, because that has
// decided where it goes; more keys and the values are drawn from src.
func (f *frame) appendTo(out []byte, key uint64, src *source) []byte {
	at := len(out)
	out = append(out, f.wire...)
	for i, hole := range f.keys {
		if i > 0 {
			key = src.key()
		}
		putDigits(out[at+hole:at+hole+f.digits], key)
	}
	for _, hole := range f.values {
		src.value(out[at+hole:])
	}
	return out
}

// putDigits writes n right-aligned over zeros.
func putDigits(zeros []byte, n uint64) {
	for i := len(zeros) - 1; n > 0 && i >= 0; i-- {
		zeros[i] = byte('0' + n%10)
		n /= 10
	}
}

// source draws keys and values. It belongs to one worker.
type source struct {
	rng  *rand.PCG
	keys uint64

	// Sequential: the worker's share of the keys, every stride-th of them.
	sequential   bool
	next, stride uint64

	zipf *zipf

	pool      []byte // random text that values are cut from
	valueSize int
}

// newSource returns the source of worker number index of several.
func newSource(c Config, index, workers int) source {
	s := source{
		rng:       rand.NewPCG(c.Seed, uint64(index)),
		keys:      uint64(c.Keys),
		next:      uint64(index) % uint64(c.Keys),
		stride:    uint64(workers),
		valueSize: c.ValueSize,
	}
	switch c.Distribution {
	case "sequential":
		s.sequential = true
	case "zipfian":
		s.zipf = newZipf(s.keys)
	}
	s.pool = make([]byte, c.ValueSize+poolSpread)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range s.pool {
		s.pool[i] = letters[s.rng.Uint64()%64]
	}
	return s
}

// poolSpread is how many bytes apart values may be cut; a power of two.
const poolSpread = 4096

func (s *source) key() uint64 {
	switch {
	case s.sequential:
		k := s.next
		s.next = (s.next + s.stride) % s.keys
		return k
	case s.zipf != nil:
		return s.zipf.rank(s.float())
	}
	// The high half of a 128-bit product is uniform enough without a division.
	high, _ := bits.Mul64(s.rng.Uint64(), s.keys)
	return high
}

func (s *source) float() float64 { return float64(s.rng.Uint64()>>11) / (1 << 53) }

// value writes a value to the beginning of dst.
func (s *source) value(dst []byte) {
	at := int(s.rng.Uint64() % poolSpread)
	copy(dst[:s.valueSize], s.pool[at:])
}

// zipf draws ranks from 0 to n-1, rank r with a probability in proportion to
// 1/(r+1)^0.99. The method is Gray et al., "Quickly generating billion-record
// synthetic databases", SIGMOD 1994.
type zipf struct {
	n                   float64
	zeta, eta, secondAt float64
}

const zipfExponent = 0.99

func newZipf(n uint64) *zipf {
	z := &zipf{n: float64(n), zeta: zetaSum(n), secondAt: 1 + math.Pow(0.5, zipfExponent)}
	z.eta = (1 - math.Pow(2/z.n, 1-zipfExponent)) / (1 - zetaSum(2)/z.zeta)
	return z
}

// rank maps u, uniform in [0, 1), to a rank.
func (z *zipf) rank(u float64) uint64 {
	switch uz := u * z.zeta; {
	case uz < 1 || z.n < 2:
		return 0
	case uz < z.secondAt || z.n < 3:
		return 1
	}
	r := z.n * math.Pow(z.eta*u-z.eta+1, 1/(1-zipfExponent))
	return uint64(min(r, z.n-1))
}

// zetaSum is the sum of 1/i^0.99 for i from 1 to n: added up to a thousand,
// and by Euler and Maclaurin's formula beyond.
func zetaSum(n uint64) float64 {
	const exact = 1000
	sum := 0.0
	for i := uint64(1); i <= min(n, exact); i++ {
		sum += math.Pow(float64(i), -zipfExponent)
	}
	if n > exact {
		a, b := float64(exact), float64(n)
		const e = 1 - zipfExponent
		sum += (math.Pow(b, e)-math.Pow(a, e))/e + (math.Pow(b, -zipfExponent)-math.Pow(a, -zipfExponent))/2
	}
	return sum
}
