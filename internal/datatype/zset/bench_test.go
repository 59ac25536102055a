package zset

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keyspace"
	"coterie/internal/keyspace/keyspacetest"
)

// benchMembers is how many members the set has that is measured.
const benchMembers = 1_000_000

// bench is a large sorted set, in memory, without a log.
type bench struct {
	eval *command.Evaluator
	call command.Call
	gens keyspace.Generations
	out  []byte
}

// large is the set that all benchmarks use, one after the other.
var large = sync.OnceValue(func() *bench {
	table, err := command.NewTable(Rows())
	if err != nil {
		panic(err)
	}
	txn := keyspacetest.New(1)
	s := &bench{eval: command.NewEvaluator(table, keyspace.Limits{}), gens: keyspace.LoadGenerations(txn, 1)}
	s.call = command.Call{Txn: txn, Partition: 1, Span: base.Span{Lo: 0, Hi: base.NumSlots}, Proto: 2, Generations: &s.gens}
	for i := range benchMembers {
		s.run("zadd", "z", strconv.Itoa(scatter(i)), fmt.Sprint("member:", i))
	}
	return s
})

// scatter is a permutation of the members' numbers: scores in no order.
func scatter(i int) int { return i * 7919 % benchMembers }

func (s *bench) run(args ...string) []byte {
	s.call.Args = s.call.Args[:0]
	for _, a := range args {
		s.call.Args = append(s.call.Args, []byte(a))
	}
	s.out, _ = s.eval.Evaluate(s.call, s.out[:0])
	return s.out
}

func benchmark(b *testing.B, args func(i int) []string) {
	s := large()
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if out := s.run(args(i)...); out[0] == '-' {
			b.Fatalf("%s", out)
		}
	}
}

func named(i int) string { return fmt.Sprint("member:", scatter(i%benchMembers)) }

func BenchmarkZAddNew(b *testing.B) {
	benchmark(b, func(i int) []string {
		return []string{"zadd", "z", strconv.Itoa(scatter(i % benchMembers)), fmt.Sprint("new:", i)}
	})
}

func BenchmarkZAddMove(b *testing.B) {
	benchmark(b, func(i int) []string { return []string{"zadd", "z", strconv.Itoa(i), named(i)} })
}

func BenchmarkZScore(b *testing.B) {
	benchmark(b, func(i int) []string { return []string{"zscore", "z", named(i)} })
}

func BenchmarkZRank(b *testing.B) {
	benchmark(b, func(i int) []string { return []string{"zrank", "z", named(i)} })
}

func BenchmarkZRange10(b *testing.B) {
	benchmark(b, func(i int) []string {
		n := scatter(i % benchMembers)
		return []string{"zrange", "z", strconv.Itoa(n), strconv.Itoa(n + 9)}
	})
}

func BenchmarkZRangeByScore10(b *testing.B) {
	benchmark(b, func(i int) []string {
		return []string{"zrangebyscore", "z", strconv.Itoa(scatter(i % benchMembers)), "+inf", "LIMIT", "0", "10"}
	})
}

// BenchmarkZQueue adds at one end and takes from the other.
func BenchmarkZQueue(b *testing.B) {
	benchmark(b, func(i int) []string {
		if i%2 == 0 {
			return []string{"zadd", "z", strconv.Itoa(benchMembers + i), fmt.Sprint("new:", i)}
		}
		return []string{"zpopmin", "z"}
	})
}
