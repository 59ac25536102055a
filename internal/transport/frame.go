package transport

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A frame is a header and a payload. The header, frozen, big endian:
//
//	0  length    u32  of the payload, at most MaxFrame
//	4  checksum  u32  CRC-32C of everything behind it: header from 8 on, payload
//	8  version   u8   the protocol version of the handshake
//	9  class     u8
//	10 flags     u8   bit 0: the message goes on in the class's next frame
//	11 reserved  u8   zero
const (
	// MaxFrame is the longest payload of a frame, in bytes. Longer messages are
	// cut.
	MaxFrame = 256 << 10
	// minChunk is the shortest payload of a frame with flagMore. It keeps a
	// message from being cut into so many pieces that they cost more memory than
	// they hold.
	minChunk = 4 << 10

	frameHeader = 12
	flagMore    = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	length   int
	checksum uint32
	class    Class
	flags    uint8
}

// putHeader writes the frame header of a payload into h.
func putHeader(h []byte, class Class, flags uint8, payload []byte) {
	_ = h[frameHeader-1]
	binary.BigEndian.PutUint32(h, uint32(len(payload)))
	h[8], h[9], h[10], h[11] = maxVersion, byte(class.swapped()), flags, 0
	binary.BigEndian.PutUint32(h[4:], checksum(h, payload))
}

func checksum(h, payload []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, h[8:frameHeader]), castagnoli, payload)
}

// parseHeader reads a frame header and checks all but its checksum.
func parseHeader(h []byte) (header, error) {
	_ = h[frameHeader-1]
	out := header{
		checksum: binary.BigEndian.Uint32(h[4:]),
		class:    Class(h[9]).swapped(),
		flags:    h[10],
	}
	length := binary.BigEndian.Uint32(h)
	out.length = int(length)
	switch {
	case h[8] < minVersion || h[8] > maxVersion:
		return out, fmt.Errorf("%w: version %d", errFrame, h[8])
	case out.class > call:
		return out, fmt.Errorf("%w: class %d", errFrame, h[9])
	case out.flags&^flagMore != 0 || h[11] != 0:
		return out, fmt.Errorf("%w: flags %#x, reserved %#x", errFrame, h[10], h[11])
	case length > MaxFrame:
		return out, fmt.Errorf("%w: %d bytes, at most %d are allowed", errFrame, length, MaxFrame)
	case out.flags&flagMore != 0 && length < minChunk:
		return out, fmt.Errorf("%w: a part of %d bytes, at least %d are needed", errFrame, length, minChunk)
	}
	return out, nil
}
