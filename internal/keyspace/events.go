package keyspace

import (
	"strconv"
	"strings"

	"coterie/internal/kv"
)

// Classes are classes of keyspace events, and the two ways to tell of them, as
// Redis's notify-keyspace-events names them.
type Classes uint16

const (
	ByKey         Classes = 1 << iota // K: on the channel of the key
	ByEvent                           // E: on the channel of the event
	GenericEvent                      // g
	StringEvent                       // $
	ListEvent                         // l
	SetEvent                          // s
	HashEvent                         // h
	ZSetEvent                         // z
	ExpiredEvent                      // x
	EvictedEvent                      // e
	StreamEvent                       // t
	ModuleEvent                       // d
	NewEvent                          // n: a key that was not there before
	MissEvent                         // m: a read of a key that is not there
	classLetters  = "KEg$lshzxetdnm"
	allEvents     = GenericEvent | StringEvent | ListEvent | SetEvent | HashEvent | ZSetEvent | ExpiredEvent | EvictedEvent | StreamEvent | ModuleEvent
	waysOfTelling = ByKey | ByEvent
)

// ParseClasses reads Redis's letters; A stands for all classes but n and m.
func ParseClasses(s string) (c Classes, ok bool) {
	for _, letter := range []byte(s) {
		if letter == 'A' {
			c |= allEvents
			continue
		}
		i := strings.IndexByte(classLetters, letter)
		if i < 0 {
			return 0, false
		}
		c |= 1 << i
	}
	return c, true
}

// String is the classes as Redis writes them.
func (c Classes) String() string {
	var b strings.Builder
	rest := c &^ (waysOfTelling | MissEvent)
	if c&allEvents == allEvents {
		b.WriteByte('A')
		rest = 0 // Redis does not show n then either
	}
	for _, part := range []Classes{rest, c & waysOfTelling, c & MissEvent} {
		for i := range len(classLetters) {
			if part&(1<<i) != 0 {
				b.WriteByte(classLetters[i])
			}
		}
	}
	return b.String()
}

// Notify tells subscribers of an event of a key, once what the command wrote
// is committed. When nobody is to be told of the class, it costs a comparison.
func (s *Space) Notify(class Classes, event string, key []byte) {
	if s.Events&class != 0 {
		notify(s.Txn, s.Events, s.DB, event, key)
	}
}

func notify(txn kv.Txn, events Classes, db int, event string, key []byte) {
	m, ok := txn.(kv.Mailer)
	if !ok {
		return
	}
	channel := func(way string) []byte {
		b := make([]byte, 0, len("__keyspace@15__:")+max(len(key), len(event)))
		return append(strconv.AppendInt(append(b, way...), int64(db), 10), "__:"...)
	}
	if events&ByKey != 0 {
		m.Mail(kv.Mail{Channel: append(channel("__keyspace@"), key...), Payload: []byte(event)})
	}
	if events&ByEvent != 0 {
		m.Mail(kv.Mail{Channel: append(channel("__keyevent@"), event...), Payload: append([]byte(nil), key...)})
	}
}
