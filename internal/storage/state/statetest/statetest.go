// Package statetest is the contract of a state store as tests. Every
// implementation runs it; only tests import it.
package statetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"coterie/internal/storage/state"
)

// Subject is an implementation under test.
type Subject struct {
	// Open returns a new, empty store.
	Open func() (state.Store, error)
	// Crash ends a store as a power loss does, and returns what is left of it.
	Crash func(state.Store, *rand.Rand) (state.Store, error)
}

// Run runs the contract.
func Run(t *testing.T, sub Subject) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"Batches", testBatches},
		{"Iterator", testIterator},
		{"Durability", testDurability},
		{"View", testView},
		{"Transfer", testTransfer},
		{"TransferOfNothing", testTransferOfNothing},
		{"DamagedStream", testDamagedStream},
		{"ExportErrors", testExportErrors},
		{"Closed", testClosed},
		{"Model", testModel},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, sub) })
	}
}

// TB is what the helpers need of a test; rapid's T has it too.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

func must[T any](t TB, v T, err error) T {
	t.Helper()
	ok(t, err)
	return v
}

func ok(t TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

func open(t *testing.T, sub Subject) state.Store {
	t.Helper()
	s := must2(t)(sub.Open())
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must2(t TB) func(state.Store, error) state.Store {
	return func(s state.Store, err error) state.Store {
		t.Helper()
		return must(t, s, err)
	}
}

// Commit commits one batch of pairs.
func Commit(t TB, s state.Store, pairs ...string) {
	t.Helper()
	b := s.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	ok(t, s.Commit(b))
}

// Content is everything in a range.
func Content(t TB, r state.Reader, lower, upper []byte) map[string]string {
	t.Helper()
	it, err := r.Iter(lower, upper)
	ok(t, err)
	got := map[string]string{}
	var last []byte
	for it.Next() {
		if last != nil && bytes.Compare(last, it.Key()) >= 0 {
			t.Fatalf("key %q after key %q", it.Key(), last)
		}
		last = bytes.Clone(it.Key())
		got[string(last)] = string(it.Value())
	}
	it.Close()
	ok(t, it.Err())
	return got
}

// Same fails when two contents differ.
func Same(t TB, what string, got, want map[string]string) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Fatalf("%s:\ngot  %s\nwant %s", what, show(got), show(want))
	}
}

func show(m map[string]string) string {
	if len(m) > 60 {
		return fmt.Sprintf("%d keys", len(m))
	}
	var b bytes.Buffer
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%q=%q ", k, m[k])
	}
	return b.String()
}

// Transfer exports spans of a view and receives the stream in pieces.
func Transfer(t TB, from state.View, to state.Store, chunkBytes int, spans ...state.Bounds) state.Import {
	t.Helper()
	im, err := to.NewImport()
	ok(t, err)
	ok(t, from.Export(spans, chunkBytes, im.Write))
	ok(t, im.Finish())
	return im
}

// Span is a Bounds of strings.
func Span(lower, upper string) state.Bounds {
	return state.Bounds{Lower: []byte(lower), Upper: []byte(upper)}
}

func testBatches(t *testing.T, sub Subject) {
	s := open(t, sub)
	b := s.NewBatch()
	b.DeleteRange([]byte("a"), []byte("z"))
	b.Set([]byte("a"), []byte("1"))
	b.Set([]byte("b"), nil)
	b.Set([]byte("c"), []byte("3"))
	b.Delete([]byte("c"))
	if b.Len() != 5 || b.Size() <= 0 {
		t.Errorf("Len %d, Size %d", b.Len(), b.Size())
	}
	ok(t, s.Commit(b))
	if b.Len() != 0 {
		t.Errorf("Commit left %d changes in the batch", b.Len())
	}
	Same(t, "content", Content(t, s, nil, nil), map[string]string{"a": "1", "b": ""})

	v, found, err := s.Get([]byte("a"), []byte("x"))
	if string(v) != "x1" || !found || err != nil {
		t.Errorf("Get appends: %q %v %v", v, found, err)
	}
	if v, found, err := s.Get([]byte("b"), nil); len(v) != 0 || !found || err != nil {
		t.Errorf("an empty value: %q %v %v", v, found, err)
	}
	if v, found, err := s.Get([]byte("c"), []byte("x")); string(v) != "x" || found || err != nil {
		t.Errorf("an absent key: %q %v %v", v, found, err)
	}

	// The batch is used again; what was handed over was copied.
	key, value := []byte("k"), []byte("v")
	b.Set(key, value)
	b.DeleteRange([]byte("b"), []byte("c"))
	b.DeleteRange([]byte("z"), []byte("a"))
	b.DeleteRange([]byte("a"), nil)
	key[0], value[0] = '?', '?'
	ok(t, s.Commit(b))
	Same(t, "content", Content(t, s, nil, nil), map[string]string{"a": "1", "k": "v"})

	b.Set([]byte("never"), nil)
	b.Reset()
	ok(t, s.Commit(b))
	Same(t, "after an empty batch", Content(t, s, nil, nil), map[string]string{"a": "1", "k": "v"})
}

func testIterator(t *testing.T, sub Subject) {
	s := open(t, sub)
	Commit(t, s, "a", "1", "b", "2", "d", "4", "e", "5", "g", "7")
	it, err := s.Iter([]byte("b"), []byte("g"))
	ok(t, err)
	Commit(t, s, "c", "later", "b", "later")
	for i, step := range []struct {
		seek string // "": Next
		want string // "": the end
	}{{"a", "b"}, {"b", "b"}, {"c", "d"}, {"b", "d"}, {"", "e"}, {"e", "e"}, {"", ""}, {"b", ""}, {"", ""}} {
		var found bool
		if step.seek == "" {
			found = it.Next()
		} else {
			found = it.SeekGE([]byte(step.seek))
		}
		if found != (step.want != "") || string(it.Key()) != step.want {
			t.Fatalf("step %d: %v %q, want %q", i, found, it.Key(), step.want)
		}
		if found && (len(it.Value()) != 1 || it.Value()[0] != step.want[0]-'a'+'1') {
			t.Fatalf("step %d: value %q", i, it.Value())
		}
	}
	it.Close()
	ok(t, it.Err())

	for _, b := range []state.Bounds{Span("b", "b"), Span("g", "a"), Span("c", "")} {
		it, err := s.Iter(b.Lower, b.Upper)
		ok(t, err)
		if it.Next() || it.SeekGE([]byte("c")) {
			t.Errorf("an iterator over %v found %q", b, it.Key())
		}
		it.Close()
	}
}

func testDurability(t *testing.T, sub Subject) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := must2(t)(sub.Open())
		ctx := context.Background()
		ok(t, s.Flush(ctx))
		Commit(t, s, "a", "1", "b", "1")
		if _, found, err := s.GetDurable([]byte("b")); found || err != nil {
			t.Fatalf("durable before a flush: %v, %v", found, err)
		}
		ok(t, s.Flush(ctx))
		if v, found, err := s.GetDurable([]byte("a")); string(v) != "1" || !found || err != nil {
			t.Fatalf("durable after a flush: %q %v %v", v, found, err)
		}
		Commit(t, s, "a", "2", "b", "2")
		if v, _, _ := s.GetDurable([]byte("a")); string(v) != "1" {
			t.Fatalf("GetDurable shows %q, which no flush was for", v)
		}
		s = must2(t)(sub.Crash(s, r))
		got := Content(t, s, nil, nil)
		if got["a"] != got["b"] || got["a"] != "1" && got["a"] != "2" {
			t.Fatalf("seed %d: after a crash: %s", seed, show(got))
		}
		b := s.NewBatch()
		b.DeleteRange([]byte("a"), []byte("b"))
		ok(t, s.Commit(b))
		ok(t, s.Flush(ctx))
		s = must2(t)(sub.Crash(s, r))
		if got := Content(t, s, nil, nil); len(got) != 1 || got["b"] == "" {
			t.Fatalf("seed %d: a flushed range delete is gone: %s", seed, show(got))
		}
		ok(t, s.Close())
	}
}

func testView(t *testing.T, sub Subject) {
	s := open(t, sub)
	Commit(t, s, "a", "1", "b", "1", "c", "1")
	v, err := s.Pin()
	ok(t, err)
	if n := s.Metrics().OpenViews; n != 1 {
		t.Errorf("%d open views", n)
	}
	b := s.NewBatch()
	b.DeleteRange([]byte("b"), []byte("z"))
	b.Set([]byte("a"), []byte("2"))
	ok(t, s.Commit(b))
	ok(t, s.Flush(context.Background()))
	im := Transfer(t, v, s, 0, Span("x", "y"))
	ok(t, s.Ingest(im, []state.Bounds{Span("a", "b")}))

	Same(t, "view", Content(t, v, nil, nil), map[string]string{"a": "1", "b": "1", "c": "1"})
	Same(t, "part of the view", Content(t, v, []byte("b"), []byte("c")), map[string]string{"b": "1"})
	if x, found, err := v.Get([]byte("c"), nil); string(x) != "1" || !found || err != nil {
		t.Errorf("view: %q %v %v", x, found, err)
	}
	Same(t, "store", Content(t, s, nil, nil), map[string]string{})
	ok(t, v.Close())
	if n := s.Metrics().OpenViews; n != 0 {
		t.Errorf("%d open views", n)
	}
}

func testTransfer(t *testing.T, sub Subject) {
	from, to := open(t, sub), open(t, sub)
	Commit(t, from, "a1", "new", "a2", "new", "a9", "new", "b", "outside", "m1", "state")
	Commit(t, to, "a0", "old", "a2", "old", "a5", "old", "b", "kept", "c1", "old", "c2", "old", "d", "kept")
	ok(t, to.Flush(context.Background()))
	Commit(t, to, "a3", "old", "a9", "old", "c3", "old", "m1", "old", "m2", "old")
	v, err := from.Pin()
	ok(t, err)
	Commit(t, from, "a1", "too late")
	im := Transfer(t, v, to, 7, Span("m", "n"), Span("a", "b"), Span("q", "q"))
	if spans := im.Spans(); len(spans) != 2 || string(spans[0].Lower) != "a" || string(spans[1].Upper) != "n" {
		t.Errorf("spans %v", spans)
	}
	ok(t, v.Close())
	// The extra spans overlap the stream's, and each other.
	ok(t, to.Ingest(im, []state.Bounds{Span("a", "b"), Span("c", "c2"), Span("c1", "d"), Span("m1", "o")}))
	want := map[string]string{"a1": "new", "a2": "new", "a9": "new", "b": "kept", "d": "kept", "m1": "state"}
	Same(t, "after the ingest", Content(t, to, nil, nil), want)
	if v, found, err := to.GetDurable([]byte("m1")); string(v) != "state" || !found || err != nil {
		t.Errorf("an ingest is not durable: %q %v %v", v, found, err)
	}
	Commit(t, to, "a1", "newer")
	want["a1"] = "newer"
	Same(t, "after a commit on top", Content(t, to, nil, nil), want)

	if err := to.Ingest(im, nil); err == nil {
		t.Error("an import was ingested twice")
	}
	im, err = to.NewImport()
	ok(t, err)
	if err := to.Ingest(im, nil); err == nil {
		t.Error("an unfinished import was ingested")
	}
	Same(t, "after refused ingests", Content(t, to, nil, nil), want)
}

func testTransferOfNothing(t *testing.T, sub Subject) {
	from, to := open(t, sub), open(t, sub)
	Commit(t, to, "a", "1", "b", "1", "c", "1")
	v, err := from.Pin()
	ok(t, err)
	ok(t, to.Ingest(Transfer(t, v, to, 0), nil))
	Same(t, "no spans", Content(t, to, nil, nil), map[string]string{"a": "1", "b": "1", "c": "1"})
	ok(t, to.Ingest(Transfer(t, v, to, 0, Span("a", "b")), nil))
	Same(t, "an empty span", Content(t, to, nil, nil), map[string]string{"b": "1", "c": "1"})
	ok(t, to.Ingest(Transfer(t, v, to, 0), []state.Bounds{Span("c", "d")}))
	Same(t, "only an extra span", Content(t, to, nil, nil), map[string]string{"b": "1"})
	ok(t, v.Close())
}

func testDamagedStream(t *testing.T, sub Subject) {
	s := open(t, sub)
	for i := range 200 {
		Commit(t, s, fmt.Sprintf("k%03d", i), fmt.Sprintf("value %d", i*i))
	}
	before := Content(t, s, nil, nil)
	v, err := s.Pin()
	ok(t, err)
	var stream []byte
	ok(t, v.Export([]state.Bounds{Span("k", "k1"), Span("k1", "l")}, 1000, func(c []byte) error {
		stream = append(stream, c...)
		return nil
	}))
	ok(t, v.Close())

	receive := func(p []byte) error {
		im, err := s.NewImport()
		ok(t, err)
		defer im.Abort()
		for len(p) > 0 {
			n := min(len(p), 97)
			if err := im.Write(p[:n]); err != nil {
				return err
			}
			p = p[n:]
		}
		return im.Finish()
	}
	ok(t, receive(stream))
	damaged := func(what string, p []byte) {
		t.Helper()
		if err := receive(p); !errors.Is(err, state.ErrStream) && !errors.Is(err, state.ErrNewerFormat) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	damaged("nothing", nil)
	damaged("the last byte missing", stream[:len(stream)-1])
	damaged("a byte too many", append(bytes.Clone(stream), 0))
	for range 30 {
		n := r.IntN(len(stream))
		damaged(fmt.Sprintf("cut at %d", n), stream[:n])
	}
	for i := range 150 {
		at := i // the header and first frame byte by byte, then anywhere
		if i >= 60 {
			at = r.IntN(len(stream))
		}
		bad := bytes.Clone(stream)
		bad[at] ^= 1 << r.IntN(8)
		damaged(fmt.Sprintf("a bit flipped in byte %d", at), bad)
	}
	Same(t, "after refused imports", Content(t, s, nil, nil), before)
}

func testExportErrors(t *testing.T, sub Subject) {
	s := open(t, sub)
	Commit(t, s, "a", "1")
	v, err := s.Pin()
	ok(t, err)
	no := errors.New("no")
	for stop := range 4 {
		calls := 0
		err := v.Export([]state.Bounds{Span("a", "b")}, 16, func([]byte) error {
			if calls++; calls > stop {
				return no
			}
			return nil
		})
		if !errors.Is(err, no) || calls != stop+1 {
			t.Errorf("emit failed after %d calls: %d calls, error %v", stop, calls, err)
		}
	}
	if err := v.Export([]state.Bounds{Span("a", "c"), Span("b", "d")}, 0, func([]byte) error { return nil }); err == nil {
		t.Error("overlapping spans were exported")
	}
	ok(t, v.Close())
}

func testClosed(t *testing.T, sub Subject) {
	s := must2(t)(sub.Open())
	b := s.NewBatch()
	b.Set([]byte("a"), nil)
	ok(t, s.Close())
	_, _, err1 := s.Get([]byte("a"), nil)
	_, _, err2 := s.GetDurable([]byte("a"))
	_, err3 := s.Iter(nil, nil)
	_, err4 := s.Pin()
	_, err5 := s.NewImport()
	for i, err := range []error{err1, err2, err3, err4, err5, s.Commit(b), s.Flush(context.Background()), s.Close()} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("call %d on a closed store: %v", i+1, err)
		}
	}
	_ = s.Metrics()
}
