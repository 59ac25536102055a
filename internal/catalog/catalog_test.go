package catalog

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"coterie/internal/base"
	"coterie/internal/keys"
	"coterie/internal/keyspace/keyspacetest"
)

var updateGolden = flag.Bool("catalog.update", false, "write the golden records anew; only for a new version of the format")

var cluster = [16]byte{0xc0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// founded is a cluster of one node and two partitions.
func founded() *keyspacetest.Txn {
	txn := keyspacetest.New(1)
	Found(txn, cluster, Node{
		Token: "t1", Peer: "10.0.0.1:7379", Redis: "10.0.0.1:6379", Cluster: "10.0.0.1:7001", HTTP: "10.0.0.1:8080", Zone: "a", Version: "0.1.0",
	}, 2, 3)
	return txn
}

func run(t *testing.T, txn *keyspacetest.Txn, cmd string, arg any) (string, error) {
	t.Helper()
	args := [][]byte{[]byte(cmd)}
	switch a := arg.(type) {
	case nil:
	case string:
		args = append(args, []byte(a))
	default:
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, b)
	}
	reply, err := Run(txn, args)
	return string(reply), err
}

func load(t *testing.T, txn *keyspacetest.Txn) *View {
	t.Helper()
	v, err := Load(txn)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// dump is the catalog's records as text.
func dump(txn *keyspacetest.Txn) string {
	var b strings.Builder
	lower, upper := keys.CatalogBounds()
	it := txn.Iter(lower, upper)
	defer it.Close()
	for it.Next() {
		fmt.Fprintf(&b, "%x %s\n", it.Key(), it.Value())
	}
	return b.String()
}

// TestGolden: the records that a cluster was written with stay readable, and
// the same commands write the same.
func TestGolden(t *testing.T) {
	const file = "testdata/records.golden"
	txn := founded()
	if _, err := run(t, txn, CmdJoin, Node{Token: "t2", Peer: "10.0.0.2:7379", Redis: "10.0.0.2:6379", HTTP: "10.0.0.2:8080", Version: "0.1.0"}); err != nil {
		t.Fatal(err)
	}
	p := *load(t, txn).Partition(1)
	p.Replicas = append(p.Replicas, Replica{Node: 2, Learner: true})
	p.Reason = "2 nodes: a copy that does not vote yet"
	if _, err := run(t, txn, CmdPlace, p); err != nil {
		t.Fatal(err)
	}
	got := dump(txn)
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The golden bytes, read back.
	again := keyspacetest.New(1)
	for _, line := range strings.Split(strings.TrimSpace(string(want)), "\n") {
		k, v, _ := strings.Cut(line, " ")
		var key []byte
		if _, err := fmt.Sscanf(k, "%x", &key); err != nil {
			t.Fatal(err)
		}
		again.Set(key, []byte(v))
	}
	if a, b := fmt.Sprint(*load(t, again)), fmt.Sprint(*load(t, txn)); a != b {
		t.Errorf("read back: %s, want %s", a, b)
	}
}

// TestFound: partitions cover all slots, each once.
func TestFound(t *testing.T) {
	for _, n := range []int{1, 2, 3, 6, 7, 100} {
		v := Found(keyspacetest.New(1), cluster, Node{}, n, 3)
		next := uint16(0)
		for i := range v.Partitions {
			p := &v.Partitions[i]
			if p.ID == base.Catalog {
				if !p.Span().Empty() {
					t.Errorf("%d partitions: the catalog owns %v", n, p.Span())
				}
				continue
			}
			if p.Lo != next || p.Span().Empty() {
				t.Errorf("%d partitions: %d begins at %d, %d is due", n, p.ID, p.Lo, next)
			}
			next = p.Hi
		}
		if next != base.NumSlots {
			t.Errorf("%d partitions end at %d", n, next)
		}
	}
}

// TestJoin: each node gets an id of its own, once.
func TestJoin(t *testing.T) {
	txn := founded()
	ask := func(token, peer string) (JoinReply, error) {
		reply, err := run(t, txn, CmdJoin, Node{Token: token, Peer: peer})
		var r JoinReply
		if err == nil {
			err = json.Unmarshal([]byte(reply), &r)
		}
		return r, err
	}
	first, err := ask("t2", "p2")
	if err != nil || first.Node.ID != 2 || first.Catalog == 0 || len(first.Peers) != 1 || first.ClusterID != load(t, txn).Meta.ClusterID {
		t.Fatalf("%+v, %v", first, err)
	}
	before := dump(txn)
	again, err := ask("t2", "p2")
	if err != nil || again.Node != first.Node || again.Catalog != first.Catalog {
		t.Errorf("asked twice: %+v, then %+v (%v)", first, again, err)
	}
	if dump(txn) != before {
		t.Error("asking twice changed something")
	}
	if _, err := ask("t3", "p2"); err == nil || !strings.Contains(err.Error(), "address") {
		t.Errorf("another node at the same address: %v", err)
	}
	if _, err := ask("", "p9"); err == nil {
		t.Error("a join without a token")
	}
	if dump(txn) != before {
		t.Error("a refusal changed something")
	}
	third, err := ask("t3", "p3")
	if err != nil || third.Node.ID != 3 || third.Catalog == first.Catalog || third.Node.Name == first.Node.Name {
		t.Errorf("%+v, %v", third, err)
	}
	cat := load(t, txn).Partition(base.Catalog)
	if on := cat.On(3); on == nil || !on.Learner || on.Replica != third.Catalog || cat.Version != 3 {
		t.Errorf("%+v", cat)
	}

	// Its place is given away before it gets to know of it, and it asks again.
	cat.Replicas = slices.DeleteFunc(cat.Replicas, func(r Replica) bool { return r.Node == 3 })
	if _, err := run(t, txn, CmdPlace, cat); err != nil {
		t.Fatal(err)
	}
	late, err := ask("t3", "p3")
	if err != nil || late.Node != third.Node || late.Catalog <= third.Catalog {
		t.Errorf("asked late: %+v, %v", late, err)
	}
	if on := load(t, txn).Partition(base.Catalog).On(3); on == nil || !on.Learner || on.Replica != late.Catalog {
		t.Errorf("asked late, it has the place %+v", on)
	}
}

// TestUpdate: a node may change its addresses, not who it is.
func TestUpdate(t *testing.T) {
	txn := founded()
	old := *load(t, txn).Node(1)
	if _, err := run(t, txn, CmdUpdate, Node{ID: 1, Peer: "new", Token: "stolen", Name: "other"}); err != nil {
		t.Fatal(err)
	}
	n := *load(t, txn).Node(1)
	if n.Peer != "new" || n.Token != old.Token || n.Name != old.Name || n.Zone != "" {
		t.Errorf("%+v", n)
	}
	if _, err := run(t, txn, CmdUpdate, Node{ID: 7}); err == nil {
		t.Error("an unknown node was updated")
	}
}

// TestPlace: a change names the version that it is based on; replica ids are
// never used again.
func TestPlace(t *testing.T) {
	txn := founded()
	for i := 2; i <= 4; i++ {
		if _, err := run(t, txn, CmdJoin, Node{Token: fmt.Sprint("t", i), Peer: fmt.Sprint("p", i)}); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[base.ReplicaID]bool{}
	fresh := func(p *Partition, n base.NodeID) {
		t.Helper()
		if id := p.On(n).Replica; id == 0 || ids[id] {
			t.Errorf("replica id %d on node %d", id, n)
		} else {
			ids[id] = true
		}
	}
	for _, p := range load(t, txn).Partitions {
		for _, r := range p.Replicas {
			fresh(&p, r.Node)
		}
	}
	place := func(change func(*Partition)) (Partition, error) {
		p := *load(t, txn).Partition(1)
		p.Replicas = slices.Clone(p.Replicas)
		change(&p)
		reply, err := run(t, txn, CmdPlace, p)
		var got Partition
		if err == nil {
			err = json.Unmarshal([]byte(reply), &got)
		}
		return got, err
	}
	three := func(p *Partition) {
		p.Replicas = append(p.Replicas, Replica{Node: 2}, Replica{Node: 3})
		p.Lo, p.Hi = 7, 9 // not a matter of placement
	}
	p, err := place(three)
	if err != nil || p.Version != 2 || p.Lo != 0 || p.Hi != 8192 {
		t.Fatalf("%+v, %v", p, err)
	}
	fresh(&p, 2)
	fresh(&p, 3)
	p, err = place(func(p *Partition) { *p.On(3) = Replica{Node: 4} })
	if err != nil {
		t.Fatal(err)
	}
	fresh(&p, 4)
	p, err = place(func(p *Partition) { *p.On(4) = Replica{Node: 3} })
	if err != nil {
		t.Fatal(err)
	}
	fresh(&p, 3) // it was there before, under another id
	if p, err = place(func(p *Partition) { p.Preferred = 3 }); err != nil || p.Preferred != 3 || !ids[p.On(3).Replica] {
		t.Errorf("%+v, %v", p, err)
	}
	before := dump(txn)
	for name, change := range map[string]func(*Partition){
		"of an older version": func(p *Partition) { p.Version-- },
		"of a later version":  func(p *Partition) { p.Version++ },
		"two voters":          func(p *Partition) { p.Replicas = p.Replicas[:2] },
		"no voter":            func(p *Partition) { p.Replicas = nil },
		"an unknown node":     func(p *Partition) { p.Replicas = append(p.Replicas, Replica{Node: 9, Learner: true}) },
		"two on one node": func(p *Partition) {
			p.Replicas = append(p.Replicas, Replica{Node: 1, Learner: true}, Replica{Node: 2, Learner: true})
		},
		"unknown partition": func(p *Partition) { p.ID = 77 },
	} {
		if _, err := place(change); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if dump(txn) != before {
		t.Error("a refusal changed something")
	}
}

// TestGeneration: each reply is another one, with room for all namespaces.
func TestGeneration(t *testing.T) {
	txn := founded()
	seen := map[string]bool{}
	for range 3 {
		reply, err := run(t, txn, CmdGeneration, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[reply] = true
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, []string{"16", "32", "48"}) {
		t.Errorf("%v", got)
	}
}

// TestRefusals: what is not understood is refused, and changes nothing.
func TestRefusals(t *testing.T) {
	if _, err := run(t, keyspacetest.New(1), CmdJoin, Node{Token: "x"}); err == nil {
		t.Error("a join before there is a cluster")
	}
	for _, cmd := range []string{CmdJoin, CmdUpdate, CmdPlace} {
		if _, err := run(t, founded(), cmd, nil); err == nil {
			t.Errorf("%s without an argument", cmd)
		}
		if _, err := run(t, founded(), cmd, "{"); err == nil {
			t.Errorf("%s with half an argument", cmd)
		}
	}
	if _, err := run(t, founded(), "catalog.nonsense", "{}"); err == nil {
		t.Error("an unknown command")
	}
	txn := founded()
	txn.Set(metaKey(), []byte(fmt.Sprintf(`{"version":%d}`, MetaVersion+1)))
	if _, err := Load(txn); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a catalog of a newer version: %v", err)
	}
	txn = founded()
	txn.Set(nodeKey(1), []byte(`{"id":1,"some_later_field":true}`))
	if v := load(t, txn); v.Node(1) == nil {
		t.Error("a record with a field of a later version is not read")
	}
}

// TestSet: settings are kept, taken back, and bounded.
func TestSet(t *testing.T) {
	txn := founded()
	set := func(name, value string) error {
		_, err := run(t, txn, CmdSet, Setting{Name: name, Value: value})
		return err
	}
	if err := set("a", "1"); err != nil || load(t, txn).Meta.Settings["a"] != "1" {
		t.Fatalf("%v, %v", err, load(t, txn).Meta.Settings)
	}
	before := txn.Writes
	if err := set("a", "1"); err != nil || txn.Writes != before {
		t.Errorf("set to what it was: %v, %d writes", err, txn.Writes-before)
	}
	if err := set("a", ""); err != nil || len(load(t, txn).Meta.Settings) != 0 {
		t.Errorf("%v, %v", err, load(t, txn).Meta.Settings)
	}
	if set("", "1") == nil || set("a", strings.Repeat("x", 2000)) == nil {
		t.Error("a setting without a name, or too large a one")
	}
	for i := range 2 * maxSettings {
		if err := set(fmt.Sprint(i), "1"); (err == nil) != (i < maxSettings) {
			t.Errorf("setting %d: %v", i, err)
		}
	}
}
