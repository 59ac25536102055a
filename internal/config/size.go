package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. It is written as a plain number of bytes, or
// with a unit: KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers
// of 1000), in any case.
type Size int64

// The binary units.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
)

var errSize = errors.New(`not a size; write a number of bytes, or one with a unit such as 64MiB`)

// sizeUnits is in the order in which ParseSize looks at suffixes: longer
// ones first, since "B" ends them all.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}, {"b", 1},
}

// ParseSize reads a size such as "64MiB", "1.5 GiB" or "4096".
func ParseSize(text string) (Size, error) {
	s, unit := strings.ToLower(strings.TrimSpace(text)), int64(1)
	for _, u := range sizeUnits {
		if strings.HasSuffix(s, u.suffix) {
			s, unit = strings.TrimSpace(strings.TrimSuffix(s, u.suffix)), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		if n > math.MaxInt64/unit {
			return 0, errSize
		}
		return Size(n * unit), nil
	}
	// Only digits and a point: ParseFloat would also take "inf" and "1e3".
	if strings.Trim(s, "0123456789.") != "" {
		return 0, errSize
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f*float64(unit) >= math.MaxInt64 {
		return 0, errSize
	}
	return Size(f * float64(unit)), nil
}

// String writes a size so that ParseSize reads the same back: "64MiB", and in
// bytes where no binary unit divides it.
func (s Size) String() string {
	for _, u := range []struct {
		bytes Size
		name  string
	}{{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s != 0 && s%u.bytes == 0 {
			return fmt.Sprintf("%d%s", s/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}
