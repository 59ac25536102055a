package partition

import (
	"fmt"
	"strings"
	"testing"
)

// asker asks one replica what is written.
type asker struct {
	r           *Replica
	term, place uint64
}

// ask returns the news as text; "waits" if there are none.
func (a *asker) ask(t *testing.T) string {
	t.Helper()
	a.r.waiters.asked = nil
	reply := a.r.track(&Request{Args: TrackArgs(a.term, a.place)}, nil)
	if a.r.waiters.asked != nil {
		return "waits"
	}
	news, ok := DecodeNews(reply)
	if !ok {
		t.Fatalf("%q", reply)
	}
	a.term, a.place = news.Term, news.Place
	if news.Lost {
		return "lost"
	}
	var list []string
	if !news.Each(func(x Touch) {
		s := string(x.Kind)
		switch {
		case x.Kind == TouchedSlot:
			s += fmt.Sprint(":", x.Slot)
		case x.Session != 0:
			s += fmt.Sprintf(":%s by %d/%d", x.Key, x.Gateway, x.Session)
		case len(x.Key) > 0:
			s += ":" + string(x.Key)
		}
		list = append(list, s)
	}) {
		t.Fatalf("malformed: %q", reply)
	}
	return strings.Join(list, " ")
}

func TestTouched(t *testing.T) {
	r := &Replica{}
	r.term = 3
	w := &r.waiters
	a, b := &asker{r: r}, &asker{r: r}
	check := func(a *asker, want string) {
		t.Helper()
		if got := a.ask(t); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	w.noteKey([]byte("early"), writer{})
	if len(w.touched.entries) != 0 || w.Any() {
		t.Error("it is kept without need")
	}
	check(a, "lost")
	check(a, "waits")
	w.noteKey([]byte("k"), writer{2, 9})
	w.noteKey([]byte("k"), writer{2, 9}) // once is enough
	w.noteKey([]byte("k"), writer{})
	check(b, "lost")
	check(a, "k:k by 2/9 k:k")
	w.noteKey([]byte("k"), writer{}) // a has been told of the one before
	w.noteSlot(7)
	check(a, "k:k s:7")
	check(b, "k:k s:7")
	w.quiet = true // an intent's writes are told of when it is carried out
	w.noteKey([]byte("k"), writer{})
	w.Touch([]byte("\x00k"))
	w.noteAll()
	w.quiet = false
	check(a, "waits")
	w.TouchAll()
	check(a, "a")
	// Another leadership's places mean nothing.
	r.term = 4
	check(a, "lost")
	check(a, "waits")
	// What is too much is forgotten, and who has not seen it is told so.
	check(b, "lost")
	for i := range maxTouches + 5 {
		w.noteKey([]byte(fmt.Sprint(i)), writer{})
	}
	if n := len(w.touched.entries); n > maxTouches || w.touched.bytes > maxTouchBytes {
		t.Errorf("%d entries, %d bytes", n, w.touched.bytes)
	}
	sum := 0
	for _, x := range w.touched.entries {
		sum += len(x.key) + touchOverhead
	}
	if sum != w.touched.bytes {
		t.Errorf("%d bytes, counted %d", sum, w.touched.bytes)
	}
	check(a, "lost")
	check(a, "waits")
	// Nobody asks any more; later somebody does again.
	w.noteKey([]byte("x"), writer{})
	w.touched.rest(touchedTicks+1, true)
	check(b, "lost")
	a.place = w.touched.next()
	w.touched.rest(touchedTicks+1, false)
	if w.touched.kept {
		t.Error("it is kept though nobody asks")
	}
	w.noteKey([]byte("missed"), writer{})
	check(a, "lost")
}

func TestNewsMalformed(t *testing.T) {
	for _, b := range []string{"", "-ERR x\r\n", "N", "N\x03", "+=\r\n"} {
		if _, ok := DecodeNews([]byte(b)); ok {
			t.Errorf("%q is taken", b)
		}
	}
	n := News{entries: []byte{TouchedKey, 0, 0, 0, 9, 'x'}}
	if n.Each(func(Touch) {}) {
		t.Error("a key longer than there is")
	}
}
