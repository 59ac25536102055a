package node

import (
	"sync"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/transport"
	"coterie/internal/txn"
)

// received is a message from another node.
type received struct {
	from  base.NodeID
	class transport.Class
	msg   []byte
}

// inboxBytes bounds the messages that wait for the loop, in bytes. At the
// bound the readers of connections wait, and the other nodes with them.
const inboxBytes = 32 << 20

// inbox is what other goroutines hand to the loop. Whoever puts something in
// wakes the loop; one wake-up serves everything put in until it looks.
type inbox struct {
	room *sync.Cond // messages were taken out; of mu
	mu   struct {
		sync.Mutex
		bytes    int  // of messages
		closed   bool // the loop has ended: nobody waits for room
		requests []*partition.Request
		txns     []*txn.Transaction
		messages []received
		events   []func()
		waiting  bool // the loop sleeps
	}
	wake chan struct{}
}

func newInbox() *inbox {
	b := &inbox{wake: make(chan struct{}, 1)}
	b.room = sync.NewCond(&b.mu)
	return b
}

// close lets everybody go who waits for room.
func (b *inbox) close() {
	b.mu.Lock()
	b.mu.closed = true
	b.mu.Unlock()
	b.room.Broadcast()
}

// signal wakes the loop if it sleeps. The lock is held.
func (b *inbox) signal() {
	if b.mu.waiting {
		b.mu.waiting = false
		b.wake <- struct{}{}
	}
}

func (b *inbox) putRequests(reqs []*partition.Request) {
	b.mu.Lock()
	b.mu.requests = append(b.mu.requests, reqs...)
	b.signal()
	b.mu.Unlock()
}

// putTransaction hands over a transaction over partitions. What its session
// put in before comes before it; until it is answered there is nothing after.
func (b *inbox) putTransaction(t *txn.Transaction) {
	b.mu.Lock()
	b.mu.txns = append(b.mu.txns, t)
	b.signal()
	b.mu.Unlock()
}

func (b *inbox) putMessage(m received) {
	b.mu.Lock()
	for b.mu.bytes >= inboxBytes && !b.mu.closed {
		b.room.Wait()
	}
	b.mu.bytes += len(m.msg)
	b.mu.messages = append(b.mu.messages, m)
	b.signal()
	b.mu.Unlock()
}

// putEvent runs f on the loop.
func (b *inbox) putEvent(f func()) {
	b.mu.Lock()
	b.mu.events = append(b.mu.events, f)
	b.signal()
	b.mu.Unlock()
}

// batch is what the loop takes out at once.
type batch struct {
	requests []*partition.Request
	txns     []*txn.Transaction // behind all of requests
	messages []received
	events   []func()
}

// take swaps what gathered for the emptied slices of the last batch. If there
// is nothing, it says that the loop is going to sleep.
func (b *inbox) take(last *batch) bool {
	clear(last.requests)
	clear(last.txns)
	clear(last.messages)
	clear(last.events)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mu.requests)+len(b.mu.txns)+len(b.mu.messages)+len(b.mu.events) == 0 {
		last.requests, last.messages, last.events = last.requests[:0], last.messages[:0], last.events[:0]
		last.txns = last.txns[:0]
		b.mu.waiting = true
		return false
	}
	last.requests, b.mu.requests = b.mu.requests, last.requests[:0]
	last.txns, b.mu.txns = b.mu.txns, last.txns[:0]
	last.messages, b.mu.messages = b.mu.messages, last.messages[:0]
	if b.mu.bytes >= inboxBytes {
		b.room.Broadcast()
	}
	b.mu.bytes = 0
	last.events, b.mu.events = b.mu.events, last.events[:0]
	return true
}

// awake says that the loop woke up by itself. A wake-up that was sent
// meanwhile is taken back.
func (b *inbox) awake() {
	b.mu.Lock()
	b.mu.waiting = false
	b.mu.Unlock()
	select {
	case <-b.wake:
	default:
	}
}
