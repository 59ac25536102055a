package datatype_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"coterie/internal/datatype/redistest"
	"coterie/internal/resp"
)

// TestInfoAgainstRedis compares what COMMAND INFO says about each command
// with what a real redis-server says: clients route by it.
func TestInfoAgainstRedis(t *testing.T) {
	r := redistest.Dial(t, startRedis(t))
	s := newServer(t, 0)
	for _, row := range s.table.Commands() {
		if unknown[row.Full] {
			continue
		}
		names := []string{row.Full}
		for i := range row.Sub {
			names = append(names, row.Sub[i].Full)
		}
		for _, name := range names {
			args := []string{"command", "info", name}
			want, _, _ := resp.ParseReply(r.Run(t, args)[0])
			w := resp.Writer{Proto: 2}
			s.table.Describe(&w, [][]byte{[]byte("command"), []byte("info"), []byte(name)})
			got, _, err := resp.ParseReply(w.Buf)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want.Elems[0].Null && row.Since > "7.0" { // of a later Redis than this one
				continue
			}
			compareInfo(t, name, want.Elems[0], got.Elems[0])
		}
	}
}

// unknown are commands that Redis does not have.
var unknown = map[string]bool{"fence": true, "fencetoken": true}

// elements are the places of COMMAND INFO's ten elements that are compared.
var elements = map[int]string{0: "name", 1: "arity", 2: "flags", 3: "first key", 4: "last key", 5: "step", 6: "categories", 7: "tips", 8: "key specs"}

// differs is where what is said here differs on purpose: no notes are given,
// and MSETNX cannot be divided.
var differs = map[string]bool{
	"set key specs": true, "getex key specs": true, "bitfield key specs": true, "msetnx tips": true, "pfcount key specs": true, "xadd key specs": true,
	"blpop flags": true, "brpop flags": true, "blmove flags": true, "brpoplpush flags": true, // scripts may run them since 7.2
	"randomkey tips": true, "zrank arity": true, "zrevrank arity": true, "bzpopmin flags": true, "bzpopmax flags": true, // those of a later Redis
	"eval key specs": true, "eval_ro key specs": true, "evalsha key specs": true, "evalsha_ro key specs": true, "fcall key specs": true, "fcall_ro key specs": true,
	"sort key specs": true, "sort_ro key specs": true, "georadius key specs": true, "georadiusbymember key specs": true, // keys behind a word are not described
}

func compareInfo(t *testing.T, name string, want, got resp.Value) {
	if want.Null || len(want.Elems) != 10 || len(got.Elems) != 10 {
		t.Errorf("%s: redis has %d elements, here %d", name, len(want.Elems), len(got.Elems))
		return
	}
	for i, what := range elements {
		a, b := show(want.Elems[i]), show(got.Elems[i])
		if a != b && !differs[name+" "+what] {
			t.Errorf("%s: %s: here %s, redis %s", name, what, b, a)
		}
	}
}

// show is a reply as text, with the elements of arrays sorted.
func show(v resp.Value) string {
	if v.Kind != '*' {
		if v.Kind == ':' {
			return fmt.Sprint(v.Int)
		}
		return string(v.Str)
	}
	var list []string
	for _, e := range v.Elems {
		list = append(list, show(e))
	}
	sort.Strings(list)
	return "[" + strings.Join(list, " ") + "]"
}
