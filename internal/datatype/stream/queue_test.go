package stream

import (
	"fmt"
	"testing"

	"coterie/internal/keyspace/keyspacetest"
	"coterie/internal/kv"
)

// meter counts what commands read and write.
type meter struct {
	*keyspacetest.Txn
	writes, written, reads int
}

var _ kv.Txn = (*meter)(nil)

func (m *meter) Get(key []byte) ([]byte, bool) {
	m.reads++
	return m.Txn.Get(key)
}

func (m *meter) Set(key, value []byte) {
	m.writes++
	m.written += len(key) + len(value)
	m.Txn.Set(key, value)
}

func (m *meter) Delete(key []byte) {
	m.writes++
	m.written += len(key)
	m.Txn.Delete(key)
}

// queue is a stream that is used as a queue of constant length.
type queue struct {
	r     *runner
	m     *meter
	added int
	acked int
}

// newQueue makes a queue that holds so many entries, as many of them pending.
func newQueue(t testing.TB, length, pending int) *queue {
	q := &queue{r: newRunner(t)}
	q.m = &meter{Txn: q.r.txn}
	q.do("XADD", "q", fmt.Sprint(q.next()), "field", "value of it")
	q.do("XGROUP", "CREATE", "q", "group", "0")
	for range length - 1 {
		q.do("XADD", "q", fmt.Sprint(q.next()), "field", "value of it")
	}
	q.do("XREADGROUP", "GROUP", "group", "consumer", "COUNT", fmt.Sprint(pending), "STREAMS", "q", ">")
	return q
}

func (q *queue) next() int {
	q.added++
	return q.added
}

func (q *queue) do(args ...string) {
	call := q.r.call(args...)
	call.Txn = q.m
	if q.r.out, _ = q.r.eval.Evaluate(call, q.r.out[:0]); q.r.out[0] == '-' || len(q.r.out) > 2 && string(q.r.out[:3]) == "*-1" {
		q.r.t.Fatalf("%q: %s", args, q.r.out)
	}
}

// turn adds one entry, reads one, and acknowledges another.
func (q *queue) turn(length string) {
	q.acked++
	q.do("XADD", "q", "MAXLEN", "~", length, fmt.Sprint(q.next()), "field", "value of it")
	q.do("XREADGROUP", "GROUP", "group", fmt.Sprint("consumer", q.acked%3), "COUNT", "1", "STREAMS", "q", ">")
	q.do("XACK", "q", "group", fmt.Sprint(q.acked))
}

// TestQueueStaysCheap: however long a stream is used as a queue, it costs the
// same, and leaves nothing behind.
func TestQueueStaysCheap(t *testing.T) {
	q := newQueue(t, 2000, 500)
	var first meter
	for round := range 5 {
		q.m.writes, q.m.written, q.m.reads = 0, 0, 0
		for range 5_000 {
			q.turn("2000")
		}
		now, keys := *q.m, q.m.Len()
		if round == 0 {
			first = now
		}
		if now.written > first.written*11/10 || now.reads > first.reads*11/10 || keys > 200 {
			t.Errorf("round %d: %d bytes written, %d reads, %d keys are there; in the first %d and %d", round, now.written, now.reads, keys, first.written, first.reads)
		}
	}
}

// BenchmarkQueue adds, reads and acknowledges an entry of a queue with so many
// entries, half of them pending.
func BenchmarkQueue(b *testing.B) {
	for _, length := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			q := newQueue(b, length, length/2)
			b.ReportAllocs()
			q.m.writes, q.m.written, q.m.reads = 0, 0, 0
			for b.Loop() {
				q.turn(fmt.Sprint(length))
			}
			b.ReportMetric(float64(q.m.written)/float64(b.N), "written/op")
			b.ReportMetric(float64(q.m.writes)/float64(b.N), "writes/op")
			b.ReportMetric(float64(q.m.reads)/float64(b.N), "reads/op")
		})
	}
}

// BenchmarkAdd appends to a small stream.
func BenchmarkAdd(b *testing.B) {
	q := newQueue(b, 100, 1)
	b.ReportAllocs()
	q.m.writes, q.m.written = 0, 0
	for b.Loop() {
		q.do("XADD", "q", "MAXLEN", "~", "1000", fmt.Sprint(q.next()), "field", "value of it")
	}
	b.ReportMetric(float64(q.m.written)/float64(b.N), "written/op")
	b.ReportMetric(float64(q.m.writes)/float64(b.N), "writes/op")
}
