package resp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func words(args [][]byte) []string {
	out := []string{}
	for _, a := range args {
		out = append(out, string(a))
	}
	return out
}

func TestParserCommands(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string // empty: consumed without a command
	}{
		{"*1\r\n$4\r\nPING\r\n", []string{"PING"}},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", []string{"GET", ""}},
		{"*2\r\n$4\r\nECHO\r\n$12\r\na\r\nb\x00c$1\r\nxx\r\n", []string{"ECHO", "a\r\nb\x00c$1\r\nxx"}},
		{"*0\r\n", nil},
		{"*-1\r\n", nil},
		{"*-10\r\n", nil},
		{"\r\n", nil},
		{"\n", nil},
		{"  \t \r\n", nil},
		{"PING\r\n", []string{"PING"}},
		{"PING\n", []string{"PING"}},
		{"  set  a\tb \r\n", []string{"set", "a", "b"}},
		{`set k "a b\n\x41\x0a\q\"" ` + "\r\n", []string{"set", "k", "a b\nA\nq\""}},
		{`set k '\n\'"x'` + "\n", []string{"set", "k", `\n'"x`}},
		{`set k "" ''` + "\n", []string{"set", "k", "", ""}},
		{`set k a"b c"` + "\n", []string{"set", "k", "ab c"}},
		{`set k a\x41\n` + "\n", []string{"set", "k", `a\x41\n`}},
		{`set k "\xZZ\x4"` + "\n", []string{"set", "k", "xZZx4"}},
		{`set k "\r\t\b\a\\"` + "\n", []string{"set", "k", "\r\t\b\a\\"}},
		{"set \x00k v\n", []string{"set", "\x00k", "v"}},
	} {
		const behind = "*1\r\n$1\r\nX\r\n"
		args, n, err := NewParser(Limits{}).Next([]byte(tc.in+behind), nil)
		if err != nil || n != len(tc.in) || !slices.Equal(words(args), append([]string{}, tc.want...)) {
			t.Errorf("%q: %q, %d, %v", tc.in, args, n, err)
		}
		for cut := range tc.in { // every proper beginning is incomplete
			if args, n, err := NewParser(Limits{}).Next([]byte(tc.in[:cut]), nil); len(args) != 0 || n != 0 || err != nil {
				t.Errorf("%q: %q, %d, %v", tc.in[:cut], args, n, err)
			}
		}
	}
}

func TestParserErrors(t *testing.T) {
	limits := Limits{MaxArgs: 10, MaxBulk: 100, MaxInline: 50, MaxRequest: 300}
	long := strings.Repeat("1", 51)
	for _, tc := range []struct{ in, want string }{
		{"*a\r\n", "invalid multibulk length"},
		{"*\r\n", "invalid multibulk length"},
		{"*+1\r\n", "invalid multibulk length"},
		{"*01\r\n", "invalid multibulk length"},
		{"* 1\r\n", "invalid multibulk length"},
		{"*-0\r\n", "invalid multibulk length"},
		{"*11\r\n", "invalid multibulk length"},
		{"*99999999999999999999\r\n", "invalid multibulk length"},
		{"*1\r\n$a\r\n", "invalid bulk length"},
		{"*1\r\n$\r\n", "invalid bulk length"},
		{"*1\r\n$-1\r\n", "invalid bulk length"},
		{"*1\r\n$101\r\n", "invalid bulk length"},
		{"*1\r\nGET\r\n", "expected '$', got 'G'"},
		{"*1\r\n:1\r\n", "expected '$', got ':'"},
		{"*1\r\n\r\n", "expected '$', got ' '"},
		{"*2\r\n$1\r\na\r\n\xff1\r\n", "expected '$', got '\xff'"},
		{"*" + long, "too big mbulk count string"},
		{"*1\r\n$" + long, "too big bulk count string"},
		{long, "too big inline request"},
		{long + "\n", "too big inline request"},
		{"set k \"a\n", "unbalanced quotes in request"},
		{"set k 'a\n", "unbalanced quotes in request"},
		{"set k \"a\"b\n", "unbalanced quotes in request"},
		{"set k 'a''b'\n", "unbalanced quotes in request"},
		{"set k \"a\\\n", "unbalanced quotes in request"},
		{"a b c d e f g h i j k\n", "invalid multibulk length"},
		{"*4\r\n" + strings.Repeat("$100\r\n"+strings.Repeat("x", 100)+"\r\n", 3), "too big request"},
	} {
		whole := feed(NewParser(limits), []byte(tc.in), len(tc.in))
		if whole.err == nil || whole.err.Error() != "Protocol error: "+tc.want {
			t.Errorf("%q: %v, want %s", tc.in, whole.err, tc.want)
		}
		for _, piece := range []int{1, 2, 3, 7} {
			if got := feed(NewParser(limits), []byte(tc.in), piece); !got.equal(whole) {
				t.Errorf("%q in pieces of %d: %v, whole: %v", tc.in, piece, got, whole)
			}
		}
	}
}

// outcome is all that a parser found in a stream.
type outcome struct {
	commands [][]string
	consumed int
	err      error
}

func (o outcome) equal(p outcome) bool {
	return slices.EqualFunc(o.commands, p.commands, slices.Equal[[]string]) && o.consumed == p.consumed && o.err == p.err
}

// feed gives a stream to a parser in pieces of the given size, moving the
// buffer each time.
func feed(p *Parser, stream []byte, piece int) (o outcome) {
	var dst [][]byte
	var buf []byte
	for len(stream) > 0 {
		n := min(max(piece, 1), len(stream))
		buf = append(slices.Clone(buf), stream[:n]...)
		stream = stream[n:]
		for {
			args, n, err := p.Next(buf, dst)
			if err != nil {
				o.err = err
				return o
			}
			if n == 0 {
				break
			}
			if len(args) > 0 {
				o.commands = append(o.commands, words(args))
			}
			buf, dst = buf[n:], args
			o.consumed += n
		}
	}
	return o
}

func TestParserReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		arg := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 40), rapid.Just([]byte("*1\r\n$1\r\n")))
		commands := rapid.SliceOfN(rapid.SliceOfN(arg, 1, 12), 0, 8).Draw(t, "commands")
		var stream []byte
		var want [][]string
		for _, c := range commands {
			stream = AppendCommand(stream, c...)
			want = append(want, words(c))
		}
		piece := rapid.IntRange(1, len(stream)+1).Draw(t, "piece")
		got := feed(NewParser(Limits{}), stream, piece)
		if !got.equal(outcome{commands: want, consumed: len(stream)}) {
			t.Fatalf("%q: %v", stream, got)
		}
	})
}

func FuzzParser(f *testing.F) {
	for _, s := range []string{
		"*1\r\n$4\r\nPING\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*0\r\n\r\n", "set k \"a\\x41\" 'b'\r\n",
		"*1000000\r\n$1\r\n", "*1\r\n$500000000\r\nx", "*-1\r\n*a\r\n", "*1\r\nGET\r\n", "\"\n", "*1\r\n$12345678901234567890\r\n",
		"*12\r\n$10\r\n0123456789xx*3\r",
	} {
		f.Add([]byte(s), 3)
	}
	limits := Limits{MaxArgs: 1 << 20, MaxBulk: 1 << 29, MaxInline: 64, MaxRequest: 1 << 20}
	f.Fuzz(func(t *testing.T, stream []byte, piece int) {
		whole := feed(NewParser(limits), stream, len(stream))
		p := NewParser(limits)
		if got := feed(p, stream, piece); !got.equal(whole) {
			t.Fatalf("%q in pieces of %d: %v, whole: %v", stream, piece, got, whole)
		}
		if held := cap(p.args); held > 64+2*len(stream) {
			t.Fatalf("room for %d arguments after %d bytes", held, len(stream))
		}
	})
}

// A declared length alone makes nothing grow.
func TestParserDoesNotTrustLengths(t *testing.T) {
	dst := make([][]byte, 0, 16)
	p := NewParser(Limits{})
	for _, in := range []string{"*1048576\r\n", "*1\r\n$536870912\r\n"} {
		buf := []byte(in)
		if n := testing.AllocsPerRun(10, func() {
			p.Reset()
			if args, n, err := p.Next(buf, dst); len(args) != 0 || n != 0 || err != nil {
				t.Fatal(args, n, err)
			}
		}); n != 0 {
			t.Errorf("%q: %v allocations", in, n)
		}
	}
}

func TestParserDoesNotAllocate(t *testing.T) {
	dst := make([][]byte, 0, 16)
	p := NewParser(Limits{})
	set := AppendCommand(nil, "SET", "key:000000000001", strings.Repeat("v", 64))
	inline := []byte("SET key value\r\n")
	if n := testing.AllocsPerRun(100, func() {
		p.Next(set, dst)
		p.Next(set[:20], dst)
		p.Next(set, dst)
		p.Next(inline, dst)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A large command costs the same however small its pieces are, apart from
// the calls: its bytes are not scanned again.
func TestParserKeepsProgress(t *testing.T) {
	args := slices.Repeat([]string{"0123456789"}, 20000)
	stream := AppendCommand(nil, args...)
	p := NewParser(Limits{})
	for i := 1; i < len(stream); i++ {
		if _, n, err := p.Next(stream[:i], nil); n != 0 || err != nil {
			t.Fatal(i, n, err)
		}
	}
	got, n, err := p.Next(stream, nil)
	if err != nil || n != len(stream) || len(got) != len(args) {
		t.Fatal(len(got), n, err)
	}
	if cap(p.args) > spansKept {
		t.Errorf("room for %d arguments kept", cap(p.args))
	}
	// A line without end is bounded by MaxInline, and its pieces too.
	line := bytes.Repeat([]byte("x"), 64<<10)
	for i := range line {
		if _, n, err := p.Next(line[:i+1], nil); n != 0 || err != nil {
			t.Fatal(i, n, err)
		}
	}
	if p.scanned != len(line) {
		t.Errorf("scanned %d of %d", p.scanned, len(line))
	}
}

func BenchmarkParser(b *testing.B) {
	for _, bm := range []struct {
		name string
		in   []byte
	}{
		{"get", AppendCommand(nil, "GET", "key:000000000001")},
		{"set64", AppendCommand(nil, "SET", "key:000000000001", strings.Repeat("v", 64))},
		{"mset200", AppendCommand(nil, slices.Repeat([]string{"key:000000000001"}, 200)...)},
		{"inline", []byte("SET key:000000000001 value\r\n")},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p, dst := NewParser(Limits{}), make([][]byte, 0, 256)
			b.SetBytes(int64(len(bm.in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, n, _ := p.Next(bm.in, dst); n == 0 {
					b.Fatal("incomplete")
				}
			}
		})
	}
	b.Run("pieces", func(b *testing.B) {
		in := AppendCommand(nil, slices.Repeat([]string{"key:000000000001"}, 2000)...)
		p, dst := NewParser(Limits{}), make([][]byte, 0, 2000)
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			for i := 0; i < len(in); i += 100 {
				p.Next(in[:i], dst)
			}
			p.Next(in, dst)
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	w := Writer{Buf: make([]byte, 0, 4096)}
	value := []byte(strings.Repeat("v", 64))
	b.ReportAllocs()
	for b.Loop() {
		w.Buf = w.Buf[:0]
		w.Bulk(value)
		w.Simple("OK")
		w.Int(12345)
	}
}

func ExampleParser() {
	p := NewParser(Limits{})
	buf := []byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n")
	var args [][]byte
	for {
		var n int
		var err error
		if args, n, err = p.Next(buf, args); n == 0 || err != nil {
			break
		}
		fmt.Printf("%q\n", args)
		buf = buf[n:]
	}
	// Output:
	// ["GET" "k"]
	// ["PING"]
}
