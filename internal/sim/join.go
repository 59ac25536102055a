package sim

import (
	"encoding/json"
	"errors"
	"fmt"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/storage/logstore"
)

// joiner is a node that has no id yet.
type joiner struct {
	token string
	over  bool
}

// recruit has one more node join.
func (c *cluster) recruit() {
	c.recruits++
	c.ask(&joiner{token: fmt.Sprint("token j", c.recruits)})
}

// joinPatience is how long a joining node waits for an answer.
const joinPatience = 5 * second

// ask lets a joining node ask some member for an id, until there is one.
func (c *cluster) ask(j *joiner) {
	again := func() {
		c.after(300*milli, func() {
			if !j.over {
				c.met(eventJoinTwice)
				c.ask(j)
			}
		})
	}
	var via *machine
	for _, other := range c.machines {
		if other.proc != nil && other.joined && !other.paused {
			via = other
			break
		}
	}
	if via == nil {
		again()
		return
	}
	arg, _ := json.Marshal(catalog.Node{Token: j.token, Peer: "peer of " + j.token, Version: "sim"})
	p, answered := via.proc, false
	p.do(func() {
		p.submitCatalog(catalog.CmdJoin, arg, func(reply []byte, ok bool) {
			var r catalog.JoinReply
			if j.over || answered || p.point(pointJoinAdmitted) {
				return
			}
			answered = true
			if !ok || json.Unmarshal(reply, &r) != nil {
				again()
				return
			}
			p.catalogDirty = true
			c.after(c.latency(), func() { c.admit(j, &r) })
		})
		p.point(pointJoinAsked)
	})
	c.after(joinPatience, func() { // the node that was asked may have died
		if !answered && !j.over {
			answered = true
			again()
		}
	})
}

// admit starts a machine that got an id.
func (c *cluster) admit(j *joiner, r *catalog.JoinReply) {
	if j.over {
		return
	}
	j.over = true
	for int(r.Node.ID) > len(c.machines) {
		c.addMachine()
	}
	m := c.machines[r.Node.ID-1]
	if m.joined || m.gone {
		c.violate("node id %d was given twice", r.Node.ID)
		return
	}
	up := logstore.Update{Partition: base.Catalog, Replica: r.Catalog, HardState: &logstore.HardState{}}
	if err := errors.Join(m.logs.open(), m.logs.write([]logstore.Update{up})); err != nil {
		c.violate("n%d: log: %v", m.id, err)
		return
	}
	m.joined = true
	c.stats.Joins++
	c.trace("n%d joined", m.id)
	for _, s := range c.sessions {
		if len(s.open) > 0 {
			c.met(eventJoinUnderLoad)
			break
		}
	}
	m.start()
	for _, other := range c.machines {
		if other.joined && other != m {
			c.dial(c.link(m.id, other.id))
			c.dial(c.link(other.id, m.id))
		}
	}
	if m.proc != nil {
		m.proc.point(pointJoinSaved)
	}
}
