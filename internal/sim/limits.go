package sim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/keys"
	"coterie/internal/keyspace"
	"coterie/internal/kv"
	"coterie/internal/partition"
)

// caches are what the leadership remembers of limited namespaces.
func (e evaluator) caches(txn *partition.Txn) *keyspace.Caches {
	return e.watching(txn).caches.Follow(e.limits, txn.Span(), txn.Now().Millis())
}

// maintain is the housekeeping of limited namespaces.
func (e evaluator) maintain(txn *partition.Txn, expired bool) (more bool) {
	caches := e.caches(txn)
	if expired {
		caches.Dirty()
	}
	more = keyspace.Maintain(txn, txn.Partition(), txn.Span(), e.limitsPlanted(txn), caches, 0, func(db int, key []byte) {
		e.m.c.met(eventEvictedBehind)
		name := command.WatchedKey(uint8(db), key)
		e.watches(txn).Touch(name)
		txn.Waiters().Touch(name)
	})
	e.m.c.stats.Evicted += int(caches.TakeEvicted())
	return more
}

// wroteLimited says that a transaction has written counters of limited namespaces.
func (e evaluator) wroteLimited(txn *partition.Txn) {
	if e.limits.Now == nil || e.m.c.opts.Bug == BugUntoldCache {
		return
	}
	e.caches(txn).Dirty()
}

// usage is how far a call's namespace is used, if it has a limit.
type usage struct {
	cache       *keyspace.Cache
	used, share int64
}

func (e evaluator) usage(call *command.Call) (u usage) {
	if call.Caches == nil || call.Caches[call.DB] == nil || !call.Caches[call.DB].Known() {
		return u
	}
	u.cache = call.Caches[call.DB]
	u.used, u.share = u.cache.Used(), share(call.Limits[call.DB], call.Span)
	return u
}

// checkGrowth: where a share is exceeded by more than an eighth, no command that
// could be refused makes it more.
func (e evaluator) checkGrowth(before usage, call *command.Call, reply []byte) {
	if before.cache == nil || call.Group {
		return
	}
	spec := e.m.c.table.Lookup(call.Args)
	if spec == nil || spec.Flags&command.DenyOOM == 0 {
		return
	}
	if strings.HasPrefix(string(reply), "-OOM ") {
		e.m.c.met(eventOOM)
	}
	if now := before.cache.Used(); now > before.used && before.used > before.share+before.share/8 && before.share > 0 && now > before.share+before.share/8+maxGrowth {
		e.m.c.violate("n%d p%d: %q takes namespace %d from %d bytes to %d of %d", e.m.id, call.Partition, call.Args, call.DB, before.used, now, before.share)
	}
}

// maxGrowth is more than one command of the workloads takes, bytes.
const maxGrowth = 1 << 10

// share is what a partition may hold of a namespace.
func share(l keyspace.Limit, span base.Span) int64 {
	return int64(float64(l.Bytes) * float64(span.Len()) / base.NumSlots)
}

// setHere makes the op one that sets a parameter of the cluster: CONFIG SET, of a
// limit.
func (o *op) setHere() {
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) {
		name, value := o.Command[2], o.Command[3]
		if name == "notify-keyspace-events" { // see tells
			return partition.Done, []byte("+OK\r\n")
		}
		if bytes, err := strconv.ParseUint(value, 10, 64); err == nil {
			epoch := uint32((epochSeconds + g.p.c.now) / second)
			if l := g.p.evaluator.limits.Now; l != nil {
				for db, limit := range l {
					if name == keyspace.LimitSetting(keyspace.SettingMemory, db) && limit.Bytes > 0 {
						epoch = limit.Epoch
					}
				}
			}
			value = keyspace.FormatLimit(bytes, epoch)
		} else if value == keyspace.NoEviction.String() {
			value = ""
		}
		arg, _ := json.Marshal(catalog.Setting{Name: name, Value: value})
		req := &partition.Request{Partition: base.Catalog, Flags: partition.Write, Proto: 2, Args: [][]byte{[]byte(catalog.CmdSet), arg}}
		if !g.Submit([]*partition.Request{req}) {
			return partition.Unknown, nil
		}
		if req.Status != partition.Done || req.Reply[0] != '+' {
			return req.Status, req.Reply
		}
		return partition.Done, []byte("+OK\r\n")
	}}
}

// epochSeconds makes the epoch of a limit no 0, µs.
const epochSeconds = second

// checkSizes: when everything is over, the counters of limited namespaces say what is
// there; and where every key may go, that is no more than the limit.
func (c *cluster) checkSizes() {
	for _, m := range c.machines {
		if m.proc == nil || m.proc.evaluator.limits.Now == nil {
			continue
		}
		for _, r := range m.proc.shard.Replicas() {
			if !r.Ready() || r.Partition() == base.Catalog || !r.Leads() {
				continue
			}
			for db, limit := range m.proc.evaluator.limits.Now {
				if limit.Bytes == 0 {
					continue
				}
				if wrong := checkSize(r.Overlay(), r.Partition(), r.State().Span, db, limit); wrong != "" {
					c.violate("n%d p%d: namespace %d %s", m.id, r.Partition(), db, wrong)
				}
			}
		}
	}
}

// checkSize looks at one partition's part of a namespace.
func checkSize(r kv.Reader, id base.PartitionID, span base.Span, db int, limit keyspace.Limit) (wrong string) {
	gen := keyspace.LoadGenerations(r, id)[db]
	total := int64(0)
	for slot := span.Lo; slot < span.Hi; slot++ {
		counted, ok := r.Get(keys.CounterKey(nil, base.Slot(slot), gen))
		if !ok {
			continue
		}
		n, _ := keyspace.ParseCount(counted)
		there := sizeOf(r, base.Slot(slot), gen)
		if total += there; n.Epoch == limit.Epoch && int64(n.Bytes) != there {
			return fmt.Sprintf("has %d bytes in slot %d, and its counter says %d", there, slot, n.Bytes)
		}
	}
	if p := limit.Policy; total > share(limit, span) && (p == keyspace.AllKeysLRU || p == keyspace.AllKeysLFU || p == keyspace.AllKeysRandom) {
		return fmt.Sprintf("holds %d bytes, and may hold %d", total, share(limit, span))
	}
	return ""
}

// sizeOf adds up a slot's records with their entries in the expiry index.
func sizeOf(r kv.Reader, slot base.Slot, gen uint32) (n int64) {
	lower, upper := keys.RecordBounds(slot, gen)
	it := r.Iter(lower, upper)
	defer it.Close()
	for it.Next() {
		n += int64(len(it.Key()) + len(it.Value()))
	}
	lower, upper = keys.ExpiryBounds(slot, 1<<62)
	index := r.Iter(lower, upper)
	defer index.Close()
	for index.Next() {
		if e, ok := keys.ParseExpiryKey(index.Key()); ok && e.Gen == gen {
			n += int64(len(index.Key()))
		}
	}
	return n
}

// limitsPlanted are the limits that housekeeping goes by.
func (e evaluator) limitsPlanted(txn *partition.Txn) *keyspace.NamespaceLimits {
	if e.m.c.opts.Bug != BugEvictsAny {
		return e.limits.Now
	}
	all, caches := *e.limits.Now, e.caches(txn)
	for db := range all {
		if all[db].Bytes > 0 {
			all[db].Policy = keyspace.AllKeysRandom
			caches[db].Follow(all[db], txn.Span())
		}
	}
	return &all
}

// roomyPlanted has a call go by a larger limit, until it is over.
func (e evaluator) roomyPlanted(call *command.Call) (over func()) {
	if e.m.c.opts.Bug != BugRoomy || call.Caches == nil {
		return func() {}
	}
	follow := func(factor uint64) {
		for db, c := range call.Caches {
			if limit := call.Limits[db]; c != nil {
				limit.Bytes *= factor
				c.Follow(limit, call.Span)
			}
		}
	}
	follow(8)
	return func() { follow(1) }
}
