package script

import (
	"encoding/binary"
	"hash/crc64"
	"strconv"
)

// The format of FUNCTION DUMP is Redis's: for each library a code byte and its text as
// strings are kept in RDB files, then the version of that format in two bytes and a
// checksum in eight.
const (
	dumpLibrary = 245
	dumpPreGA   = 246
	dumpVersion = 11
	dumpTail    = 10
)

// crcTable is of the polynomial that Redis uses, "Jones".
var crcTable = crc64.MakeTable(0x95ac9329ac4bc9b5)

// checksum is Redis's: unlike Go's it begins with 0, and ends as it is.
func checksum(b []byte) uint64 { return ^crc64.Update(^uint64(0), crcTable, b) }

// Dump writes libraries down.
func Dump(list []*Library) (b []byte) {
	for _, l := range list {
		b = append(b, dumpLibrary)
		switch n := len(l.Code); {
		case n < 1<<6:
			b = append(b, byte(n))
		case n < 1<<14:
			b = append(b, 0x40|byte(n>>8), byte(n))
		default:
			b = binary.BigEndian.AppendUint32(append(b, 0x80), uint32(n))
		}
		b = append(b, l.Code...)
	}
	b = binary.LittleEndian.AppendUint16(b, dumpVersion)
	return binary.LittleEndian.AppendUint64(b, checksum(b))
}

// ParseDump reads the codes of libraries out of what Dump, or Redis, wrote.
func ParseDump(b []byte) (codes []string, why string) {
	if len(b) < dumpTail {
		return nil, "ERR DUMP payload version or checksum are wrong"
	}
	body, tail := b[:len(b)-dumpTail], b[len(b)-dumpTail:]
	if binary.LittleEndian.Uint16(tail) > dumpVersion || binary.LittleEndian.Uint64(tail[2:]) != checksum(b[:len(b)-8]) {
		return nil, "ERR DUMP payload version or checksum are wrong"
	}
	total := 0
	for len(body) > 0 {
		switch body[0] {
		case dumpLibrary:
		case dumpPreGA:
			return nil, "ERR Pre-GA function format not supported"
		default:
			return nil, "ERR given type is not a function"
		}
		text, n := dumpString(body[1:], MaxBody)
		if n == 0 {
			return nil, "ERR Failed loading library data"
		}
		if total += len(text); total > 4*MaxBody {
			return nil, ErrTooLarge
		}
		codes = append(codes, text)
		body = body[1+n:]
	}
	return codes, ""
}

// dumpLength reads a length. encoding says that it is none, but how the string is
// encoded. size is how many bytes it takes, 0 if it is malformed.
func dumpLength(b []byte) (n int, encoding bool, size int) {
	if len(b) == 0 {
		return 0, false, 0
	}
	switch b[0] >> 6 {
	case 0:
		return int(b[0]), false, 1
	case 1:
		if len(b) >= 2 {
			return int(b[0]&0x3f)<<8 | int(b[1]), false, 2
		}
	case 3:
		return int(b[0] & 0x3f), true, 1
	default:
		if b[0] == 0x80 && len(b) >= 5 {
			return int(binary.BigEndian.Uint32(b[1:])), false, 5
		}
		if b[0] == 0x81 && len(b) >= 9 {
			if v := binary.BigEndian.Uint64(b[1:]); v < 1<<40 {
				return int(v), false, 9
			}
		}
	}
	return 0, false, 0
}

// dumpString reads a string of at most limit bytes; n is how many it takes, 0 if it is
// malformed.
func dumpString(b []byte, limit int) (text string, n int) {
	length, encoding, at := dumpLength(b)
	if at == 0 {
		return "", 0
	}
	if !encoding {
		if length > len(b)-at || length > limit {
			return "", 0
		}
		return string(b[at : at+length]), at + length
	}
	switch length {
	case 0, 1, 2: // an integer of 1, 2, 4 bytes
		size := 1 << length
		if len(b) < at+size {
			return "", 0
		}
		var v int64
		for i := size - 1; i >= 0; i-- {
			v = v<<8 | int64(b[at+i])
		}
		shift := 64 - 8*size
		return strconv.FormatInt(v<<shift>>shift, 10), at + size
	case 3: // compressed
		packed, enc, k := dumpLength(b[at:])
		if k == 0 || enc {
			return "", 0
		}
		at += k
		full, enc, k := dumpLength(b[at:])
		if k == 0 || enc || full > limit || packed > len(b)-at-k {
			return "", 0
		}
		at += k
		out, ok := expand(b[at:at+packed], full)
		if !ok {
			return "", 0
		}
		return string(out), at + packed
	}
	return "", 0
}

// expand undoes LZF, whose pieces are literal runs, and copies of what came before.
func expand(b []byte, full int) (out []byte, ok bool) {
	out = make([]byte, 0, full)
	for len(b) > 0 {
		c := int(b[0])
		b = b[1:]
		if c < 32 {
			if c++; c > len(b) || len(out)+c > full {
				return nil, false
			}
			out, b = append(out, b[:c]...), b[c:]
			continue
		}
		n := c >> 5
		if n == 7 {
			if len(b) == 0 {
				return nil, false
			}
			n += int(b[0])
			b = b[1:]
		}
		if len(b) == 0 {
			return nil, false
		}
		from := len(out) - (c&0x1f<<8 | int(b[0])) - 1
		b = b[1:]
		if n += 2; from < 0 || len(out)+n > full {
			return nil, false
		}
		for i := range n {
			out = append(out, out[from+i])
		}
	}
	return out, len(out) == full
}
