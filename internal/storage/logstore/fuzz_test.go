package logstore

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// fixPreamble makes the checksum of the first bytes right.
func fixPreamble(img []byte) {
	if len(img) >= preambleBytes {
		binary.LittleEndian.PutUint32(img[12:], checksum(img[:12]))
	}
}

// fixChecksums makes damaged bytes pass for written ones, so that the decoders
// behind the checksums see them.
func fixChecksums(img []byte) {
	fixPreamble(img)
	if len(img) < segmentHeaderBytes {
		return
	}
	binary.LittleEndian.PutUint32(img[60:], checksum(img[:60]))
	segment := binary.LittleEndian.Uint64(img[16:])
	for off := int64(segmentHeaderBytes); off+recordHeaderBytes <= int64(len(img)); {
		h := img[off : off+recordHeaderBytes]
		n := int64(binary.LittleEndian.Uint32(h))
		end := off + recordHeaderBytes + n
		if end > int64(len(img)) {
			return
		}
		binary.LittleEndian.PutUint32(h[4:], checksum(img[off+recordHeaderBytes:end]))
		binary.LittleEndian.PutUint32(h[28:], seededChecksum(segment, uint64(off), h[:28]))
		off = end
	}
}

// FuzzOpen opens a log of one segment made of any bytes: it opens or says what
// is wrong, and what it opened it opens again.
func FuzzOpen(f *testing.F) {
	for _, closed := range []bool{false, true} {
		m, _ := sampleLog(f, closed)
		for name, img := range m {
			seq, _ := parseSegmentName(name)
			f.Add(img[:recordEndOf(f, m, name)], uint32(seq), true)
		}
	}
	f.Add(moveImage(f), uint32(4), true)
	// A checkpoint of one replica that claims entries without end.
	body := appendShape(make([]byte, recordHeaderBytes), 1, &shape{
		replica: 1, last: maxIndex, runs: []termRun{{first: 1, term: 1}},
	})
	sealRecord(body, 1, record{off: segmentHeaderBytes, seq: 1, typ: recordCheckpoint})
	img := append(make([]byte, segmentHeaderBytes), body...)
	(&segmentHeader{segment: 1, firstSeq: 1, durable: uint64(len(img))}).put(img)
	f.Add(img, uint32(1), false)
	f.Fuzz(func(t *testing.T, img []byte, seq uint32, fix bool) {
		if seq == 0 {
			return
		}
		img = append([]byte(nil), img...)
		if fix {
			fixChecksums(img)
		}
		fs := fsOf(t, map[string][]byte{segmentName(uint64(seq)): img})
		s, err := Open(fs, testDir, Options{SegmentBytes: 4 << 10})
		if err != nil {
			if seq < math.MaxUint32 && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) {
				t.Fatal(err)
			}
			return
		}
		before := s.Replicas()
		for _, st := range before {
			if st.First <= st.Last {
				if _, err := s.Entries(st.Partition, st.First, st.Last+1, 1<<30); err != nil && !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
			}
		}
		mustClose(t, s)
		s = mustOpen(t, fs, 4<<10)
		after := s.Replicas()
		if len(before) != len(after) {
			t.Fatalf("%d replicas, then %d", len(before), len(after))
		}
		for i := range before {
			if before[i] != after[i] {
				t.Fatalf("%+v, then %+v", before[i], after[i])
			}
		}
		mustClose(t, s)
	})
}

// moveImage is the oldest segment of a log in which entries were moved.
func moveImage(t testing.TB) []byte {
	fs := newFS(t)
	s := mustOpen(t, fs, 1<<10)
	mustAppend(t, s, Update{Partition: 9, Replica: 1, Entries: ents(1, 2, 1, 30)})
	for i := uint64(1); s.mu.segments[0].seq == 1; i++ {
		mustAppend(t, s, Update{Partition: 1, Replica: 1, Entries: ents(i, i, 1, 300), Truncate: &Mark{i, 1}})
	}
	g := s.segment(s.mu.replicas[9].locs[0].segment)
	mustClose(t, s)
	return readAll(t, fs, g.path)[:g.size]
}
