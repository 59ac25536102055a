// Command load sends batches of SETs, each in one write, and prints SETs or
// transactions per second, and the latency of a batch.
//
// Of Coterie a batch is a transaction, MULTI to EXEC, whose keys are in a given
// number of partitions. It takes the partitions to be equal spans of the slots,
// as a new cluster has them. Of a Redis primary it is followed by WAIT 1: the
// durable write of a replicated Redis, to compare with.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"coterie/internal/base"
	"coterie/internal/resp"
)

func main() {
	addrs := flag.String("addr", "127.0.0.1:6379", "nodes, with commas between")
	conns := flag.Int("c", 50, "connections")
	total := flag.Int("n", 50_000, "transactions in all, or with -wait SETs")
	b := batch{}
	flag.IntVar(&b.sets, "sets", 2, "SETs in each")
	flag.IntVar(&b.span, "span", 1, "partitions that the keys of one are in; 0: plain SETs, without MULTI")
	flag.BoolVar(&b.wait, "wait", false, "plain SETs, and WAIT 1 behind each batch")
	partitions := flag.Int("partitions", 3, "partitions of the cluster")
	hot := flag.Int("hot", 0, "keys to choose from; 0: 100,000")
	flag.Parse()
	b.keys = choose(*partitions, *hot)
	batches, counts := *total, 1
	if b.wait {
		b.span, batches, counts = 0, *total/b.sets, b.sets
	}
	nodes := strings.Split(*addrs, ",")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	start := time.Now()
	for i := range *conns {
		wg.Go(func() {
			mine, err := b.load(nodes[i%len(nodes)], batches / *conns)
			if err != nil {
				log.Fatal(err)
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(took)
	fmt.Printf("%.0f/s, p50 %v, p99 %v\n", float64(len(took)*counts)/time.Since(start).Seconds(),
		took[len(took)/2].Round(time.Microsecond), took[len(took)*99/100].Round(time.Microsecond))
}

// choose makes keys of 16 bytes, by partition.
func choose(partitions, hot int) [][]string {
	n := hot
	if n == 0 {
		n = 100_000
	}
	keys := make([][]string, partitions)
	for i, have := 0, 0; have < n; i++ {
		k := fmt.Sprintf("key:%012d", i)
		p := int(base.KeySlot([]byte(k))) * partitions / base.NumSlots
		if len(keys[p]) < (n+partitions-1)/partitions {
			keys[p] = append(keys[p], k)
			have++
		}
	}
	return keys
}

// batch is what is sent in one write.
type batch struct {
	sets, span int
	wait       bool
	keys       [][]string // by partition
}

// load sends n batches on one connection.
func (b *batch) load(addr string, n int) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	value := strings.Repeat("v", 64)
	var took []time.Duration
	for range n {
		w := resp.Writer{Proto: 2}
		replies := b.sets
		if b.span > 0 {
			command(&w, "MULTI")
			replies = 2*b.sets + 2 // OK, QUEUED …, the array and its OKs
		}
		first := rand.IntN(len(b.keys))
		for i := range b.sets {
			from := b.keys[(first+i%max(b.span, 1))%len(b.keys)]
			command(&w, "SET", from[rand.IntN(len(from))], value)
		}
		if b.span > 0 {
			command(&w, "EXEC")
		}
		if b.wait {
			command(&w, "WAIT", "1", "10000")
			replies++
		}
		at := time.Now()
		if _, err := c.Write(w.Buf); err != nil {
			return nil, err
		}
		for range replies {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil, err
			}
			if line[0] == '-' || line == "*-1\r\n" || line == ":0\r\n" {
				return nil, fmt.Errorf("answer %q", line)
			}
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}

func command(w *resp.Writer, args ...string) {
	w.Array(len(args))
	for _, a := range args {
		w.BulkString(a)
	}
}
