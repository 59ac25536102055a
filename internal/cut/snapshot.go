package cut

import (
	"strconv"
	"strings"

	"coterie/internal/base"
	"coterie/internal/partition"
	"coterie/internal/resp"
)

// Cluster is how whoever reads a cut reaches it. What waits is false when it
// does not wait any longer, since the node stops: what was handed over must not
// be looked at then.
type Cluster interface {
	// Cut hands a cut to the coordinator, and waits until it is finished.
	Cut(*Cut) bool
	// End gives it up, once it was made.
	End(*Cut)
	// Submit hands requests over, and waits until all are answered.
	Submit([]*partition.Request) bool
}

// refusal is an error reply.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// Snapshot is a cut that was made, for one goroutine.
type Snapshot struct {
	Cut
	cluster Cluster
}

// Take makes a cut over partitions. The error's text is an error reply, here and
// below.
func Take(c Cluster, partitions []base.PartitionID) (*Snapshot, error) {
	s := &Snapshot{cluster: c, Cut: Cut{Partitions: partitions}}
	switch {
	case len(partitions) == 0:
		return nil, refusal(ReplyFailed)
	case !c.Cut(&s.Cut):
		return nil, refusal(ReplyLost)
	case !s.Made:
		return nil, refusal(s.Reply)
	}
	return s, nil
}

// Close gives the cut up.
func (s *Snapshot) Close() { s.cluster.End(&s.Cut) }

// Question is a command for a partition of the cut.
type Question struct {
	Partition base.PartitionID
	DB        uint8
	Args      [][]byte
}

// Ask runs commands over the cut, at once, and returns their replies.
func (s *Snapshot) Ask(questions []Question) ([]resp.Value, error) {
	reqs := make([]*partition.Request, len(questions))
	for i, q := range questions {
		reqs[i] = &partition.Request{
			Partition: q.Partition, DB: q.DB, Proto: 2, Flags: partition.Whole | partition.Transaction,
			Args: partition.CutReadArgs(s.ID, q.Args...),
		}
	}
	if len(reqs) > 0 && !s.cluster.Submit(reqs) {
		return nil, refusal(ReplyLost)
	}
	replies := make([]resp.Value, len(reqs))
	for i, req := range reqs {
		if req.Status != partition.Done || len(req.Reply) == 0 || req.Reply[0] != partition.CutReply {
			return nil, refusal(ReplyLost)
		}
		v, _, err := resp.ParseReply(req.Reply[1:])
		if err != nil || v.Kind == '-' {
			return nil, refusal(req.Reply[1:])
		}
		replies[i] = v
	}
	return replies, nil
}

// Values are the values of string keys, in their order; Null where there is
// none.
func (s *Snapshot) Values(db uint8, keys [][]byte, owner func(base.Slot) (base.PartitionID, bool)) ([]resp.Value, error) {
	var questions []Question
	places := map[base.PartitionID][]int{}
	for i, k := range keys {
		p, ok := owner(base.KeySlot(k))
		if !ok {
			return nil, refusal(ReplyLost)
		}
		if places[p] == nil {
			questions = append(questions, Question{Partition: p, DB: db, Args: [][]byte{[]byte("mget")}})
		}
		places[p] = append(places[p], i)
		for j := range questions {
			if questions[j].Partition == p {
				questions[j].Args = append(questions[j].Args, k)
			}
		}
	}
	replies, err := s.Ask(questions)
	if err != nil {
		return nil, err
	}
	values := make([]resp.Value, len(keys))
	for j, v := range replies {
		at := places[questions[j].Partition]
		if len(v.Elems) != len(at) {
			return nil, refusal(ReplyLost)
		}
		for n, i := range at {
			values[i] = v.Elems[n]
		}
	}
	return values, nil
}

// pageKeys is how many keys a leader looks at for one READ.
const pageKeys = "256"

// escaper makes a glob pattern of a prefix.
var escaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// Sum adds up the values that are integers of all keys with a prefix, page by
// page, and counts these keys.
func (s *Snapshot) Sum(db uint8, prefix string) (sum, keys int64, err error) {
	pattern := []byte(escaper.Replace(prefix) + "*")
	cursors := map[base.PartitionID][]byte{}
	for _, p := range s.Partitions {
		cursors[p] = []byte("0")
	}
	for len(cursors) > 0 {
		var scans, gets []Question
		for _, p := range s.Partitions {
			if at := cursors[p]; at != nil {
				scans = append(scans, Question{p, db, [][]byte{[]byte("scan"), at, []byte("match"), pattern, []byte("count"), []byte(pageKeys)}})
			}
		}
		pages, err := s.Ask(scans)
		if err != nil {
			return 0, 0, err
		}
		for i, v := range pages {
			p := scans[i].Partition
			if len(v.Elems) != 2 {
				return 0, 0, refusal(ReplyLost)
			}
			if cursors[p] = []byte(v.Elems[0].Text()); v.Elems[0].Text() == "0" {
				delete(cursors, p)
			}
			get := Question{p, db, [][]byte{[]byte("mget")}}
			for _, k := range v.Elems[1].Elems {
				get.Args = append(get.Args, []byte(k.Text()))
			}
			if keys += int64(len(get.Args) - 1); len(get.Args) > 1 {
				gets = append(gets, get)
			}
		}
		values, err := s.Ask(gets)
		if err != nil {
			return 0, 0, err
		}
		for _, v := range values {
			for _, x := range v.Elems {
				if n, err := strconv.ParseInt(x.Text(), 10, 64); err == nil {
					sum += n
				}
			}
		}
	}
	return sum, keys, nil
}
