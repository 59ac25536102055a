package broker

import (
	"slices"
	"sync"

	"coterie/internal/pubsub"
)

const (
	// batchMessages is how many messages are handed to clients before they are
	// flushed: a client gets them with one system call.
	batchMessages = 256
	// jobOverhead is what a waiting message counts beyond its bytes.
	jobOverhead = 128
)

// job is a message that waits for delivery here.
type job struct {
	sharded          bool
	channel, payload []byte
}

func (j *job) size() int { return len(j.channel) + len(j.payload) + jobOverhead }

// queue is what waits for delivery, in order.
type queue struct {
	limit int
	some  *sync.Cond // on mu: there is something, or it is closed
	room  *sync.Cond // on mu: there may be room, or it is closed
	mu    struct {
		sync.Mutex
		jobs   []job
		bytes  int
		closed bool
	}
}

func (q *queue) init(limit int) {
	q.limit = limit
	q.some, q.room = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
}

func (q *queue) close() {
	q.mu.Lock()
	q.mu.closed = true
	q.mu.Unlock()
	q.some.Broadcast()
	q.room.Broadcast()
}

// put adds a job. It is false when there is no room, or it is too late. What
// is alone always finds room.
func (q *queue) put(j job, wait bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.mu.bytes > 0 && q.mu.bytes+j.size() > q.limit && !q.mu.closed {
		if !wait {
			return false
		}
		q.room.Wait()
	}
	if q.mu.closed {
		return false
	}
	q.mu.bytes += j.size()
	q.mu.jobs = append(q.mu.jobs, j)
	if len(q.mu.jobs) == 1 {
		q.some.Signal()
	}
	return true
}

// take waits for jobs and takes all of them, in the place of the last ones. It
// is false when the queue is closed.
func (q *queue) take(last []job) ([]job, bool) {
	clear(last)
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.mu.jobs) == 0 && !q.mu.closed {
		q.some.Wait()
	}
	jobs := q.mu.jobs
	q.mu.jobs = last[:0]
	if cap(last) > 1<<14 {
		q.mu.jobs = nil
	}
	return jobs, !q.mu.closed
}

// taken takes all jobs that there are, without waiting.
func (q *queue) taken() (jobs []job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs, q.mu.jobs = q.mu.jobs, nil
	return jobs
}

// done gives room back.
func (q *queue) done(bytes int) {
	q.mu.Lock()
	q.mu.bytes -= bytes
	q.mu.Unlock()
	q.room.Broadcast()
}

// enqueue has a copy of a message delivered here.
func (b *Broker) enqueue(sharded bool, channel, payload []byte, wait bool) bool {
	own := append(append(make([]byte, 0, len(channel)+len(payload)), channel...), payload...)
	j := job{sharded: sharded, channel: own[:len(channel):len(channel)], payload: own[len(channel):]}
	if b.queue.put(j, wait) {
		return true
	}
	b.counts.droppedHere.Add(1)
	return false
}

// deliver hands messages to clients, until the broker is closed.
func (b *Broker) deliver() {
	defer b.done.Done()
	var d delivery
	var jobs []job
	for ok := true; ok; {
		if jobs, ok = b.queue.take(jobs); !ok {
			return
		}
		b.handAll(&d, jobs)
	}
}

// handAll hands messages to clients.
func (b *Broker) handAll(d *delivery, jobs []job) {
	for part := range slices.Chunk(jobs, batchMessages) {
		bytes := 0
		for i := range part {
			b.hand(d, &part[i])
			bytes += part[i].size()
		}
		for _, s := range d.flush {
			s.Flush()
		}
		clear(d.flush)
		d.flush = d.flush[:0]
		b.queue.done(bytes)
	}
}

// delivery is the memory of deliver.
type delivery struct {
	hits  []pubsub.Hit[Subscriber]
	flush []Subscriber
	msg   Message
}

// hand gives one message to its subscribers here.
func (b *Broker) hand(d *delivery, j *job) {
	b.reg.RLock()
	d.hits = b.reg.r.Hits(d.hits[:0], j.sharded, j.channel)
	b.reg.RUnlock()
	for i := range d.hits {
		h := &d.hits[i]
		if i == 0 || h.Kind != d.msg.Kind || h.Name != d.msg.Topic {
			d.msg = Message{Kind: h.Kind, Topic: h.Name, Channel: j.channel, Payload: j.payload}
		}
		if h.Client.Deliver(&d.msg) {
			d.flush = append(d.flush, h.Client)
		}
	}
	b.counts.delivered.Add(uint64(len(d.hits)))
	d.msg = Message{}
	clear(d.hits)
}
