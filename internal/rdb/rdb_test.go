package rdb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

const testMax = 1 << 20

// sealed is a value with its footer.
func sealed(body string) []byte {
	e := Encoder{Buf: []byte(body)}
	return e.End()
}

func TestChecksum(t *testing.T) {
	if got := Checksum([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("checksum is %x", got)
	}
}

// prefixed is a string with its length, for a few bytes.
func prefixed(p string) string {
	e := Encoder{}
	e.Item([]byte(p))
	return string(e.Buf)
}

// ziplistOf makes a ziplist of items that are encoded already.
func ziplistOf(items ...string) string {
	body, last, before := "", 10, 0
	for _, it := range items {
		last = 10 + len(body)
		prev := string([]byte{byte(before)})
		if before >= 254 {
			prev = "\xfe" + string(binary.LittleEndian.AppendUint32(nil, uint32(before)))
		}
		body += prev + it
		before = len(prev) + len(it)
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(11+len(body)))
	head = binary.LittleEndian.AppendUint32(head, uint32(last))
	head = binary.LittleEndian.AppendUint16(head, uint16(len(items)))
	return string(head) + body + "\xff"
}

// The forms that servers of today do not write any more, and LZF. Redis 7.0
// reads the same from these payloads.
var old = []struct {
	name, body string
	kind       Kind
	want       []string
	scores     []float64
}{
	{"int8", "\x00\xc0\x85", String, []string{"-123"}, nil},
	{"int16", "\x00\xc1\x39\x30", String, []string{"12345"}, nil},
	{"int32", "\x00\xc2\x00\x00\x00\x80", String, []string{"-2147483648"}, nil},
	{"lzf", "\x00\xc3\x05\x0a\x00x\xe0\x00\x00", String, []string{"xxxxxxxxxx"}, nil},
	{"length of 4 bytes", "\x00\x80\x00\x00\x00\x02ab", String, []string{"ab"}, nil},
	{"length of 8 bytes", "\x00\x81\x00\x00\x00\x00\x00\x00\x00\x02ab", String, []string{"ab"}, nil},
	{"list of strings", "\x01\x02" + "\x01a" + "\xc0\x05", List, []string{"a", "5"}, nil},
	{"ziplist", "\x0a" + prefixed(ziplistOf("\x03abc", "\xf1", "\xfd", "\xfe\x80", "\xc0\x00\x80", "\xf0\xff\xff\x7f", "\xd0\x01\x02\x03\x84", "\xe0\x01\x00\x00\x00\x00\x00\x00\x80",
		"\x41\x2c"+strings.Repeat("m", 300), "\x80\x00\x00\x00\x03xyz", "\x00")),
		List, []string{"abc", "0", "12", "-128", "-32768", "8388607", "-2080177663", "-9223372036854775807", strings.Repeat("m", 300), "xyz", ""}, nil},
	{"quicklist", "\x0e\x02" + prefixed(ziplistOf("\x01a")) + prefixed(ziplistOf("\x01b", "\x01c")), List, []string{"a", "b", "c"}, nil},
	{"hash ziplist", "\x0d" + prefixed(ziplistOf("\x01f", "\x01v", "\x01g", "\xf6")), Hash, []string{"f", "v", "g", "5"}, nil},
	{"zipmap", "\x09" + prefixed("\x02"+"\x01f"+"\x02\x00vv"+"\x01g"+"\x01\x03wxyz"+"\xff"), Hash, []string{"f", "vv", "g", "w"}, nil},
	{"zset ziplist", "\x0c" + prefixed(ziplistOf("\x01a", "\xf2", "\x01b", "\x041e10", "\x01c", "\x03inf")), ZSet, []string{"a", "b", "c"}, []float64{1, 1e10, math.Inf(1)}},
	{"zset of texts", "\x03\x03" + "\x01a\x031.5" + "\x01b\xff" + "\x01c\xfe", ZSet, []string{"a", "b", "c"}, []float64{1.5, math.Inf(-1), math.Inf(1)}},
	{"intset of 2", "\x0b" + prefixed("\x02\x00\x00\x00\x03\x00\x00\x00\xff\xff\x01\x00\x00\x01"), Set, []string{"-1", "1", "256"}, nil},
	{"set listpack", "\x14" + prefixed("\x0c\x00\x00\x00\x02\x00\x05\x01\x81a\x02\xff"), Set, []string{"5", "a"}, nil},
}

func strs(list [][]byte) (s []string) {
	for _, p := range list {
		s = append(s, string(p))
	}
	return s
}

func TestDecodeOldForms(t *testing.T) {
	for _, tc := range old {
		v, err := Decode(sealed(tc.body), testMax)
		if err != nil || v.Kind != tc.kind || !reflect.DeepEqual(strs(v.Items), tc.want) || !reflect.DeepEqual(v.Scores, tc.scores) {
			t.Errorf("%s: %v, %q %v: %v", tc.name, v.Kind, v.Items, v.Scores, err)
		}
		// Nothing that was cut off, or has something behind it, is a value.
		for n := range len(tc.body) {
			if v, err := Decode(sealed(tc.body[:n]), testMax); err == nil {
				t.Errorf("%s: the first %d bytes are %q", tc.name, n, v.Items)
			}
		}
		if _, err := Decode(sealed(tc.body+"\x00"), testMax); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: with a byte behind it: %v", tc.name, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"unknown type":            "\x16\x01a",
		"module":                  "\x07\x01a",
		"an empty list":           "\x01\x00",
		"an empty ziplist":        "\x0a" + prefixed(ziplistOf()),
		"a member twice":          "\x02\x02\x01a\x01a",
		"a field twice":           "\x0d" + prefixed(ziplistOf("\x01f", "\x01v", "\x01f", "\xf6")),
		"a field without a value": "\x0d" + prefixed(ziplistOf("\x01f", "\x01v", "\x01g")),
		"nan":                     "\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",
		"nan as text":             "\x03\x01\x01a\xfd",
		"no score":                "\x0c" + prefixed(ziplistOf("\x01a", "\x01b")),
		"integers out of order":   "\x0b" + prefixed("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x01\x00"),
		"an integer twice":        "\x0b" + prefixed("\x02\x00\x00\x00\x02\x00\x00\x00\x02\x00\x02\x00"),
		"a huge count":            "\x01\x80\xff\xff\xff\xff\x01a",
		"a huge string":           "\x00\x81\x7f\xff\xff\xff\xff\xff\xff\xff",
		"a huge compressed one":   "\x00\xc3\x01\x80\x7f\xff\xff\xffx",
		"lzf from before":         "\x00\xc3\x03\x04\x20\x05\x05",
		"a node of no kind":       "\x12\x01\x03\x01a",
	} {
		if v, err := Decode(sealed(body), testMax); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	if _, err := Decode(sealed("\x00"+prefixed(strings.Repeat("x", 1000))), 500); !errors.Is(err, ErrFormat) {
		t.Errorf("more than the limit: %v", err)
	}
}

// someStream is a stream with all that there can be.
func someStream() *StreamValue {
	s := &StreamValue{Last: ID{9, 1 << 40}, MaxDeleted: ID{7, 7}, Added: 1 << 33}
	for i := range 250 {
		e := Entry{ID: ID{uint64(5 + i/200), uint64(i * 1000)}, Fields: [][]byte{[]byte("f"), []byte(fmt.Sprint(i))}}
		if i%7 == 0 {
			e.Fields = append(e.Fields, []byte(strings.Repeat("g", i*20)), []byte{0, 255})
		}
		s.Entries = append(s.Entries, e)
	}
	s.Groups = []Group{{Name: []byte("empty"), Last: ID{}, Read: Unknown}, {
		Name: []byte("g"), Last: ID{6, 1}, Read: 5,
		Consumers: []Consumer{{[]byte("a"), 100, 100}, {[]byte("b"), 7, 7}},
		Pending:   []Pending{{ID{5, 0}, 1, 99, 3}, {ID{5, 3000}, 0, 101, 1 << 20}, {ID{5, 4000}, 1, 0, 1}},
	}}
	return s
}

func TestStream(t *testing.T) {
	for name, s := range map[string]*StreamValue{"full": someStream(), "empty": {Last: ID{3, 4}}} {
		v, err := Decode(EncodeStream(s), testMax)
		if err != nil || v.Kind != Stream || !reflect.DeepEqual(v.Stream, s) {
			t.Errorf("%s: %v:\n got %+v\nwant %+v", name, err, v.Stream, s)
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*StreamValue){
		"order":    func(s *StreamValue) { s.Entries[1].ID = s.Entries[0].ID },
		"last":     func(s *StreamValue) { s.Last = ID{1, 1} },
		"deleted":  func(s *StreamValue) { s.MaxDeleted = ID{10, 1} },
		"added":    func(s *StreamValue) { s.Added = 3 },
		"groups":   func(s *StreamValue) { s.Groups[0].Name = s.Groups[1].Name },
		"consumer": func(s *StreamValue) { s.Groups[1].Consumers[0].Name = s.Groups[1].Consumers[1].Name },
		"pending":  func(s *StreamValue) { s.Groups[1].Pending[1].ID = s.Groups[1].Pending[0].ID },
		"read":     func(s *StreamValue) { s.Groups[1].Read = -2 },
		"nothing":  func(s *StreamValue) { s.Entries[3].Fields = nil },
	} {
		s := someStream()
		spoil(s)
		if _, err := Decode(EncodeStream(s), testMax); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What DUMP answers is read by others: its bytes do not change by chance.
func TestGolden(t *testing.T) {
	z := NewZSet(1)
	z.Item([]byte("m"))
	z.Score(1.5)
	l := NewList(2)
	l.Item([]byte("a"))
	l.Item(bytes.Repeat([]byte("b"), 70))
	for _, tc := range []struct {
		got  []byte
		want string
	}{
		{sealed("\x00\x05hello"), "000568656c6c6f0a006372df766534200a"},
		{z.End(), "0501016d000000000000f83f0a00"},
		{l.End(), "010201614046" + strings.Repeat("62", 70) + "0a00"},
	} {
		if got := hex.EncodeToString(tc.got); !strings.HasPrefix(got, tc.want) {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, tc := range old {
		f.Add([]byte(tc.body))
	}
	s := EncodeStream(someStream())
	f.Add(s[:len(s)-footerLen])
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := Decode(sealed(string(body)), testMax)
		if err != nil {
			return
		}
		size := 0
		for _, p := range v.Items {
			size += len(p)
		}
		if size > testMax {
			t.Errorf("%d bytes", size)
		}
		if v.Kind == Stream { // what was read can be written and read again
			for i := range v.Stream.Groups {
				g := &v.Stream.Groups[i]
				g.Guess = false
				for j := range g.Consumers {
					g.Consumers[j].Active = g.Consumers[j].Seen
				}
			}
			again, err := Decode(EncodeStream(v.Stream), 64*testMax)
			if err != nil || fmt.Sprint(*again.Stream) != fmt.Sprint(*v.Stream) {
				t.Errorf("%v:\n%+v\n%+v", err, again.Stream, v.Stream)
			}
		}
	})
}
