package statetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"coterie/internal/storage/state"

	"pgregory.net/rapid"
)

// counter is set by every batch to the number of the batch, so that what is
// left after a crash says which batch it is the state after.
const counter = "~counter"

// model is a store beside a Go map.
type model struct {
	sub   Subject
	s     state.Store
	donor state.Store // where imports come from
	donat map[string]string

	now     map[string]string
	history []map[string]string // after each batch; [0] is the beginning
	flushed int                 // batches that must survive

	views  []state.View
	pinned []map[string]string
}

func testModel(t *testing.T, sub Subject) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{sub: sub, now: map[string]string{}, history: []map[string]string{{}}, donat: map[string]string{}}
		m.s = must2(t)(sub.Open())
		m.donor = must2(t)(sub.Open())
		defer func() { _ = m.s.Close(); _ = m.donor.Close() }()
		defer m.closeViews()
		t.Repeat(map[string]func(*rapid.T){
			"commit":   m.commit,
			"flush":    m.flush,
			"crash":    m.crash,
			"iterate":  m.iterate,
			"pin":      m.pin,
			"transfer": m.transfer,
			"":         m.check,
		})
	})
}

func drawKey(t *rapid.T) string {
	return rapid.StringMatching(`[a-d]{1,3}`).Draw(t, "key")
}

func drawBounds(t *rapid.T) state.Bounds {
	a, b := drawKey(t), drawKey(t)
	return Span(min(a, b), max(a, b))
}

func (m *model) commit(t *rapid.T) {
	b := m.s.NewBatch()
	for range rapid.IntRange(0, 2).Draw(t, "ranges") {
		r := drawBounds(t)
		b.DeleteRange(r.Lower, r.Upper)
		cut(m.now, r)
	}
	keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-d]{1,3}`), 0, 8, rapid.ID).Draw(t, "keys")
	slices.Sort(keys)
	for _, k := range keys {
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			b.Delete([]byte(k))
			delete(m.now, k)
			continue
		}
		v := fmt.Sprintf("%d.%s", len(m.history), k)
		b.Set([]byte(k), []byte(v))
		m.now[k] = v
	}
	n := strconv.Itoa(len(m.history))
	b.Set([]byte(counter), []byte(n))
	m.now[counter] = n
	ok(t, m.s.Commit(b))
	m.history = append(m.history, maps.Clone(m.now))
}

func cut(content map[string]string, b state.Bounds) {
	maps.DeleteFunc(content, func(k, _ string) bool { return b.Contains([]byte(k)) })
}

func (m *model) flush(t *rapid.T) {
	ok(t, m.s.Flush(context.Background()))
	m.flushed = len(m.history) - 1
}

func (m *model) crash(t *rapid.T) {
	m.closeViews()
	if n, err := strconv.Atoi(m.durable(t)); err == nil {
		m.flushed = max(m.flushed, n)
	}
	seed := rapid.Uint64().Draw(t, "seed")
	m.s = must2(t)(m.sub.Crash(m.s, rand.New(rand.NewPCG(seed, 0))))
	got := Content(t, m.s, nil, nil)
	n, _ := strconv.Atoi(got[counter])
	if n < m.flushed || n >= len(m.history) {
		t.Fatalf("after a crash batch %d is the last, but %d was durable, and %d the last", n, m.flushed, len(m.history)-1)
	}
	Same(t, fmt.Sprintf("after a crash, batch %d being the last", n), got, m.history[n])
	if d := m.durable(t); d != got[counter] {
		t.Fatalf("after a crash batch %q is the last, and %q durable", got[counter], d)
	}
	m.history = m.history[:n+1]
	m.now = maps.Clone(m.history[n])
	m.flushed = n
}

func (m *model) durable(t *rapid.T) string {
	v, _, err := m.s.GetDurable([]byte(counter))
	ok(t, err)
	return string(v)
}

// iterate walks with random moves, and compares with a sorted list.
func (m *model) iterate(t *rapid.T) {
	b := drawBounds(t)
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(m.now)) {
		if b.Contains([]byte(k)) {
			keys = append(keys, k)
		}
	}
	it, err := m.s.Iter(b.Lower, b.Upper)
	ok(t, err)
	defer it.Close()
	at := -1
	for range rapid.IntRange(1, 8).Draw(t, "moves") {
		var found bool
		if seek := drawKey(t); rapid.Bool().Draw(t, "seek") {
			found = it.SeekGE([]byte(seek))
			at = max(at, 0)
			for at < len(keys) && keys[at] < seek {
				at++
			}
		} else {
			found = it.Next()
			at = min(at+1, len(keys))
		}
		if found != (at < len(keys)) {
			t.Fatalf("iterator over %v: found %v at place %d of %q", b, found, at, keys)
		}
		if found && (string(it.Key()) != keys[at] || string(it.Value()) != m.now[keys[at]]) {
			t.Fatalf("iterator over %v: %q=%q at place %d of %q", b, it.Key(), it.Value(), at, keys)
		}
	}
	ok(t, it.Err())
}

func (m *model) pin(t *rapid.T) {
	if len(m.views) >= 3 {
		m.closeViews()
	}
	v, err := m.s.Pin()
	ok(t, err)
	m.views = append(m.views, v)
	m.pinned = append(m.pinned, maps.Clone(m.now))
}

func (m *model) closeViews() {
	for _, v := range m.views {
		_ = v.Close()
	}
	m.views, m.pinned = nil, nil
}

// transfer brings spans of another store in. Every state that a crash may
// lead to has them from then on.
func (m *model) transfer(t *rapid.T) {
	k, v := drawKey(t), fmt.Sprintf("donor %d", len(m.donat))
	Commit(t, m.donor, k, v)
	m.donat[k] = v
	spans := state.Subtract([]state.Bounds{drawBounds(t), drawBounds(t)}, nil)
	extra := []state.Bounds{drawBounds(t)}

	view, err := m.donor.Pin()
	ok(t, err)
	im := Transfer(t, view, m.s, rapid.IntRange(1, 300).Draw(t, "chunk"), spans...)
	ok(t, view.Close())
	ok(t, m.s.Ingest(im, extra))
	change := func(content map[string]string) {
		for _, b := range slices.Concat(spans, extra) {
			cut(content, b)
		}
		for k, v := range m.donat {
			if slices.ContainsFunc(spans, func(b state.Bounds) bool { return b.Contains([]byte(k)) }) {
				content[k] = v
			}
		}
	}
	change(m.now)
	for _, h := range m.history {
		change(h)
	}
}

func (m *model) check(t *rapid.T) {
	Same(t, "content", Content(t, m.s, nil, nil), m.now)
	for i, v := range m.views {
		Same(t, "a view", Content(t, v, nil, nil), m.pinned[i])
	}
	k := []byte(drawKey(t))
	got, found, err := m.s.Get(k, nil)
	ok(t, err)
	if want, has := m.now[string(k)]; found != has || !bytes.Equal(got, []byte(want)) {
		t.Fatalf("Get(%q) = %q, %v, want %q, %v", k, got, found, want, has)
	}
	if n, err := strconv.Atoi(m.durable(t)); err == nil && (n < m.flushed || n >= len(m.history)) {
		t.Fatalf("batch %d is said to be durable; %d was flushed, and %d the last", n, m.flushed, len(m.history)-1)
	}
}
