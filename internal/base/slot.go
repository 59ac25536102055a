package base

import "bytes"

// KeySlot is the hash slot of a key: CRC16 (XMODEM) of the key modulo
// NumSlots, or of its hash tag, the part between the first '{' and the next
// '}', when that part is not empty. Source: the Redis Cluster specification.
func KeySlot(key []byte) Slot {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	return Slot(crc16(key) % NumSlots)
}

func crc16(p []byte) uint16 {
	var crc uint16
	for _, b := range p {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^b]
	}
	return crc
}

var crcTable = makeCRCTable()

// makeCRCTable builds the table of CRC-16/XMODEM: polynomial 0x1021, most
// significant bit first, initial value 0.
func makeCRCTable() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[i] = crc
	}
	return t
}
