package datatype_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"coterie/internal/command"
	"coterie/internal/datatype"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
)

// footprint makes datatype.Footprint a command.
var footprint = command.Spec{
	Name: "footprint", Arity: 3, Flags: command.ReadOnly, Keys: command.KeyRange{First: 1, Last: 1, Step: 1}, Group: "generic", Since: "1.0",
	Run: func(c *command.Ctx) {
		n, _ := c.Int(2)
		c.Out.Int(datatype.Footprint(c, c.Args[1], c.Lookup(c.Args[1]), int(n)))
	},
}

// TestFootprint compares estimates with what there is.
func TestFootprint(t *testing.T) {
	const n = 4000
	value := func(i int) string { return strings.Repeat("v", 1+i*i%397) }
	for name, add := range map[string]func(i int) []string{
		"hash": func(i int) []string { return []string{"hset", "k", fmt.Sprint("field", i), value(i)} },
		"timed hash": func(i int) []string {
			if i%2 == 1 {
				return []string{"hpexpire", "k", "100000", "fields", "1", fmt.Sprint("field", i-1)}
			}
			return []string{"hset", "k", fmt.Sprint("field", i), value(i)}
		},
		"list":   func(i int) []string { return []string{"rpush", "k", value(i)} },
		"set":    func(i int) []string { return []string{"sadd", "k", fmt.Sprint(i, value(i))} },
		"zset":   func(i int) []string { return []string{"zadd", "k", fmt.Sprint(i * 7 % 1000), fmt.Sprint(i, value(i))} },
		"stream": func(i int) []string { return []string{"xadd", "k", fmt.Sprintf("%d-1", i+1), "f", value(i)} },
		"stream with groups": func(i int) []string {
			switch {
			case i < 4:
				return []string{"xgroup", "create", "k", fmt.Sprint("group", i), "0", "mkstream"}
			case i%4 == 0:
				return []string{"xreadgroup", "group", fmt.Sprint("group", i%3), fmt.Sprint("consumer", i%70), "count", "2", "streams", "k", ">"}
			}
			return []string{"xadd", "k", fmt.Sprintf("%d-1", i+1), "f", value(i)}
		},
		"string":     func(i int) []string { return []string{"set", "k", value(i)} },
		"small hash": func(i int) []string { return []string{"hset", "k", "f", "v"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, 1)
			table, err := command.NewTable(datatype.All(), []command.Spec{footprint})
			if err != nil {
				t.Fatal(err)
			}
			s.eval = command.NewEvaluator(table, keyspace.Limits{})
			for i := range n {
				s.run(add(i)...)
			}
			truth := 0
			it := s.txn.Iter([]byte{0}, []byte{255})
			for it.Next() {
				_, isRecord := keys.ParseRecordKey(it.Key())
				_, _, isCounter := keys.ParseCounterKey(it.Key())
				if !isRecord && !isCounter && !keys.IsExpiryKey(it.Key()) {
					truth += len(it.Key()) + len(it.Value())
				}
			}
			it.Close()
			estimate := func(samples int) float64 {
				r := string(s.run("footprint", "k", strconv.Itoa(samples)))
				got, err := strconv.Atoi(strings.Trim(r, ":\r\n"))
				if err != nil {
					t.Fatal(r)
				}
				return float64(got)
			}
			got := estimate(1000)
			t.Logf("%.0f, in truth %d", got, truth)
			if got < 0.85*float64(truth) || got > 1.15*float64(truth) {
				t.Errorf("about %.0f bytes, in truth %d", got, truth)
			}
			if got := estimate(5); got < 0.3*float64(truth) || got > 2.5*float64(truth) {
				t.Errorf("by 5 samples %.0f bytes, in truth %d", got, truth)
			}
		})
	}
}

// TestFootprintIsQuick: it reads no more of a large value than of a small one.
func TestFootprintIsQuick(t *testing.T) {
	s := newServer(t, 1)
	table, err := command.NewTable(datatype.All(), []command.Spec{footprint})
	if err != nil {
		t.Fatal(err)
	}
	s.eval = command.NewEvaluator(table, keyspace.Limits{})
	for i := range 20_000 {
		s.run("zadd", "k", strconv.Itoa(rand.IntN(1e6)), strconv.Itoa(i))
	}
	counting := &reads{Txn: s.txn}
	args := [][]byte{[]byte("footprint"), []byte("k"), []byte("5")}
	s.eval.Evaluate(command.Call{Txn: counting, Partition: 1, Span: wholeSpan, Proto: 2, Args: args}, nil)
	if counting.n == 0 || counting.n > 60 {
		t.Errorf("%d reads", counting.n)
	}
}

// reads counts what is read.
type reads struct {
	kv.Txn
	n int
}

func (r *reads) Get(key []byte) ([]byte, bool) { r.n++; return r.Txn.Get(key) }

func (r *reads) Iter(lower, upper []byte) kv.Iterator {
	return &countedIter{r.Txn.Iter(lower, upper), r}
}

type countedIter struct {
	kv.Iterator
	r *reads
}

func (i *countedIter) Next() bool { i.r.n++; return i.Iterator.Next() }
