package resp

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseReply(t *testing.T) {
	str := func(kind byte, s string) Value { return Value{Kind: kind, Str: []byte(s)} }
	for _, tc := range []struct {
		in   string
		want Value
	}{
		{"+OK\r\n", str('+', "OK")},
		{"+\r\n", str('+', "")},
		{"-ERR no\r\n", str('-', "ERR no")},
		{":-12\r\n", Value{Kind: ':', Int: -12}},
		{":+12\r\n", Value{Kind: ':', Int: 12}},
		{"$3\r\na\r\n\r\n", str('$', "a\r\n")},
		{"$0\r\n\r\n", str('$', "")},
		{"$-1\r\n", Value{Kind: '$', Null: true}},
		{"*-1\r\n", Value{Kind: '*', Null: true}},
		{"_\r\n", Value{Kind: '_', Null: true}},
		{"#t\r\n", Value{Kind: '#', Int: 1}},
		{"#f\r\n", Value{Kind: '#'}},
		{",-inf\r\n", Value{Kind: ',', Float: math.Inf(-1), Str: []byte("-inf")}},
		{",1e3\r\n", Value{Kind: ',', Float: 1000, Str: []byte("1e3")}},
		{"(12345678901234567890\r\n", str('(', "12345678901234567890")},
		{"!5\r\nERR a\r\n", str('!', "ERR a")},
		{"=6\r\ntxt:hi\r\n", str('=', "txt:hi")},
		{"*0\r\n", Value{Kind: '*'}},
		{"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n", Value{Kind: '*', Elems: []Value{
			{Kind: ':', Int: 1}, {Kind: '*', Elems: []Value{str('$', "x")}}}}},
		{"%1\r\n+a\r\n~1\r\n_\r\n", Value{Kind: '%', Elems: []Value{
			str('+', "a"), {Kind: '~', Elems: []Value{{Kind: '_', Null: true}}}}}},
		{"|1\r\n+ttl\r\n:5\r\n>1\r\n|1\r\n+a\r\n*1\r\n:1\r\n:2\r\n", Value{Kind: '>', Elems: []Value{{Kind: ':', Int: 2}}}},
	} {
		v, n, err := ParseReply([]byte(tc.in + "+behind\r\n"))
		if err != nil || n != len(tc.in) || !reflect.DeepEqual(v, tc.want) {
			t.Errorf("%q: %+v, %d, %v", tc.in, v, n, err)
		}
		for cut := range tc.in {
			if n, err := SkipReply([]byte(tc.in[:cut])); n != 0 || err != nil {
				t.Errorf("%q: %d, %v", tc.in[:cut], n, err)
			}
		}
	}
}

func TestParseReplyErrors(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"hello\r\n", errReplyKind},
		{"\r\n\r\n", errReply},
		{"+a\rb\r\n", errReply},
		{":a\r\n", errReply},
		{":+-1\r\n", errReply},
		{"$-2\r\n", errReply},
		{"$?\r\n", errReply},
		{"$1\r\nabc\r\n", errReply},
		{"*4294967296\r\n", errReply},
		{"%-1\r\n", errReply},
		{"#x\r\n", errReply},
		{"_x\r\n", errReply},
		{",x\r\n", errReply},
		{strings.Repeat("*1\r\n", maxDepth+1) + ":1\r\n", errReplyDepth},
	} {
		if v, n, err := ParseReply([]byte(tc.in)); !errors.Is(err, tc.want) || n != 0 {
			t.Errorf("%q: %+v, %d, %v", tc.in, v, n, err)
		}
	}
}

func TestValue(t *testing.T) {
	v, _, _ := ParseReply([]byte("-MOVED 1 a:1\r\n"))
	var reply ReplyError
	if !errors.As(v.Err(), &reply) || reply != "MOVED 1 a:1" {
		t.Errorf("Err: %v", v.Err())
	}
	v, _, _ = ParseReply([]byte("=6\r\ntxt:hi\r\n"))
	if v.Err() != nil || v.Text() != "hi" {
		t.Errorf("%v, %q", v.Err(), v.Text())
	}
}

// write is what a Writer in version 3 makes of a value.
func write(w *Writer, v Value) {
	switch v.Kind {
	case '+':
		w.Simple(string(v.Str))
	case '-':
		w.Error(string(v.Str))
	case '$':
		w.Bulk(v.Str)
	case ':':
		w.Int(v.Int)
	case ',':
		w.Double(v.Float)
	case '#':
		w.Bool(v.Int == 1)
	case '_':
		w.Null()
	case '(':
		w.BigNumber(string(v.Str))
	case '=':
		w.Verbatim(string(v.Str[:3]), string(v.Str[4:]))
	case '*':
		w.Array(len(v.Elems))
	case '~':
		w.Set(len(v.Elems))
	case '>':
		w.Push(len(v.Elems))
	case '%':
		w.Map(len(v.Elems) / 2)
	}
	for _, e := range v.Elems {
		write(w, e)
	}
}

func genValue(depth int) *rapid.Generator[Value] {
	return rapid.Custom(func(t *rapid.T) Value {
		kinds := []byte("+-$:,#_(=*~>%")
		if depth == 0 {
			kinds = kinds[:9]
		}
		v := Value{Kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
		switch v.Kind {
		case '+', '-', '(':
			v.Str = []byte(rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "line"))
		case '$':
			v.Str = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
		case '=':
			v.Str = append([]byte("mkd:"), rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
		case ':':
			v.Int = rapid.Int64().Draw(t, "int")
		case '#':
			v.Int = rapid.Int64Range(0, 1).Draw(t, "bool")
		case ',':
			v.Float = rapid.Float64().Draw(t, "float")
			v.Str = AppendDouble(nil, v.Float)
		case '_':
			v.Null = true
		case '%':
			v.Elems = rapid.SliceOfN(genValue(depth-1), 2, 2).Draw(t, "pair")
		default:
			v.Elems = rapid.SliceOfN(genValue(depth-1), 1, 4).Draw(t, "elems")
		}
		return v
	})
}

func TestReplyReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genValue(3).Draw(t, "value")
		w := Writer{Proto: 3}
		write(&w, want)
		got, n, err := ParseReply(w.Buf)
		if err != nil || n != len(w.Buf) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %+v, %d, %v; want %+v", w.Buf, got, n, err, want)
		}
		cut := rapid.IntRange(0, len(w.Buf)-1).Draw(t, "cut")
		if n, err := SkipReply(w.Buf[:cut]); n != 0 || err != nil {
			t.Fatalf("%q: %d, %v", w.Buf[:cut], n, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{
		"+OK\r\n", "$3\r\nabc\r\n", "*2\r\n:1\r\n_\r\n", "%1\r\n+a\r\n,1.5\r\n", "|1\r\n+a\r\n+b\r\n#t\r\n",
		"*4294967295\r\n", "$9223372036854775807\r\n", "*-1\r\n", "=6\r\ntxt:hi\r\n", "%4294967295\r\n+a\r\n",
	} {
		f.Add([]byte(s), uint16(2))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		v, n, err := ParseReply(in)
		skipped, skipErr := SkipReply(in)
		if n > 0 && skipped != n || n > len(in) || err == nil && (skipErr != nil || skipped != n) {
			t.Fatalf("%q: %d, %v; skipped %d, %v", in, n, err, skipped, skipErr)
		}
		if elems := count(v); elems > len(in) {
			t.Fatalf("%d values in %d bytes", elems, len(in))
		}
		if n > 0 {
			if m, err := SkipReply(in[:int(cut)%n]); m != 0 || err != nil {
				t.Fatalf("a beginning of %q: %d, %v", in, m, err)
			}
			if m, err := SkipReply(append(bytes.Clone(in[:n]), "garbage"...)); m != n || err != nil {
				t.Fatalf("%q with more behind: %d, %v", in[:n], m, err)
			}
		}
	})
}

func count(v Value) int {
	n := 1
	for _, e := range v.Elems {
		n += count(e)
	}
	return n - 1 + min(1, int(v.Kind))
}

func TestSkipReplyDoesNotAllocate(t *testing.T) {
	in := []byte("*4294967295\r\n*4294967295\r\n")
	if n := testing.AllocsPerRun(10, func() {
		if _, n, err := ParseReply(in); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSkipReply(b *testing.B) {
	for _, bm := range []struct{ name, in string }{
		{"ok", "+OK\r\n"},
		{"bulk64", "$64\r\n" + strings.Repeat("v", 64) + "\r\n"},
	} {
		in := []byte(bm.in)
		b.Run(bm.name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if n, _ := SkipReply(in); n == 0 {
					b.Fatal("incomplete")
				}
			}
		})
	}
}
