package transport

import (
	"bytes"
	"testing"
)

func TestQueuesPriority(t *testing.T) {
	var qs queues
	qs[Bulk].push(make([]byte, 50<<20))
	qs[Append].push(make([]byte, MaxFrame))
	qs[Request].push([]byte("request"))
	qs[Control].push([]byte("beat"))
	got := qs.take(nil)
	want := []Class{Control, Request, Append}
	if len(got) != len(want) {
		t.Fatalf("%d frames in the first write", len(got))
	}
	for i, f := range got {
		if f.class != want[i] {
			t.Errorf("frame %d is of class %s, want %s", i, f.class, want[i])
		}
	}
	// What comes later goes before the rest of what is long.
	qs.take(nil)
	qs[Control].push([]byte("beat"))
	if got := qs.take(nil); got[0].class != Control {
		t.Errorf("a %s frame went before a heartbeat", got[0].class)
	}
}

// TestQueuesStarvation: the lower classes get on under any load of the higher.
func TestQueuesStarvation(t *testing.T) {
	var qs queues
	var frames [NumClasses]int
	for c := range qs {
		qs[c].push(make([]byte, 8<<20))
	}
	const writes = 100
	for range writes {
		for c := range qs {
			if qs[c].bytes < 2<<20 {
				qs[c].push(make([]byte, 8<<20))
			}
		}
		for _, f := range qs.take(nil) {
			frames[f.class]++
		}
	}
	for c, n := range frames {
		if n < writes/(passedOver+2) {
			t.Errorf("class %s: %d frames in %d writes", Class(c), n, writes)
		}
	}
	if frames[Control] < frames[Bulk]*3 {
		t.Errorf("frames by class: %v", frames)
	}
}

// TestQueueFIFO pushes and cuts in all rhythms, and compares the bytes.
func TestQueueFIFO(t *testing.T) {
	var q queue
	var in, out []byte
	for i := range 2000 {
		msg := bytes.Repeat([]byte{byte(i)}, i%7*1000)
		q.push(msg)
		in = append(in, msg...)
		for range i % 3 {
			if !q.empty() {
				f := q.cut(Request)
				out = append(out, f.msg[f.lo:f.hi]...)
			}
		}
	}
	for !q.empty() {
		f := q.cut(Request)
		out = append(out, f.msg[f.lo:f.hi]...)
	}
	if !bytes.Equal(in, out) || q.bytes != 0 || cap(q.msgs) > 2000 {
		t.Errorf("%d bytes in, %d out, %d counted, room for %d", len(in), len(out), q.bytes, cap(q.msgs))
	}
}

// TestUnsent: only messages of which no byte was handed over come back.
func TestUnsent(t *testing.T) {
	long := make([]byte, MaxFrame+100)
	for _, tc := range []struct {
		sent int
		want []string
	}{
		{0, []string{"one", "two", "long", "three"}},
		{1, []string{"two", "long", "three"}},
		{frameHeader + 3, []string{"two", "long", "three"}},
		{frameHeader + 4, []string{"long", "three"}},
		{2*frameHeader + 6, []string{"long", "three"}},
		{2*frameHeader + 7, []string{"three"}},
	} {
		var qs queues
		for _, m := range [][]byte{[]byte("one"), []byte("two"), long, []byte("three")} {
			qs[Request].push(m)
		}
		qs[Append].push([]byte("append"))
		b := batch{frames: qs.take(nil)}
		b.encode(false)
		b.sent = tc.sent
		queued, waiting := qs.drain()
		var got []string
		for _, m := range append(b.unsent(), queued...) {
			if len(m) > 100 {
				m = []byte("long")
			}
			got = append(got, string(m))
		}
		if len(got) != len(tc.want) || waiting != 3 {
			t.Errorf("%d sent: %v, want %v; %d waiting", tc.sent, got, tc.want, waiting)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("%d sent: %v, want %v", tc.sent, got, tc.want)
			}
		}
	}
}
