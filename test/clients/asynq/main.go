// Command asynq puts tasks into asynq's queues and works them off, and says
// whether each was run once. It is a module of its own, so that Coterie does not
// depend on asynq; test/e2e (TestAsynq) runs it while leaders are killed.
//
//	go run . -addr 127.0.0.1:6379 -tasks 1000
//
// It prints "N" lines of how many tasks are done, every twentieth, and ends with one
// line of JSON.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// queues of different weight; each is a slot of its own.
var queues = map[string]int{"critical": 6, "default": 3, "low": 1}

var names = []string{"critical", "default", "low"}

// result is what the last line says.
type result struct {
	Tasks   int     // asked for
	Lost    int     // never run
	Doubled int     // run more than once
	Runs    int64   // of handlers
	Errors  int64   // that clients and workers met; what failed was sent again
	Left    int     // in the queues, of any kind, at the end
	Counted int     // as processed, by the queues
	Seconds float64 // for all
	Odd     []int   `json:",omitempty"` // some that were lost or doubled
}

func main() {
	addr := flag.String("addr", "127.0.0.1:6379", "a node")
	tasks := flag.Int("tasks", 1000, "how many")
	workers := flag.Int("workers", 50, "tasks at a time")
	senders := flag.Int("senders", 20, "clients that enqueue")
	limit := flag.Duration("limit", 10*time.Minute, "after this it is given up")
	flag.Parse()
	r, err := run(asynq.RedisClientOpt{Addr: *addr}, *tasks, *workers, *senders, *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		os.Exit(1)
	}
}

// work counts what is run.
type work struct {
	runs   []atomic.Int32
	total  atomic.Int64
	done   atomic.Int64 // tasks that were run at least once
	errors atomic.Int64
}

// ProcessTask implements asynq.Handler.
func (w *work) ProcessTask(_ context.Context, t *asynq.Task) error {
	n := binary.BigEndian.Uint64(t.Payload())
	w.total.Add(1)
	if w.runs[n].Add(1) == 1 {
		if done := w.done.Add(1); done%max(1, int64(len(w.runs))/20) == 0 {
			fmt.Println(done)
		}
	}
	return nil
}

func run(at asynq.RedisClientOpt, tasks, workers, senders int, limit time.Duration) (*result, error) {
	start := time.Now()
	w := &work{runs: make([]atomic.Int32, tasks)}
	server := asynq.NewServer(at, asynq.Config{
		Concurrency: workers, Queues: queues, LogLevel: asynq.FatalLevel, TaskCheckInterval: 200 * time.Millisecond,
		ErrorHandler: asynq.ErrorHandlerFunc(func(context.Context, *asynq.Task, error) { w.errors.Add(1) }),
	})
	if err := server.Start(w); err != nil {
		return nil, err
	}
	deadline := start.Add(limit)
	if err := w.send(at, senders, deadline); err != nil {
		return nil, err
	}
	for w.done.Load() < int64(tasks) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // whatever is run again is run now
	server.Shutdown()           // it waits until what was done is noted
	r := &result{Tasks: tasks, Runs: w.total.Load(), Errors: w.errors.Load()}
	for i := range w.runs {
		n := w.runs[i].Load()
		if n == 0 {
			r.Lost++
		} else if n > 1 {
			r.Doubled++
		}
		if n != 1 && len(r.Odd) < 10 {
			r.Odd = append(r.Odd, i)
		}
	}
	err := r.look(at)
	r.Seconds = time.Since(start).Round(10 * time.Millisecond).Seconds()
	return r, err
}

// send enqueues all tasks, each until it is known to be there: an id that is
// there already is from an attempt whose answer was lost.
func (w *work) send(at asynq.RedisClientOpt, senders int, deadline time.Time) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for range senders {
		wg.Go(func() {
			client := asynq.NewClient(at)
			defer client.Close()
			for {
				n := next.Add(1) - 1
				if n >= int64(len(w.runs)) {
					return
				}
				task := asynq.NewTask("count", binary.BigEndian.AppendUint64(nil, uint64(n)))
				// Kept when it is done, so that its id stays taken.
				opts := []asynq.Option{asynq.TaskID(fmt.Sprint("t", n)), asynq.Queue(names[n%3]), asynq.Retention(time.Hour)}
				if n%10 == 9 { // scheduled ones go another way
					opts = append(opts, asynq.ProcessIn(300*time.Millisecond))
				}
				for {
					_, err := client.Enqueue(task, opts...)
					if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
						break
					}
					w.errors.Add(1)
					log.Printf("task %d: %v", n, err)
					if time.Now().After(deadline) {
						failed.Store(&err)
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// look asks the queues what is left in them, and what they counted.
func (r *result) look(at asynq.RedisClientOpt) error {
	i := asynq.NewInspector(at)
	defer i.Close()
	for _, q := range names {
		info, err := i.GetQueueInfo(q)
		if err != nil {
			return fmt.Errorf("queue %s: %w", q, err)
		}
		r.Left += info.Size - info.Completed
		r.Counted += info.ProcessedTotal
	}
	return nil
}
