package pubsub

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"coterie/internal/base"
	"coterie/internal/command/glob"
)

// model is the registry as plain maps.
type model struct {
	local [NumKinds]map[string]map[int]bool
	told  [NumKinds]map[string]map[base.NodeID]uint32
}

func newModel() *model {
	m := &model{}
	for k := range m.local {
		m.local[k], m.told[k] = map[string]map[int]bool{}, map[string]map[base.NodeID]uint32{}
	}
	return m
}

func (m *model) names(k Kind) []string {
	set := map[string]bool{}
	for n, c := range m.local[k] {
		if len(c) > 0 {
			set[n] = true
		}
	}
	for n, c := range m.told[k] {
		if len(c) > 0 {
			set[n] = true
		}
	}
	var list []string
	for n := range set {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

func (m *model) count(k Kind, name string) int64 {
	n := int64(len(m.local[k][name]))
	for _, c := range m.told[k][name] {
		n += int64(c)
	}
	return n
}

// topicsOf are the topics that a message goes by.
func (m *model) topicsOf(sharded bool, channel string) [][2]any {
	if sharded {
		return [][2]any{{Shard, channel}}
	}
	list := [][2]any{{Channel, channel}}
	for _, p := range m.names(Pattern) {
		if glob.Match([]byte(p), []byte(channel)) {
			list = append(list, [2]any{Pattern, p})
		}
	}
	return list
}

// TestModel runs random calls against plain maps, and a peer that is told of
// all changes.
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r, m := New[int](), newModel()
		peer := [NumKinds]map[string]uint32{{}, {}, {}}
		name := func(k Kind) string {
			s := fmt.Sprint("n", rng.IntN(8))
			if k == Pattern {
				return []string{"n*", "*", "n[1-3]", "?1", s}[rng.IntN(5)]
			}
			return s
		}
		for range 3000 {
			k := Kind(rng.IntN(NumKinds))
			n := name(k)
			switch client := rng.IntN(60); rng.IntN(8) {
			case 0, 1, 2:
				if m.local[k][n] == nil {
					m.local[k][n] = map[int]bool{}
				}
				if got := r.Subscribe(k, []byte(n), client); got == m.local[k][n][client] {
					t.Fatalf("seed %d: subscribe: %v", seed, got)
				}
				m.local[k][n][client] = true
			case 3, 4:
				if got := r.Unsubscribe(k, []byte(n), client); got != m.local[k][n][client] {
					t.Fatalf("seed %d: unsubscribe: %v", seed, got)
				}
				delete(m.local[k][n], client)
			case 5:
				node, count := base.NodeID(rng.IntN(3)+2), uint32(rng.IntN(3))
				r.Told(node, k, []byte(n), count)
				if m.told[k][n] == nil {
					m.told[k][n] = map[base.NodeID]uint32{}
				}
				if m.told[k][n][node] = count; count == 0 {
					delete(m.told[k][n], node)
				}
			case 6:
				if rng.IntN(20) == 0 {
					node := base.NodeID(rng.IntN(3) + 2)
					for r.Forget(node, 2) {
					}
					for k := range m.told {
						for _, x := range m.told[k] {
							delete(x, node)
						}
					}
				}
			case 7:
				changes, _ := r.Changes(nil, rng.IntN(4))
				for _, c := range changes {
					peer[c.Kind][c.Name] = c.Count
				}
			}
			compare(t, r, m, name(Channel))
		}
		for more := true; more; {
			var changes []Change
			changes, more = r.Changes(nil, 3)
			for _, c := range changes {
				peer[c.Kind][c.Name] = c.Count
			}
		}
		for k := range peer {
			for _, n := range []string{"n0", "n1", "n2", "n3", "n*", "*", "?1"} {
				if int(peer[k][n]) != len(m.local[k][n]) {
					t.Errorf("seed %d: a peer was told of %d subscribers of %q, there are %d", seed, peer[k][n], n, len(m.local[k][n]))
				}
			}
		}
	}
}

func compare(t *testing.T, r *Registry[int], m *model, channel string) {
	t.Helper()
	total := 0
	for k := range Kind(NumKinds) {
		names := m.names(k)
		if got := r.Names(k, nil); !slices.Equal(got, names) || r.Len(k) != len(names) {
			t.Fatalf("names %q, want %q", got, names)
		}
		for _, n := range names {
			if got := r.Count(k, []byte(n)); got != m.count(k, n) {
				t.Fatalf("count of %q: %d, want %d", n, got, m.count(k, n))
			}
			total += len(m.local[k][n])
		}
	}
	if r.Subscriptions() != total {
		t.Fatalf("%d subscriptions, want %d", r.Subscriptions(), total)
	}
	if (total == 0 && len(r.nodes) == 0) != (r.Bytes() == 0) {
		t.Fatalf("%d bytes for %d subscriptions", r.Bytes(), total)
	}
	for _, sharded := range []bool{false, true} {
		wantHits, want := map[string]bool{}, map[base.NodeID]int64{}
		here := int64(0)
		for _, x := range m.topicsOf(sharded, channel) {
			k, n := x[0].(Kind), x[1].(string)
			for c := range m.local[k][n] {
				wantHits[fmt.Sprint(k, n, c)] = true
				here++
			}
			for node, c := range m.told[k][n] {
				want[node] += int64(c)
			}
		}
		hits := r.Hits(nil, sharded, []byte(channel))
		for _, h := range hits {
			if !wantHits[fmt.Sprint(h.Kind, h.Name, h.Client)] {
				t.Fatalf("hit %v", h)
			}
		}
		gotHere, elsewhere := r.Audience(nil, sharded, []byte(channel))
		if len(hits) != len(wantHits) || gotHere != here || len(elsewhere) != len(want) {
			t.Fatalf("%d hits, %d here, %v elsewhere; want %d, %d, %v", len(hits), gotHere, elsewhere, len(wantHits), here, want)
		}
		for _, s := range elsewhere {
			if s.Count != want[s.Node] {
				t.Fatalf("%v elsewhere, want %v", elsewhere, want)
			}
		}
	}
}

// TestWalk: a walk meets all that stays, whatever comes and goes meanwhile.
func TestWalk(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := New[int]()
		kind := func(i int) Kind { return Kind(i % NumKinds) }
		stays := map[string]bool{}
		for i := range 300 {
			r.Subscribe(kind(i), fmt.Append(nil, i), 1)
			stays[fmt.Sprint(i)] = true
		}
		var p Place
		seen := map[string]bool{}
		for over := false; !over; {
			var list []Change
			list, p, over = r.Walk(nil, p, rng.IntN(20))
			for _, c := range list {
				seen[c.Name] = true
			}
			for range rng.IntN(8) {
				i := rng.IntN(300)
				r.Unsubscribe(kind(i), fmt.Append(nil, i), 1)
				delete(stays, fmt.Sprint(i))
				r.Subscribe(kind(i), fmt.Append(nil, 1000+rng.IntN(1000)), 1)
			}
		}
		for n := range stays {
			if !seen[n] {
				t.Fatalf("seed %d: %q was not visited", seed, n)
			}
		}
	}
}
