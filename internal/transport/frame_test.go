package transport

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

var update = flag.Bool("update", false, "write the golden files anew: only for a new protocol version")

func TestGolden(t *testing.T) {
	h := hello{minVersion: 1, maxVersion: 3, purpose: purposePeer, cluster: [16]byte{1, 2, 15: 16}, node: 0x0102030405060708, incarnation: 7, destination: 9, attempt: 300}
	w := welcome{status: statusWrongNode, version: 1, minVersion: 1, maxVersion: 2, cluster: [16]byte{1, 2, 15: 16}, node: 9, incarnation: 1 << 40}
	b := batch{frames: []frame{{msg: make([]byte, 5000), lo: 0, hi: minChunk, class: Bulk}}}
	b.encode(true)
	for name, data := range map[string][]byte{
		"hello-v1":   h.encode(),
		"welcome-v1": w.encode(),
		"frame-v1":   frames(Append, []byte("some raft messages")),
		"empty-v1":   frames(Control, nil),
		"part-v1":    b.buf[:frameHeader+8],
	} {
		file := filepath.Join("testdata", name+".hex")
		if *update {
			if err := os.WriteFile(file, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(data); got != strings.TrimSpace(string(want)) {
			t.Errorf("%s: the bytes of version 1 changed\n got %s\nwant %s", name, got, want)
		}
	}
	if got, err := readHello(bytes.NewReader(h.encode())); err != nil || got != h {
		t.Errorf("hello: %+v %v", got, err)
	}
	if got, err := readWelcome(bytes.NewReader(w.encode())); err != nil || got != w {
		t.Errorf("welcome: %+v %v", got, err)
	}
}

// TestReaderSizes sends messages of all interesting lengths through readers
// that give as little, as much, or as oddly as a network may.
func TestReaderSizes(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	var stream []byte
	var want []got
	for i, n := range []int{0, 1, 100, bigFrame - 1, bigFrame, bigFrame + 1, readBuffer - frameHeader, readBuffer, 0, MaxFrame - 1, MaxFrame,
		MaxFrame + 1, 3, 2*MaxFrame + 1, 100, 100, 100} {
		msg := make([]byte, n)
		rng.Read(msg)
		g := got{class: Class(i % NumClasses), msg: msg}
		want = append(want, g)
		stream = append(stream, frames(g.class, msg)...)
	}
	for name, src := range map[string]io.Reader{
		"whole":    bytes.NewReader(stream),
		"halves":   iotest.HalfReader(bytes.NewReader(stream)),
		"data+err": iotest.DataErrReader(bytes.NewReader(stream)),
		"bytes":    iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		r := newReader(src, 1<<20, anyClass)
		var msgs []got
		for {
			class, msg, err := r.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: after %d messages: %v", name, len(msgs), err)
			}
			msgs = append(msgs, got{class: class, msg: msg})
		}
		if len(msgs) != len(want) {
			t.Fatalf("%s: %d messages, want %d", name, len(msgs), len(want))
		}
		for i := range msgs { // compared at the end: none may have been overwritten
			if msgs[i].class != want[i].class || !bytes.Equal(msgs[i].msg, want[i].msg) {
				t.Errorf("%s: message %d differs", name, i)
			}
		}
	}
}

// TestReaderInterleaved: the parts of messages of different classes may mix.
func TestReaderInterleaved(t *testing.T) {
	big := bytes.Repeat([]byte("b"), MaxFrame+10)
	parts := frames(Bulk, big)
	first := frameHeader + MaxFrame
	stream := append(bytes.Clone(parts[:first]), frames(Control, []byte("beat"))...)
	stream = append(stream, parts[first:]...)
	msgs, err := readAll(t, stream, 1<<20)
	if err != nil || len(msgs) != 2 || string(msgs[0].msg) != "beat" || !bytes.Equal(msgs[1].msg, big) {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
}

func TestReaderRejects(t *testing.T) {
	good := frames(Request, []byte("payload"))
	at := func(i int, v byte) []byte {
		b := bytes.Clone(good)
		b[i] = v
		return b
	}
	part := frames(Bulk, make([]byte, MaxFrame+1))
	for _, tc := range []struct {
		name   string
		stream []byte
		want   error
	}{
		{"payload", at(len(good)-1, 'x'), errChecksum},
		{"class", at(9, 2), errChecksum},
		{"unknown class", at(9, 6), errFrame},
		{"version", at(8, 2), errFrame},
		{"flags", at(10, 2), errFrame},
		{"short part", at(10, 1), errFrame},
		{"reserved", at(11, 1), errFrame},
		{"length", at(0, 0xff), errFrame},
		{"cut header", good[:5], io.ErrUnexpectedEOF},
		{"cut payload", good[:len(good)-1], io.ErrUnexpectedEOF},
		{"cut big payload", part[:MaxFrame/2], io.ErrUnexpectedEOF},
		{"too large", part, errTooLarge},
	} {
		if msgs, err := readAll(t, tc.stream, MaxFrame); !errors.Is(err, tc.want) || len(msgs) != 0 {
			t.Errorf("%s: %d messages, %v, want %v", tc.name, len(msgs), err, tc.want)
		}
	}
}

// TestReaderMemory: a header that announces much allocates at most a frame.
func TestReaderMemory(t *testing.T) {
	head := frames(Append, make([]byte, MaxFrame))[:frameHeader]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = readAll(t, head, 1<<30)
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > MaxFrame+2*readBuffer {
		t.Errorf("12 bytes made the reader allocate %d", spent)
	}
}

// TestReaderAllocations: small messages share their memory.
func TestReaderAllocations(t *testing.T) {
	stream := bytes.Repeat(frames(Control, make([]byte, 100)), 1000)
	allocs := testing.AllocsPerRun(10, func() { _, _ = readAll(t, stream, 1<<20) })
	// Among them are those of the list of messages.
	if allocs > 40 {
		t.Errorf("%.0f allocations for 1000 messages", allocs)
	}
}

// FuzzReader: no stream of bytes makes the reader panic, or hand out more than
// came in.
func FuzzReader(f *testing.F) {
	f.Add(frames(Request, []byte("payload")))
	f.Add(append(frames(Bulk, make([]byte, MaxFrame+minChunk)), frames(Control, nil)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		// Give the frames right checksums, or nothing gets past the first.
		for b := stream; len(b) >= frameHeader; {
			h, err := parseHeader(b)
			if err != nil || len(b) < frameHeader+h.length {
				break
			}
			putHeader(b, h.class, h.flags, b[frameHeader:frameHeader+h.length])
			b = b[frameHeader+h.length:]
		}
		msgs, _ := readAll(t, stream, 1<<20)
		total := 0
		for _, m := range msgs {
			total += frameHeader + len(m.msg)
		}
		if total > len(stream) {
			t.Errorf("%d bytes of messages out of %d", total, len(stream))
		}
	})
}

// FuzzHandshake: no bytes make the handshake panic.
func FuzzHandshake(f *testing.F) {
	h, w := helloFrom(1, 2, 3), welcome{status: 1}
	f.Add(h.encode())
	f.Add(w.encode())
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = readHello(bytes.NewReader(b))
		if w, err := readWelcome(bytes.NewReader(b)); err == nil {
			_ = w.refusal(&h)
		}
	})
}
