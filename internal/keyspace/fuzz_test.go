package keyspace

import (
	"bytes"
	"testing"
)

// FuzzParseRecord: a record that parses is written back as it was.
func FuzzParseRecord(f *testing.F) {
	f.Add([]byte{1, 'v'})
	f.Add([]byte{0x81, 0, 0, 1, 2, 3, 4, 5, 6, 'v'})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := ParseRecord(b)
		if !ok {
			return
		}
		if again := AppendRecord(nil, r); !bytes.Equal(again, b) {
			t.Errorf("%x came back as %x", b, again)
		}
		r.Object()
	})
}
