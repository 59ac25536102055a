package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"coterie/internal/base"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Run generates load until it is done or ctx is canceled, and writes a line
// to progress every second; progress may be nil. A run that was cut short
// returns the result so far, marked as interrupted; an error means that there
// was nothing to measure.
func Run(ctx context.Context, c Config, progress io.Writer) (*Result, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = io.Discard
	}
	if c.Prefill && c.Command != "incr" {
		if err := prefill(ctx, c, progress); err != nil {
			return nil, fmt.Errorf("prefill: %w", err)
		}
	}
	return execute(ctx, c, &printer{w: progress, terminal: c.Terminal})
}

// prefillPipeline is how many sets a client has in flight, unless the run's
// own pipeline is larger.
const prefillPipeline = 16

// prefill sets every key once.
func prefill(ctx context.Context, c Config, progress io.Writer) error {
	c.Command, c.Distribution = "set", "sequential"
	c.Requests, c.Duration, c.Warmup, c.Rate = int64(c.Keys), 0, 0, 0
	c.Pipeline, c.CPUPIDs = max(c.Pipeline, prefillPipeline), nil
	r, err := execute(ctx, c, &printer{w: progress, terminal: c.Terminal, label: "prefill"})
	switch {
	case err != nil:
		return err
	case r.Interrupted:
		return ctx.Err()
	case r.Failed > 0:
		return fmt.Errorf("%d of %d sets failed: %s", r.Failed, c.Requests, r.Errors[0].First)
	}
	return nil
}

// execute runs one phase.
func execute(ctx context.Context, c Config, out *printer) (*Result, error) {
	p := &phase{Config: c, epoch: time.Now(), budget: -1, end: math.MaxInt64}
	var err error
	if p.workload, err = newWorkload(c); err != nil {
		return nil, err
	}
	if c.Requests > 0 {
		p.budget = c.Requests
	}
	if c.Rate > 0 {
		p.period = float64(time.Second) / c.Rate
	}
	defer context.AfterFunc(ctx, func() { p.stop.Store(true) })()
	workers, err := connect(ctx, p)
	if err != nil {
		return nil, err
	}
	p.begin = p.now()
	p.measure = p.begin + int64(c.Warmup)
	if c.Duration > 0 {
		p.end = p.measure + int64(c.Duration)
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() { w.run(ctx) })
	}
	go func() {
		running.Wait()
		close(done)
	}()
	return watch(p, workers, out, done)
}

// connect makes the workers and all their connections.
func connect(ctx context.Context, p *phase) ([]*worker, error) {
	var slots *slotMap
	if p.Cluster {
		var err error
		if slots, err = askSlots(ctx, p.Addrs, p.Timeout); err != nil {
			return nil, err
		}
	}
	workers := make([]*worker, p.Workers)
	for i := range workers {
		poll, err := newPoller(p.Workers)
		if err != nil {
			closeAll(workers)
			return nil, fmt.Errorf("create a poller: %w", err)
		}
		w := &worker{
			phase: p, index: i, poll: poll, recorder: newRecorder(),
			source: newSource(p.Config, i, p.Workers), frames: slices.Clone(p.workload.frames),
			left: -1,
		}
		if p.budget >= 0 { // a worker's share, so that nothing is shared
			w.left = p.budget / int64(p.Workers)
			if int64(i) < p.budget%int64(p.Workers) {
				w.left++
			}
		}
		if slots != nil {
			w.slots = make([]uint16, base.NumSlots)
			w.adopt(slots)
		}
		workers[i] = w
	}
	for i := range p.Connections {
		w := workers[i%len(workers)]
		c := &client{index: int64(len(w.clients))}
		w.clients = append(w.clients, c)
		if slots == nil {
			c.conns = []*conn{{client: c, fd: -1, addr: p.Addrs[i%len(p.Addrs)]}}
			continue
		}
		for node := range w.nodes {
			w.connTo(c, node)
		}
	}
	if err := connectAll(ctx, p, workers); err != nil {
		closeAll(workers)
		return nil, err
	}
	return workers, nil
}

func closeAll(workers []*worker) {
	for _, w := range workers {
		if w != nil {
			w.close()
		}
	}
}

// dialsAtOnce bounds the connections that are being made at the start.
const dialsAtOnce = 64

func connectAll(ctx context.Context, p *phase, workers []*worker) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	room := make(chan struct{}, dialsAtOnce)
	for _, w := range workers {
		for _, cl := range w.clients {
			for _, c := range cl.conns {
				room <- struct{}{}
				w.mail.wait.Go(func() {
					d := dialed{conn: c}
					if d.fd, d.err = dialFD(ctx, c.addr, p.Timeout); d.err != nil {
						cancel() // one is enough to fail
					}
					w.mail.put(d)
					<-room
				})
			}
		}
	}
	var first error
	for _, w := range workers {
		w.mail.wait.Wait()
		for _, d := range w.mail.take() {
			if d.err == nil {
				d.err = w.attach(d.conn, d.fd)
			}
			// The dials canceled after the first failure only say so.
			if d.err != nil && (first == nil || errors.Is(first, context.Canceled)) {
				first = fmt.Errorf("connect: %w", d.err)
			}
		}
	}
	return first
}

// watch reports every second until the workers are done, and sums up.
func watch(p *phase, workers []*worker, out *printer, done <-chan struct{}) (*Result, error) {
	select { // the warm-up
	case <-done:
	case <-time.After(time.Duration(p.measure - p.now())):
	}
	r := &Result{Config: p.Config}
	cpu := readCPU(p.CPUPIDs)
	total, idle := newHistogram(), make([]*hdrhistogram.Histogram, len(workers))
	for i := range idle {
		idle[i] = newHistogram()
	}
	failedBefore := int64(0)
	gather := func() Second {
		interval := newHistogram()
		failed := int64(0)
		for i, w := range workers {
			h, f := w.recorder.take(idle[i])
			interval.Merge(h)
			failed += f
			h.Reset()
			idle[i] = h
		}
		total.Merge(interval)
		s := Second{Ops: interval.TotalCount(), Failed: failed - failedBefore, Latency: summarize(interval)}
		failedBefore = failed
		return s
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s := gather()
			s.Second = len(r.Seconds) + 1
			if len(r.Seconds) < maxSeconds {
				r.Seconds = append(r.Seconds, s)
			}
			out.second(s)
		case <-done:
			gather()
			out.finish()
			r.CPU = cpu.until(readCPU(p.CPUPIDs), total.TotalCount())
			return r, r.sumUp(p, workers, total)
		}
	}
}

// maxSeconds bounds the list of seconds in a result: one day.
const maxSeconds = 86400
