package script

import (
	"encoding/binary"

	"coterie/internal/rdb"
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

// Dump writes libraries down.
func Dump(list []*Library) (b []byte) {
	for _, l := range list {
		b = rdb.AppendString(append(b, dumpLibrary), l.Code)
	}
	b = binary.LittleEndian.AppendUint16(b, dumpVersion)
	return binary.LittleEndian.AppendUint64(b, rdb.Checksum(b))
}

// ParseDump reads the codes of libraries out of what Dump, or Redis, wrote.
func ParseDump(b []byte) (codes []string, why string) {
	if len(b) < dumpTail {
		return nil, "ERR DUMP payload version or checksum are wrong"
	}
	body, tail := b[:len(b)-dumpTail], b[len(b)-dumpTail:]
	if binary.LittleEndian.Uint16(tail) > dumpVersion || binary.LittleEndian.Uint64(tail[2:]) != rdb.Checksum(b[:len(b)-8]) {
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
		text, rest, ok := rdb.CutString(body[1:], MaxBody)
		if !ok {
			return nil, "ERR Failed loading library data"
		}
		if total += len(text); total > 4*MaxBody {
			return nil, ErrTooLarge
		}
		codes = append(codes, string(text))
		body = rest
	}
	return codes, ""
}
