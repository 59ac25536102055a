package transport

const (
	// writeBytes is where a write stops taking frames. A message of a higher
	// class waits for at most this and one frame, besides the socket's buffer.
	writeBytes = 128 << 10
	// passedOver is how many writes a class with waiting messages may be left
	// out of before one of its frames goes first.
	passedOver = 8
	// queueOverhead is what a queued message counts beyond its length, so that
	// many tiny ones are bounded too.
	queueOverhead = 64
)

// frame is a piece of a queued message: msg[lo:hi]. at is its place in the
// bytes of the write that it is part of.
type frame struct {
	msg    []byte
	lo, hi int
	at     int
	class  Class
}

// queue holds the waiting messages of one class, the oldest at head; of that
// one the first off bytes are cut off already.
type queue struct {
	msgs  [][]byte
	head  int
	off   int
	bytes int
	idle  int // writes it was passed over
}

func (q *queue) empty() bool { return q.head == len(q.msgs) }

func (q *queue) push(msg []byte) {
	q.msgs = append(q.msgs, msg)
	q.bytes += len(msg) + queueOverhead
}

// cut takes the next frame off the oldest message.
func (q *queue) cut(class Class) frame {
	msg := q.msgs[q.head]
	f := frame{msg: msg, lo: q.off, hi: len(msg), class: class}
	if f.hi-f.lo > MaxFrame {
		f.hi = f.lo + MaxFrame
		q.off = f.hi
		q.bytes -= MaxFrame
		return f
	}
	q.bytes -= f.hi - f.lo + queueOverhead
	q.msgs[q.head] = nil
	q.head++
	q.off = 0
	switch {
	case q.head == len(q.msgs):
		q.msgs, q.head = q.msgs[:0], 0
	case q.head >= 64 && q.head*2 >= len(q.msgs):
		n := copy(q.msgs, q.msgs[q.head:])
		clear(q.msgs[n:])
		q.msgs, q.head = q.msgs[:n], 0
	}
	return f
}

// queues is what waits for one peer, and the choice of what goes next.
type queues [NumClasses]queue

func (qs *queues) empty() bool {
	for i := range qs {
		if !qs[i].empty() {
			return false
		}
	}
	return true
}

func (qs *queues) bytes() (n [NumClasses]int) {
	for i := range qs {
		n[i] = qs[i].bytes
	}
	return n
}

// take appends to dst the frames of the next write: a frame of each class that
// was passed over too often, then as many as fit from the highest class down.
func (qs *queues) take(dst []frame) []frame {
	var taken [NumClasses]bool
	left := writeBytes
	cut := func(c Class) {
		f := qs[c].cut(c)
		left -= frameHeader + f.hi - f.lo
		taken[c] = true
		dst = append(dst, f)
	}
	for c := range qs {
		if !qs[c].empty() && qs[c].idle >= passedOver {
			cut(Class(c))
		}
	}
	for c := range qs {
		for !qs[c].empty() && left > 0 {
			cut(Class(c))
		}
	}
	for c := range qs {
		if taken[c] || qs[c].empty() {
			qs[c].idle = 0
		} else {
			qs[c].idle++
		}
	}
	return dst
}

// drain empties the queues. It gives back the waiting messages of the Request
// class of which nothing was cut off yet, and the number of all that waited.
func (qs *queues) drain() (unsent [][]byte, waiting int) {
	for c := range qs {
		q := &qs[c]
		msgs := q.msgs[q.head:]
		waiting += len(msgs)
		if Class(c) == Request {
			if q.off > 0 {
				msgs = msgs[1:]
			}
			unsent = append(unsent, msgs...)
		}
		*q = queue{}
	}
	return unsent, waiting
}
