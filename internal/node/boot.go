package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/env"
	"coterie/internal/keys"
	"coterie/internal/partition"
	"coterie/internal/storage/logstore"
	"coterie/internal/storage/state"
	"coterie/internal/storage/statestore"
	"coterie/internal/transport"
)

// The first position of every partition's log: what was founded counts as a
// snapshot there, so that every later replica starts from one.
const (
	foundedIndex = 1
	foundedTerm  = 1
)

// openStores opens log and state.
func (n *Node) openStores() error {
	var err error
	path := func(name string) string { return n.fs.PathJoin(n.cfg.DataDir, name) }
	n.logs, err = logstore.Open(env.Direct(n.fs), path(logDir), logstore.Options{Logger: n.log})
	if err != nil {
		return storeError("log", path(logDir), err, errors.Is(err, logstore.ErrNewerFormat), errors.Is(err, logstore.ErrCorrupt))
	}
	n.states, err = statestore.Open(n.fs, path(stateDir), statestore.Options{
		CacheBytes: int64(n.cfg.CacheSize), Logger: n.log,
		OnFatal: func(err error) {
			go n.inbox.putEvent(func() { n.fail(fmt.Errorf("state store: %w", err)) })
		},
	})
	if err != nil {
		return storeError("state", path(stateDir), err, errors.Is(err, state.ErrNewerFormat), errors.Is(err, state.ErrCorrupt))
	}
	return nil
}

func storeError(what, path string, err error, newer, corrupt bool) error {
	e := &StartError{Cause: fmt.Sprintf("cannot open the %s in %s: %v", what, path, err), Err: err}
	switch {
	case newer:
		e.Cause = fmt.Sprintf("the %s in %s was written by a newer version: %v", what, path, err)
		e.Next = "run that version or a later one"
	case corrupt:
		e.Next = "nothing was changed; restore the directory from a copy, or join anew with an empty one and let the other nodes rebuild this copy"
	default:
		e.Next = "check the disk and the directory's permissions"
	}
	return e
}

// found makes a new cluster of this one node. What a cut-off attempt left is
// replaced: it never served anybody.
func (n *Node) found() error {
	n.id = identity{
		Phase: phaseFounding, ClusterID: randomHex(16), Node: 1, Incarnation: 1, Token: randomHex(16),
	}
	if err := n.clearUnserved(); err != nil {
		return err
	}
	if err := n.id.save(n.fs, n.cfg.DataDir); err != nil {
		return err
	}
	if err := n.openStores(); err != nil {
		return err
	}
	cluster, err := n.id.cluster()
	if err != nil {
		return err
	}
	b := n.states.NewBatch()
	v := catalog.Found(b, cluster, n.record(), n.cfg.Partitions, n.cfg.Replicas)
	var updates []logstore.Update
	for _, p := range v.Partitions {
		rid := p.Replicas[0].Replica
		s := partition.State{
			Index: foundedIndex, Term: foundedTerm, NextObjectID: 1, Span: p.Span(), Epoch: 1,
			Conf:    partition.Conf{Voters: []uint64{uint64(rid)}},
			Members: map[base.ReplicaID]base.NodeID{rid: n.id.Node},
		}
		b.Set(keys.StateKey(p.ID), partition.AppendState(nil, &s))
		updates = append(updates, logstore.Update{
			Partition: p.ID, Replica: rid, Reset: &logstore.Mark{Index: foundedIndex, Term: foundedTerm},
			HardState: &logstore.HardState{Term: foundedTerm, Commit: foundedIndex},
		})
	}
	if err := n.states.Commit(b); err != nil {
		return err
	}
	if err := n.states.Flush(context.Background()); err != nil {
		return err
	}
	if err := n.logs.Append(updates); err != nil {
		return err
	}
	n.id.Phase = phaseMember
	return n.id.save(n.fs, n.cfg.DataDir)
}

// clearUnserved removes the stores of a node that was never a member.
func (n *Node) clearUnserved() error {
	for _, name := range []string{logDir, stateDir} {
		if err := n.fs.RemoveAll(n.fs.PathJoin(n.cfg.DataDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return dirError(n.cfg.DataDir, err)
		}
	}
	return nil
}

// callJoin is the kind of the transport call that asks to join.
const callJoin = 1

// joinPatience is how long a node keeps asking to join, when the cluster is
// there but cannot decide at the moment.
const joinPatience = 30 * time.Second

// join asks the cluster for an id, through any of its nodes. Asking again
// with the same token gives the same id, so a join that was cut off is taken
// up again.
func (n *Node) join(ctx context.Context, id *identity) error {
	fresh := id == nil
	if fresh {
		id = &identity{Phase: phaseJoining, Token: randomHex(16)}
	}
	if len(n.cfg.Join) > 0 {
		id.Join = n.cfg.Join
	}
	n.id = *id
	reply, err := n.askToJoin(ctx, id.Join)
	if err != nil {
		return err // nothing was written: the directory is as it was
	}
	if err := n.clearUnserved(); err != nil {
		return err
	}
	n.id.ClusterID, n.id.Node, n.id.Catalog = reply.ClusterID, reply.Node.ID, reply.Catalog
	n.id.Incarnation = 1
	n.id.Peers = map[base.NodeID]string{}
	for _, p := range reply.Peers {
		n.id.Peers[p.ID] = p.Peer
	}
	if err := n.id.save(n.fs, n.cfg.DataDir); err != nil { // still joining: the stores are not made
		return err
	}
	if err := n.openStores(); err != nil {
		return err
	}
	up := logstore.Update{Partition: base.Catalog, Replica: reply.Catalog, HardState: &logstore.HardState{}}
	if err := n.logs.Append([]logstore.Update{up}); err != nil {
		return err
	}
	n.id.Phase = phaseMember
	return n.id.save(n.fs, n.cfg.DataDir)
}

func (n *Node) askToJoin(ctx context.Context, addrs []string) (*catalog.JoinReply, error) {
	payload := mustJSON(n.record())
	deadline := time.Now().Add(joinPatience)
	for {
		var last error
		for _, addr := range addrs {
			cctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			b, err := transport.Call(cctx, addr, nil, callJoin, payload, nil)
			cancel()
			if err == nil {
				reply := &catalog.JoinReply{}
				if err = json.Unmarshal(b, reply); err == nil {
					return reply, nil
				}
			}
			last = namingAddr(addr, err)
		}
		var remote *transport.RemoteError
		if !errors.As(last, &remote) || time.Now().After(deadline) || !retryableJoin(remote.Text) {
			return nil, joinError(addrs, last)
		}
		select { // the cluster is there, but has no leader at the moment
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// namingAddr says which address an error is about, if it does not yet.
func namingAddr(addr string, err error) error {
	if strings.Contains(err.Error(), addr) {
		return err
	}
	return fmt.Errorf("%s: %w", addr, err)
}

// checkJoin makes sure, before a new directory is made, that a node answers
// at one of the addresses to join.
func (n *Node) checkJoin(ctx context.Context) error {
	if _, err := n.fs.Stat(n.fs.PathJoin(n.cfg.DataDir, identityFile)); err == nil || len(n.cfg.Join) == 0 {
		return nil // a node already: it is found out later whether of that cluster
	}
	var last error
	for _, addr := range n.cfg.Join {
		cctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := transport.Call(cctx, addr, nil, callWho, nil, nil)
		cancel()
		if err == nil {
			return nil
		}
		last = namingAddr(addr, err)
	}
	return joinError(n.cfg.Join, last)
}

func joinError(addrs []string, err error) error {
	e := &StartError{Cause: fmt.Sprintf("cannot join the cluster: %v", err), Err: err}
	switch {
	case errors.Is(err, transport.ErrRefused):
		e.Next = "check that the node runs and that --join names its peer address (default port 7379)"
	case errors.Is(err, transport.ErrNotCoterie):
		e.Next = "--join takes a node's peer address (default port 7379), not its Redis or HTTP address"
	case errors.Is(err, transport.ErrTimeout):
		e.Next = "check the address and the network between the two machines"
	default:
		e.Next = "check --join, and the other node's log"
	}
	if len(addrs) > 1 {
		e.Next += fmt.Sprintf(" (%d addresses tried)", len(addrs))
	}
	return e
}

// reopen starts a node that is a member already.
func (n *Node) reopen(ctx context.Context) error {
	if len(n.cfg.Join) > 0 {
		if err := n.checkSameCluster(ctx); err != nil {
			return err
		}
	}
	if err := n.openStores(); err != nil {
		return err // nothing was written yet
	}
	n.id.Incarnation++
	return n.id.save(n.fs, n.cfg.DataDir)
}

// callWho is the kind of the transport call that asks for the cluster's id.
const callWho = 2

// checkSameCluster guards against starting a directory of one cluster with
// the join line of another. A node that cannot be asked is no obstacle.
func (n *Node) checkSameCluster(ctx context.Context) error {
	for _, addr := range n.cfg.Join {
		cctx, cancel := context.WithTimeout(ctx, time.Second)
		b, err := transport.Call(cctx, addr, nil, callWho, nil, nil)
		cancel()
		if err != nil || string(b) == n.id.ClusterID {
			continue
		}
		return &StartError{
			Cause: fmt.Sprintf("the data directory %s belongs to cluster %s, the node at %s to cluster %s", n.cfg.DataDir, n.id.ClusterID, addr, b),
			Next:  "name an empty directory to join that cluster, or start without --join to return to the old one",
		}
	}
	return nil
}
