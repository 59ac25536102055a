package pubsub

import (
	"cmp"
	"slices"

	"coterie/internal/base"
	"coterie/internal/command/glob"
)

// Kind is what a topic is. The numbers are on the wire.
type Kind uint8

const (
	Channel Kind = iota
	Pattern
	Shard // a sharded channel

	NumKinds = 3
)

// Registry is who has subscribed to what. S is a client of this node.
type Registry[S comparable] struct {
	topics   [NumKinds]map[string]*topic[S]
	patterns []*topic[S] // the topics of kind Pattern
	// here are the topics with subscribers on this node, see Walk.
	here    [NumKinds][]*topic[S]
	changed []*topic[S]
	nodes   map[base.NodeID]map[*topic[S]]struct{} // what each other node told
	bytes   int64
	local   int // subscriptions of this node's clients
}

// topic is one name that somebody has subscribed to.
type topic[S comparable] struct {
	kind    Kind
	name    string
	clients []S
	places  map[S]int // in clients; only while there are many
	remote  []remote
	at      int    // in here, if there are clients
	nth     int    // in patterns, if it is one
	pattern []byte // the name, if it is one
	dirty   bool   // in changed
}

// remote is how many subscribers another node has.
type remote struct {
	node  base.NodeID
	count uint32
}

// manyClients is from where on a topic's clients are found by a map.
const manyClients = 32

// topicBytes is about what a topic costs beyond its name, and subscriptionBytes
// a subscription beyond its topic, in bytes.
const (
	topicBytes        = 256
	subscriptionBytes = 64
)

// New returns an empty registry.
func New[S comparable]() *Registry[S] {
	r := &Registry[S]{nodes: map[base.NodeID]map[*topic[S]]struct{}{}}
	for k := range r.topics {
		r.topics[k] = map[string]*topic[S]{}
	}
	return r
}

// Bytes is about what the registry holds.
func (r *Registry[S]) Bytes() int64 { return r.bytes }

// Subscriptions is the number of this node's clients' subscriptions.
func (r *Registry[S]) Subscriptions() int { return r.local }

func (r *Registry[S]) topic(k Kind, name []byte) *topic[S] {
	t := r.topics[k][string(name)]
	if t == nil {
		t = &topic[S]{kind: k, name: string(name)}
		r.topics[k][t.name] = t
		if k == Pattern {
			t.pattern, t.nth = []byte(t.name), len(r.patterns)
			r.patterns = append(r.patterns, t)
		}
		r.bytes += int64(len(name)) + topicBytes
	}
	return t
}

// settle drops a topic that nobody has subscribed to any more.
func (r *Registry[S]) settle(t *topic[S]) {
	if len(t.clients) > 0 || len(t.remote) > 0 || r.topics[t.kind][t.name] != t {
		return
	}
	delete(r.topics[t.kind], t.name)
	if t.kind == Pattern {
		end := len(r.patterns) - 1
		r.patterns[t.nth] = r.patterns[end]
		r.patterns[t.nth].nth = t.nth
		r.patterns[end] = nil
		r.patterns = r.patterns[:end]
	}
	r.bytes -= int64(len(t.name)) + topicBytes
}

func (r *Registry[S]) change(t *topic[S]) {
	if !t.dirty {
		t.dirty = true
		r.changed = append(r.changed, t)
	}
}

func (t *topic[S]) find(s S) int {
	if t.places != nil {
		if i, ok := t.places[s]; ok {
			return i
		}
		return -1
	}
	return slices.Index(t.clients, s)
}

// Subscribe notes a client's subscription. It is false if there is one.
func (r *Registry[S]) Subscribe(k Kind, name []byte, s S) bool {
	t := r.topic(k, name)
	if t.find(s) >= 0 {
		return false
	}
	if len(t.clients) == 0 {
		t.at = len(r.here[k])
		r.here[k] = append(r.here[k], t)
	}
	t.clients = append(t.clients, s)
	switch n := len(t.clients); {
	case t.places != nil:
		t.places[s] = n - 1
	case n > manyClients:
		t.places = make(map[S]int, 2*n)
		for i, c := range t.clients {
			t.places[c] = i
		}
	}
	r.bytes += subscriptionBytes
	r.local++
	r.change(t)
	return true
}

// Unsubscribe ends a client's subscription. It is false if there is none.
func (r *Registry[S]) Unsubscribe(k Kind, name []byte, s S) bool {
	t := r.topics[k][string(name)]
	if t == nil {
		return false
	}
	i := t.find(s)
	if i < 0 {
		return false
	}
	last := len(t.clients) - 1
	t.clients[i] = t.clients[last]
	if t.places != nil {
		t.places[t.clients[i]] = i
		delete(t.places, s)
	}
	var none S
	t.clients[last] = none
	t.clients = t.clients[:last]
	if last == 0 {
		t.clients, t.places = nil, nil
		list := r.here[k]
		end := len(list) - 1
		list[t.at] = list[end]
		list[t.at].at = t.at
		list[end] = nil
		r.here[k] = list[:end]
	}
	r.bytes -= subscriptionBytes
	r.local--
	r.change(t)
	r.settle(t)
	return true
}

// Told notes how many subscribers another node says it has.
func (r *Registry[S]) Told(node base.NodeID, k Kind, name []byte, count uint32) {
	if count == 0 {
		if t := r.topics[k][string(name)]; t != nil {
			r.untell(node, t)
		}
		return
	}
	t := r.topic(k, name)
	i := slices.IndexFunc(t.remote, func(x remote) bool { return x.node == node })
	if i >= 0 {
		t.remote[i].count = count
		return
	}
	t.remote = append(t.remote, remote{node, count})
	r.bytes += subscriptionBytes
	if r.nodes[node] == nil {
		r.nodes[node] = map[*topic[S]]struct{}{}
	}
	r.nodes[node][t] = struct{}{}
}

func (r *Registry[S]) untell(node base.NodeID, t *topic[S]) {
	i := slices.IndexFunc(t.remote, func(x remote) bool { return x.node == node })
	if i < 0 {
		return
	}
	t.remote = slices.Delete(t.remote, i, i+1)
	if len(t.remote) == 0 {
		t.remote = nil
	}
	r.bytes -= subscriptionBytes
	if delete(r.nodes[node], t); len(r.nodes[node]) == 0 {
		delete(r.nodes, node)
	}
	r.settle(t)
}

// Forget drops up to limit topics of what another node told, and says whether
// there is more.
func (r *Registry[S]) Forget(node base.NodeID, limit int) (more bool) {
	for t := range r.nodes[node] {
		if limit == 0 {
			return true
		}
		limit--
		r.untell(node, t)
	}
	return false
}

// Change is a topic's number of subscribers on this node.
type Change struct {
	Kind  Kind
	Name  string
	Count uint32
}

func (t *topic[S]) change() Change {
	return Change{t.kind, t.name, uint32(len(t.clients))}
}

// Changes appends up to limit topics whose number of subscribers here has
// changed since they were last given, and says whether there are more.
func (r *Registry[S]) Changes(dst []Change, limit int) (_ []Change, more bool) {
	rest := max(len(r.changed)-limit, 0)
	for _, t := range r.changed[rest:] {
		t.dirty = false
		// A topic of the same name may have been made since: its number counts.
		if now := r.topics[t.kind][t.name]; now != nil {
			t = now
		}
		dst = append(dst, t.change())
	}
	clear(r.changed[rest:])
	if r.changed = r.changed[:rest]; rest == 0 && cap(r.changed) > 1<<12 {
		r.changed = nil
	}
	return dst, rest > 0
}

// Place is how far a walk over this node's topics has come. The zero Place is
// its beginning.
type Place struct {
	kind  Kind
	left  int
	begun bool
}

// Walk appends up to limit of the topics that have subscribers here, and says
// where to go on; over says that there are no more. It goes from the end to
// the beginning: what is removed meanwhile moves only what was visited.
func (r *Registry[S]) Walk(dst []Change, p Place, limit int) (_ []Change, next Place, over bool) {
	for ; p.kind < NumKinds; p.kind, p.begun = p.kind+1, false {
		list := r.here[p.kind]
		if !p.begun || p.left > len(list) {
			p.left, p.begun = len(list), true
		}
		for ; p.left > 0; p.left-- {
			if limit == 0 {
				return dst, p, false
			}
			limit--
			dst = append(dst, list[p.left-1].change())
		}
	}
	return dst, p, true
}

// Count is the number of a topic's subscribers, on all nodes.
func (r *Registry[S]) Count(k Kind, name []byte) int64 {
	t := r.topics[k][string(name)]
	if t == nil {
		return 0
	}
	return t.count()
}

func (t *topic[S]) count() int64 {
	n := int64(len(t.clients))
	for _, x := range t.remote {
		n += int64(x.count)
	}
	return n
}

// Len is the number of topics, on all nodes.
func (r *Registry[S]) Len(k Kind) int { return len(r.topics[k]) }

// Names are the names of the topics on all nodes that match a pattern, in
// order. A nil pattern matches all.
func (r *Registry[S]) Names(k Kind, pattern []byte) []string {
	var list []string
	for name := range r.topics[k] {
		if pattern == nil || glob.Match(pattern, []byte(name)) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Hit is a client that gets a message, and the topic that it gets it by.
type Hit[S comparable] struct {
	Kind   Kind
	Name   string
	Client S
}

// Hits appends the clients of this node that a message is for: first those of
// its channel, then those of each pattern. A client gets it once by each.
func (r *Registry[S]) Hits(dst []Hit[S], sharded bool, channel []byte) []Hit[S] {
	r.each(sharded, channel, func(t *topic[S]) {
		for _, s := range t.clients {
			dst = append(dst, Hit[S]{t.kind, t.name, s})
		}
	})
	return dst
}

// Share is what a node has of a message's audience.
type Share struct {
	Node  base.NodeID
	Count int64
}

// Audience is how many subscribers of this node a message is for, and appends
// what the other nodes have of them, in the order of their ids.
func (r *Registry[S]) Audience(dst []Share, sharded bool, channel []byte) (here int64, elsewhere []Share) {
	start := len(dst)
	r.each(sharded, channel, func(t *topic[S]) {
		here += int64(len(t.clients))
		for _, x := range t.remote {
			i := start
			for i < len(dst) && dst[i].Node != x.node {
				i++
			}
			if i == len(dst) {
				dst = append(dst, Share{Node: x.node})
			}
			dst[i].Count += int64(x.count)
		}
	})
	slices.SortFunc(dst[start:], func(a, b Share) int { return cmp.Compare(a.Node, b.Node) })
	return here, dst
}

func (r *Registry[S]) each(sharded bool, channel []byte, visit func(*topic[S])) {
	k := Channel
	if sharded {
		k = Shard
	}
	if t := r.topics[k][string(channel)]; t != nil {
		visit(t)
	}
	if sharded {
		return
	}
	for _, t := range r.patterns {
		if glob.Match(t.pattern, channel) {
			visit(t)
		}
	}
}
