package resp

import (
	"math"
	"testing"
)

func TestWriter(t *testing.T) {
	for _, tc := range []struct {
		name   string
		write  func(*Writer)
		v2, v3 string
	}{
		{"simple", func(w *Writer) { w.Simple("OK") }, "+OK\r\n", "+OK\r\n"},
		{"error", func(w *Writer) { w.Error("ERR no") }, "-ERR no\r\n", "-ERR no\r\n"},
		{"error in one line", func(w *Writer) { w.Error("ERR a\r\nb\n") }, "-ERR a  b \r\n", "-ERR a  b \r\n"},
		{"int", func(w *Writer) { w.Int(7) }, ":7\r\n", ":7\r\n"},
		{"int min", func(w *Writer) { w.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"int -1", func(w *Writer) { w.Int(-1) }, ":-1\r\n", ":-1\r\n"},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\nb")) }, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
		{"bulk nil", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", "$0\r\n\r\n"},
		{"bulk string", func(w *Writer) { w.BulkString("0123456789") }, "$10\r\n0123456789\r\n", "$10\r\n0123456789\r\n"},
		{"null", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.Array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(w *Writer) { w.Map(6) }, "*12\r\n", "%6\r\n"},
		{"set", func(w *Writer) { w.Set(3) }, "*3\r\n", "~3\r\n"},
		{"push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"double", func(w *Writer) { w.Double(1.5) }, "$3\r\n1.5\r\n", ",1.5\r\n"},
		{"inf", func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"big", func(w *Writer) { w.BigNumber("123") }, "$3\r\n123\r\n", "(123\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "hi") }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
		{"raw", func(w *Writer) { w.Raw([]byte("+x\r\n")) }, "+x\r\n", "+x\r\n"},
	} {
		for _, v := range []struct {
			proto int
			want  string
		}{{2, tc.v2}, {3, tc.v3}, {0, tc.v2}} {
			w := Writer{Proto: v.proto, Buf: []byte("before")}
			tc.write(&w)
			if got := string(w.Buf); got != "before"+v.want {
				t.Errorf("%s in version %d: %q, want %q", tc.name, v.proto, got, "before"+v.want)
			}
		}
	}
}

func TestAppendDouble(t *testing.T) {
	for _, tc := range []struct {
		f    float64
		want string
	}{
		{0, "0"}, {math.Copysign(0, -1), "-0"}, {1, "1"}, {-3, "-3"}, {0.1, "0.1"}, {-0.1, "-0.1"},
		{3.14159, "3.14159"}, {100, "100"}, {1e15, "1000000000000000"}, {1e18, "1000000000000000000"},
		{1e19, "1e+19"}, {1.5e300, "1.5e+300"}, {12345678901234567890, "12345678901234567000"},
		{0.001, "0.001"}, {0.000001, "0.000001"}, {0.0000001, "1e-7"}, {1.23e-5, "1.23e-5"}, {0.00123, "0.00123"},
		{0.30000000000000004, "0.30000000000000004"}, {123456.789, "123456.789"}, {math.SmallestNonzeroFloat64, "5e-324"},
		{math.Inf(1), "inf"}, {math.NaN(), "nan"}, {-1e-10, "-1e-10"}, {1.7976931348623157e308, "1.7976931348623157e+308"},
	} {
		if got := string(AppendDouble(nil, tc.f)); got != tc.want {
			t.Errorf("%v: %q, want %q", tc.f, got, tc.want)
		}
	}
}

func TestWriterDoesNotAllocate(t *testing.T) {
	w := Writer{Buf: make([]byte, 0, 4096), Proto: 3}
	value := []byte("value")
	if n := testing.AllocsPerRun(100, func() {
		w.Buf = w.Buf[:0]
		w.Simple("OK")
		w.Error("ERR no")
		w.Int(123456)
		w.Bulk(value)
		w.BulkString("text")
		w.Map(1)
		w.Double(1.25)
		w.Verbatim("txt", "text")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendCommand(t *testing.T) {
	want := "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
	if got := string(AppendCommand(nil, "GET", "k")); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := string(AppendCommand(nil, []byte("GET"), []byte("k"))); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
