package redisfront

import (
	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/cut"
	"coterie/internal/partition"
	"coterie/internal/resp"
)

// hiddenSpecs are commands for tests, which no list of commands shows: see
// docs/internals/transactions.md.
func hiddenSpecs() []frontSpec {
	const flags = hidden | command.Admin | command.NoMulti
	sum := sub("cutsum", 3, flags, "7.2.0", "Adds up the integers under a prefix, in a consistent cut.", nil, command.Text("prefix"))
	get := sub("cutget", -3, flags, "7.2.0", "Answers the values of keys, in a consistent cut.", nil, command.Text("key").Many())
	sum.route, get.route = routeCutsum, routeCutget
	fs := container("coterie", "server", "7.2.0", "Looks into a consistent cut.", sum, get)
	return []frontSpec{fs}
}

// inCut has an op answered from a consistent cut over everything.
func (s *session) inCut(o *op, read func(*reach, *cut.Snapshot, *resp.Writer) error) {
	proto := int(s.proto.Load())
	s.span(&spanned{o: o, run: func(c *reach) (partition.Status, []byte) {
		snapshot, err := cut.Take(c, c.dir.all())
		if err != nil {
			return partition.NotRun, []byte(err.Error())
		}
		defer snapshot.Close()
		w := resp.Writer{Proto: proto}
		if err := read(c, snapshot, &w); err != nil {
			return partition.NotRun, []byte(err.Error())
		}
		return partition.Done, w.Buf
	}})
}

// routeCutsum answers COTERIE CUTSUM: the sum, the number of keys, and for how
// many microseconds writes stood still.
func routeCutsum(s *session, o *op) {
	prefix := string(o.args[2])
	s.inCut(o, func(_ *reach, x *cut.Snapshot, w *resp.Writer) error {
		sum, n, err := x.Sum(0, prefix)
		w.Array(3)
		w.Int(sum)
		w.Int(n)
		w.Int(int64(x.Stood))
		return err
	})
}

// routeCutget answers COTERIE CUTGET.
func routeCutget(s *session, o *op) {
	db, keys := uint8(s.db.Load()), o.args[2:]
	s.inCut(o, func(c *reach, x *cut.Snapshot, w *resp.Writer) error {
		values, err := x.Values(db, keys, c.Owner)
		w.Array(len(values))
		for _, v := range values {
			if v.Null {
				w.Null()
			} else {
				w.BulkString(v.Text())
			}
		}
		return err
	})
}

// all are the partitions of all slots; nil if some slot has none.
func (d *Directory) all() []base.PartitionID {
	var ids []base.PartitionID
	slots := 0
	for _, p := range d.partitions {
		ids = append(ids, p.ID)
		slots += int(p.Span.Hi) - int(p.Span.Lo)
	}
	if slots != base.NumSlots {
		return nil
	}
	return ids
}

// CompleteCut implements cut.Sink.
func (g *gather) CompleteCut(*cut.Cut) { g.came() }

// Cut implements cut.Cluster.
func (c *reach) Cut(x *cut.Cut) bool {
	g := newGather(1)
	x.Sink = g
	c.s.f.router.Cut(x)
	return c.wait(g)
}

// End implements cut.Cluster.
func (c *reach) End(x *cut.Cut) { c.s.f.router.EndCut(x) }
