// Command txn-load loads Coterie with transactions of SETs, each MULTI to EXEC
// in one write, whose keys are in a given number of partitions, and prints
// transactions per second and latency. It takes the partitions to be equal
// spans of the slots, as a new cluster has them.
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
	total := flag.Int("n", 50_000, "transactions in all")
	sets := flag.Int("sets", 2, "SETs in each")
	span := flag.Int("span", 1, "partitions that the keys of one are in; 0: plain SETs, without MULTI")
	partitions := flag.Int("partitions", 3, "partitions of the cluster")
	hot := flag.Int("hot", 0, "keys to choose from; 0: 100,000")
	flag.Parse()
	keys := choose(*partitions, *hot)
	nodes := strings.Split(*addrs, ",")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	start := time.Now()
	for i := range *conns {
		wg.Go(func() {
			mine, err := load(nodes[i%len(nodes)], keys, *sets, *span, *total / *conns)
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
	fmt.Printf("%.0f/s, p50 %v, p99 %v\n", float64(len(took))/time.Since(start).Seconds(),
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

// load runs n transactions on one connection.
func load(addr string, keys [][]string, sets, span, n int) ([]time.Duration, error) {
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
		replies := sets
		if span > 0 {
			command(&w, "MULTI")
			replies = 2*sets + 2 // OK, QUEUED …, the array and its OKs
		}
		first := rand.IntN(len(keys))
		for i := range sets {
			from := keys[(first+i%max(span, 1))%len(keys)]
			command(&w, "SET", from[rand.IntN(len(from))], value)
		}
		if span > 0 {
			command(&w, "EXEC")
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
			if line[0] == '-' || line == "*-1\r\n" {
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
