package rdb

// Kind is the type of a value.
type Kind uint8

// The kinds.
const (
	String Kind = iota + 1
	List
	Set
	Hash
	ZSet
	Stream
)

// Value is a value of any type.
type Value struct {
	Kind Kind
	// Items is what it consists of: one string, a list's values or a set's members,
	// a sorted set's members, or a hash's fields, each with its value behind it.
	Items [][]byte
	// Scores are those of a sorted set's members.
	Scores []float64
	Stream *StreamValue
}

// ID is the id of a stream's entry.
type ID struct{ Ms, Seq uint64 }

// Less says whether a comes before b.
func (a ID) Less(b ID) bool { return a.Ms < b.Ms || a.Ms == b.Ms && a.Seq < b.Seq }

// Unknown stands for what a stream does not know about a group's position, and
// for a time that never was.
const Unknown = -1

// StreamValue is a stream.
type StreamValue struct {
	Entries    []Entry // in the order of their ids
	Last       ID      // the greatest id there ever was
	MaxDeleted ID
	Added      uint64 // entries that there ever were
	Groups     []Group
}

// Entry is an entry of a stream: fields, each with its value behind it.
type Entry struct {
	ID     ID
	Fields [][]byte
}

// Group is a group of consumers.
type Group struct {
	Name      []byte
	Last      ID
	Read      int64 // Unknown: it is not known
	Guess     bool  // Read is not known, but may follow from Last
	Consumers []Consumer
	Pending   []Pending // in the order of their ids
}

// Consumer is one of a group.
type Consumer struct {
	Name         []byte
	Seen, Active int64 // milliseconds since 1970; Active may be Unknown
}

// Pending is an entry that a consumer was given and has not acknowledged.
type Pending struct {
	ID         ID
	Owner      int   // place in the group's Consumers
	At         int64 // when it was given last, in milliseconds since 1970
	Deliveries uint64
}
