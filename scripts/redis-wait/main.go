// Command redis-wait loads a Redis primary with SET, each followed by WAIT 1,
// and prints operations per second and latency: the durable write of a
// replicated Redis, to compare with.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6379", "primary")
	conns := flag.Int("c", 50, "connections")
	pipeline := flag.Int("P", 1, "SETs before each WAIT")
	total := flag.Int("n", 200_000, "SETs in all")
	flag.Parse()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	start := time.Now()
	for range *conns {
		wg.Go(func() {
			mine, err := load(*addr, *pipeline, *total / *conns)
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
	done := len(took) * *pipeline
	fmt.Printf("%.0f ops/s, p50 %v, p99 %v\n", float64(done)/time.Since(start).Seconds(),
		took[len(took)/2], took[len(took)*99/100])
}

// load sends n SETs on one connection, pipeline of them at a time.
func load(addr string, pipeline, n int) ([]time.Duration, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 16<<10)
	value := fmt.Sprintf("%064d", 0)
	var took []time.Duration
	var buf []byte
	for sent := 0; sent < n; sent += pipeline {
		buf = buf[:0]
		for range pipeline {
			buf = fmt.Appendf(buf, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$64\r\n%s\r\n", rand.IntN(100_000), value)
		}
		buf = append(buf, "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$5\r\n10000\r\n"...)
		at := time.Now()
		if _, err := c.Write(buf); err != nil {
			return nil, err
		}
		for i := range pipeline + 1 {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return nil, err
			}
			if line[0] == '-' || i == pipeline && line[1] == '0' {
				return nil, fmt.Errorf("answer %q", line)
			}
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}
