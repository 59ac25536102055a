package bench

import (
	"math"
	"testing"
	"time"
)

func TestSequentialWorkersShareTheKeys(t *testing.T) {
	for _, workers := range []int{1, 3, 7} {
		seen := map[uint64]int{}
		for i := range workers {
			s := newSource(Config{Keys: 100, ValueSize: 1, Distribution: "sequential"}, i, workers)
			for k := i; k < 100; k += workers {
				seen[s.key()]++
			}
		}
		if len(seen) != 100 {
			t.Errorf("%d workers drew %d keys", workers, len(seen))
		}
	}
}

func TestDistributions(t *testing.T) {
	const n, draws = 1000, 200_000
	for _, name := range []string{"uniform", "zipfian"} {
		s := newSource(Config{Keys: n, ValueSize: 1, Distribution: name, Seed: 7}, 0, 1)
		counts := make([]float64, n)
		for range draws {
			counts[s.key()]++
		}
		zeta := zetaSum(n)
		for _, k := range []int{0, 1, 2, 9, 500} {
			want := 1.0 / n
			if name == "zipfian" {
				want = math.Pow(float64(k+1), -zipfExponent) / zeta
			}
			// Gray's method is an approximation in the middle ranks.
			if got := counts[k] / draws; math.Abs(got-want) > 0.25*want+3*math.Sqrt(want/draws) {
				t.Errorf("%s: key %d has %.5f, want %.5f", name, k, got, want)
			}
		}
	}
	for n := uint64(1); n < 5; n++ {
		z := newZipf(n)
		for u := 0.0; u < 1; u += 0.001 {
			if r := z.rank(u); r >= n {
				t.Fatalf("rank %d of %d", r, n)
			}
		}
		if r := z.rank(math.Nextafter(1, 0)); r >= n {
			t.Fatalf("rank %d of %d", r, n)
		}
	}
}

func TestZetaSum(t *testing.T) {
	sum := 0.0
	for i := 1.0; i <= 100_000; i++ {
		sum += math.Pow(i, -zipfExponent)
	}
	if got := zetaSum(100_000); math.Abs(got-sum) > 1e-6 {
		t.Errorf("%v, want %v", got, sum)
	}
}

func TestQueue(t *testing.T) {
	var q queue
	next, want := uint64(0), uint64(0)
	for round := range 1000 {
		for range round % 7 {
			q.push(entry{key: next})
			next++
		}
		for range min(q.len(), round%5) {
			if e := q.pop(); e.key != want {
				t.Fatalf("%d, want %d", e.key, want)
			}
			want++
		}
	}
	if uint64(q.len()) != next-want {
		t.Errorf("%d left, want %d", q.len(), next-want)
	}
}

// What is done for each request, apart from system calls, allocates nothing.
func TestRequestsDoNotAllocate(t *testing.T) {
	c := Config{Addrs: []string{"x"}, ReadShare: 0.5, Distribution: "zipfian"}.withDefaults()
	load, err := newWorkload(c)
	if err != nil {
		t.Fatal(err)
	}
	p := &phase{Config: c, workload: load, epoch: time.Now(), end: math.MaxInt64}
	w := &worker{phase: p, left: -1, recorder: newRecorder(), source: newSource(c, 0, 1), frames: load.frames}
	cl := &client{}
	conn := &conn{client: cl, in: []byte("+OK\r\n$5\r\nvalue\r\n$-1\r\n")}
	cl.conns = append(cl.conns, conn)
	conn.fd = 0 // never touched here
	if n := testing.AllocsPerRun(100, func() {
		for range 3 {
			w.start(cl, 1, 1)
		}
		conn.out, conn.start, conn.end = conn.out[:0], 0, len(conn.in)
		if err := w.replies(conn, 2); err != nil || cl.inflight != 0 {
			t.Fatal(cl.inflight, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	c := Config{Addrs: []string{"x"}, ReadShare: 0.5}.withDefaults()
	load, _ := newWorkload(c)
	src := newSource(c, 0, 1)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = load.frames[1].appendTo(out[:0], src.key(), &src)
	}
}
