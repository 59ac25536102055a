package redisfront

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"coterie/internal/base"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/spanning"
)

// fan is a command that was divided over partitions: one part for each, and a
// way to make one reply of theirs.
type fan struct {
	o     *op
	parts []part
	left  int   // parts not yet complete; guarded by the session's mu
	owed  int64 // bytes of large replies that wait for the other parts; likewise
	merge func(w *resp.Writer, f *fan)
	// proto is the version to write the merged reply in.
	proto int
	// lenient fans leave it to merge what a part's error means.
	lenient bool
}

// part is one partition's share.
type part struct {
	req   partition.Request
	f     *fan
	keys  []int // which of the command's keys these are, in order
	reply []byte
}

var _ partition.Sink = (*part)(nil)

// Complete is called by the router when the part's request has ended.
func (p *part) Complete(r *partition.Request) {
	f, s := p.f, p.f.o.s
	reply := answer(s, r)
	s.mu.Lock()
	f.left--
	last := f.left == 0
	switch {
	case s.mu.dead:
		reply, r.Reply = nil, nil // nobody will read it
	case last && f.owed > 0:
		s.paid(f.owed)
	case !last && len(reply) >= owedMin:
		f.owed += int64(len(reply))
		s.owe(int64(len(reply)))
	}
	p.reply = reply
	s.mu.Unlock()
	if last {
		s.finish(f.o, f.result())
	}
}

// result is the one reply: the first part's error if there is one, else what
// the parts' replies merge to.
func (f *fan) result() []byte {
	for i := range f.parts {
		if r := f.parts[i].reply; !f.lenient && len(r) > 0 && r[0] == '-' {
			return r
		}
	}
	w := resp.Writer{Proto: f.proto}
	f.merge(&w, f)
	return w.Buf
}

// launch submits a divided command. Without parts its reply is made at once.
func (s *session) launch(o *op, f *fan) {
	f.o, f.left, f.proto = o, len(f.parts), int(s.proto.Load())
	if f.left == 0 {
		w := s.beginReply()
		w.Proto = f.proto
		start := len(w.Buf)
		f.merge(w, f)
		o.cmd.stats.record(s.f.nanos()-s.now, false, true)
		if s.silence != replyOn {
			w.Buf = w.Buf[:start]
		}
		s.endReply()
		return
	}
	o.fan = f
	for i := range f.parts {
		s.reqs = append(s.reqs, &f.parts[i].req)
	}
	s.enqueue(o)
}

// share is what one partition has of a command's keys.
type share struct {
	p    *Partition
	slot base.Slot
	args [][]byte // the command with these keys alone
	keys []int    // which of the command's keys these are, in order
	// merge makes one reply of the shares' if it is not the command's Fan that
	// says how; of the first share.
	merge func(*resp.Writer, *fan)
}

// shares gives each partition the keys it owns, with what belongs to them. A
// command that works in one partition is that one's as it is; one about a whole
// database is every partition's.
func (s *session) shares(e *entry, args [][]byte) (list []share, why string) {
	if e.spec.Fan >= command.FanAllSum {
		return s.wholeShares(e, args)
	}
	byID := make(map[base.PartitionID]int)
	at := e.spec.AppendKeys(nil, args)
	for n, i := range at {
		if len(args[i]) > s.f.opts.Limits.KeyBytes {
			return nil, s.keyTooLong()
		}
		slot := base.KeySlot(args[i])
		if s.oneSlot() && len(list) > 0 && slot != list[0].slot {
			return nil, errCrossSlot
		}
		p, why := s.owner(slot, len(list) > 0)
		if why != "" {
			return nil, why
		}
		of, known := byID[p.ID]
		if !known {
			of = len(list)
			byID[p.ID] = of
			list = append(list, share{p: p, slot: slot})
		}
		list[of].keys = append(list[of].keys, n)
	}
	switch {
	case len(list) == 1:
		list[0].args = args
		return list, ""
	case len(list) == 0, mergeOf(e.spec.Fan) == nil:
		return nil, errCrossPartition
	}
	// What can be divided has its keys in one range.
	first, step, end := at[0], e.spec.Keys.Step, at[len(at)-1]+e.spec.Keys.Step
	if end > len(args) { // one partition says so, of the first key with something behind it
		list[0].args = append(slices.Clone(args[:first+step]), args[first])
		return list[:1], ""
	}
	for i := range list {
		list[i].args = slices.Clone(args[:first])
		for _, n := range list[i].keys {
			list[i].args = append(list[i].args, args[at[n]:at[n]+step]...)
		}
		list[i].args = append(list[i].args, args[end:]...)
	}
	return list, ""
}

// divide brings a command to all partitions of its keys: a write as a
// transaction, a read in parts.
func (s *session) divide(o *op) {
	shares, why := s.shares(o.cmd, o.args)
	switch {
	case why == errCrossPartition:
		s.span(&spanned{o: o, job: spanning.Job{Args: o.args, Keys: s.watchedKeys(nil, o.cmd, o.args)}})
		return
	case why != "":
		s.refuse(o.cmd, why)
		return
	case len(shares) == 1:
		s.request(o, shares[0].p.ID, shares[0].slot)
		o.req.Args = shares[0].args
		return
	}
	s.joinShares(o, shares)
}

// scope are the partitions that a command about a whole database speaks of:
// all of them, or on the cluster listener those that this node leads.
func (s *session) scope() []Partition {
	if s.cluster {
		return s.directory().ledBy(s.directory().Self)
	}
	return s.directory().Partitions()
}

// blind refuses a command when there is no catalog yet: that is not an empty
// database.
func (s *session) blind(o *op) bool {
	if s.cluster || len(s.scope()) > 0 {
		return false
	}
	s.refuse(o.cmd, errNoOwner)
	return true
}

// whole makes the part that asks one partition as a whole.
func (s *session) whole(p *part, f *fan, e *entry, id base.PartitionID, args [][]byte) {
	s.fill(&p.req, p, e)
	p.f = f
	p.req.Flags |= partition.Whole
	p.req.Partition, p.req.Slot = id, 0
	p.req.Args = args
}

// routeWhole brings a command about a whole database to its partitions.
func (s *session) routeWhole(o *op) {
	if s.blind(o) {
		return
	}
	shares, why := s.wholeShares(o.cmd, o.args)
	switch {
	case why != "":
		s.refuse(o.cmd, why)
		return
	case o.cmd.spec.Name == "swapdb" && len(shares) > 1: // all exchange them at one instant
		s.joinShares(o, shares)
		return
	}
	f := &fan{parts: make([]part, len(shares)), merge: mergeOf(o.cmd.spec.Fan)}
	for i, sh := range shares {
		s.whole(&f.parts[i], f, o.cmd, sh.p.ID, sh.args)
		if sh.merge != nil {
			f.merge = sh.merge
		}
	}
	if len(shares) == 0 && o.cmd.spec.Fan == command.FanScan {
		f.merge = mergeNothing
	}
	s.launch(o, f)
}

// wholeShares is what a command about a whole database asks of which
// partition.
func (s *session) wholeShares(e *entry, args [][]byte) (list []share, why string) {
	if e.spec.Fan == command.FanScan {
		return s.scanShare(args)
	}
	if args, why = s.wholeArgs(e, args); why != "" {
		return nil, why
	}
	scope := s.scope()
	for i := range scope {
		list = append(list, share{p: &scope[i], slot: base.Slot(scope[i].Span.Lo), args: args})
	}
	return list, ""
}

// scanShare is that of SCAN: the partition that its cursor lies in. When that
// one is finished, the reply's cursor is the beginning of the next.
func (s *session) scanShare(args [][]byte) ([]share, string) {
	at, err := strconv.ParseUint(string(args[1]), 10, 64)
	if err != nil {
		return nil, "ERR invalid cursor"
	}
	slot, ok := keys.Cursor(at).Slot()
	scope := s.scope()
	for i := range scope {
		if !ok || scope[i].Span.Hi <= uint16(slot) {
			continue
		}
		next := uint64(0)
		if i+1 < len(scope) {
			next = uint64(keys.CursorAtSlot(base.Slot(scope[i+1].Span.Lo)))
		}
		if scope[i].Span.Lo > uint16(slot) {
			at = uint64(keys.CursorAtSlot(base.Slot(scope[i].Span.Lo)))
			args = append([][]byte{args[0], strconv.AppendUint(nil, at, 10)}, args[2:]...)
		}
		merge := func(w *resp.Writer, f *fan) { mergeScan(w, f.parts[0].reply, next) }
		return []share{{p: &scope[i], slot: base.Slot(scope[i].Span.Lo), args: args, merge: merge}}, ""
	}
	return nil, ""
}

// mergeNothing is SCAN's reply behind the last partition.
func mergeNothing(w *resp.Writer, _ *fan) {
	w.Array(2)
	w.BulkString("0")
	w.Array(0)
}

// mergeScan copies a SCAN reply; a final cursor is replaced by next.
func mergeScan(w *resp.Writer, reply []byte, next uint64) {
	const final = "*2\r\n$1\r\n0\r\n"
	if next == 0 || len(reply) < len(final) || string(reply[:len(final)]) != final {
		w.Raw(reply)
		return
	}
	w.Array(2)
	w.BulkString(strconv.FormatUint(next, 10))
	w.Raw(reply[len(final):])
}

// mergeOf is how the replies to a divided command become one; nil if it cannot
// be divided.
func mergeOf(f command.Fan) func(*resp.Writer, *fan) {
	switch f {
	case command.FanSum, command.FanAllSum:
		return mergeSum
	case command.FanGather:
		return mergeGather
	case command.FanOK, command.FanAllOK:
		return mergeOK
	case command.FanAllConcat:
		return mergeConcat
	case command.FanAny:
		return mergeAny
	default:
		return nil
	}
}

const errMerge = "ERR internal: a partition's reply has an unexpected form"

func mergeSum(w *resp.Writer, f *fan) {
	sum := int64(0)
	for i := range f.parts {
		n, ok := intReply(f.parts[i].reply)
		if !ok {
			w.Error(errMerge)
			return
		}
		sum += n
	}
	w.Int(sum)
}

// intReply reads ":n\r\n".
func intReply(r []byte) (int64, bool) {
	if len(r) < 4 || r[0] != ':' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(r[1:len(r)-2]), 10, 64)
	return n, err == nil
}

func mergeOK(w *resp.Writer, f *fan) { w.Simple("OK") }

// arrayReply takes the header off an array.
func arrayReply(r []byte) (n int, rest []byte, ok bool) {
	if len(r) < 4 || r[0] != '*' && r[0] != '~' {
		return 0, nil, false
	}
	for i := 1; i < len(r)-1; i++ {
		if r[i] == '\r' {
			n, err := strconv.Atoi(string(r[1:i]))
			return n, r[i+2:], err == nil && n >= 0
		}
	}
	return 0, nil, false
}

// mergeGather puts the elements of the parts' arrays at the places of their
// keys.
func mergeGather(w *resp.Writer, f *fan) {
	total := 0
	for i := range f.parts {
		total += len(f.parts[i].keys)
	}
	elems := make([][]byte, total)
	for i := range f.parts {
		p := &f.parts[i]
		n, rest, ok := arrayReply(p.reply)
		if !ok || n != len(p.keys) {
			w.Error(errMerge)
			return
		}
		for _, k := range p.keys {
			size, err := resp.SkipReply(rest)
			if err != nil || size == 0 {
				w.Error(errMerge)
				return
			}
			elems[k], rest = rest[:size], rest[size:]
		}
	}
	w.Array(total)
	for _, e := range elems {
		w.Raw(e)
	}
}

func mergeConcat(w *resp.Writer, f *fan) {
	total := 0
	for i := range f.parts {
		n, rest, ok := arrayReply(f.parts[i].reply)
		if !ok {
			w.Error(errMerge)
			return
		}
		total += n
		f.parts[i].reply = rest
	}
	w.Array(total)
	for i := range f.parts {
		w.Raw(f.parts[i].reply)
	}
}

// mergeAny takes one of the replies that are not null.
func mergeAny(w *resp.Writer, f *fan) {
	var found [][]byte
	for i := range f.parts {
		if r := f.parts[i].reply; !isNull(r) {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		w.Null()
		return
	}
	w.Raw(found[rand.IntN(len(found))])
}

func isNull(r []byte) bool {
	return len(r) == 0 || r[0] == '_' || len(r) >= 3 && (r[0] == '$' || r[0] == '*') && r[1] == '-'
}
