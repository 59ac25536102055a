package sim

// Point is a labelled place in a process's life where it may die.
type Point string

// The labelled points. The catalog's commands are what there is of commits
// over several steps.
const (
	pointAppendQueued   Point = "append: handed over, not written"
	pointAppendWritten  Point = "append: written, not synced"
	pointAppendSynced   Point = "append: synced, not reported"
	pointAppendReported Point = "append: reported, not sent"
	pointVoteSynced     Point = "vote: synced, answer on its way"
	pointSendBefore     Point = "send: before a turn's messages"
	pointSendBetween    Point = "send: between a turn's messages"
	pointSendAfter      Point = "send: after a turn's messages"
	pointRequestsSent   Point = "send: requests forwarded"
	pointRepliesSent    Point = "send: replies on their way"
	pointApplyBefore    Point = "apply: before a turn that applies"
	pointApplyAfter     Point = "apply: after a turn, clients not answered"
	pointMoveBefore     Point = "move: frozen, not in the state store"
	pointMoveAfter      Point = "move: in the state store, not reported"
	pointFlushBefore    Point = "flush: asked for"
	pointFlushAfter     Point = "flush: done, log not cut"
	pointLogCut         Point = "flush: log cut"
	pointSnapPinned     Point = "snapshot: pinned"
	pointSnapPart       Point = "snapshot: a part sent"
	pointSnapReceived   Point = "snapshot: a part received"
	pointSnapComplete   Point = "snapshot: complete, raft not asked"
	pointSnapAccepted   Point = "snapshot: accepted, not ingested"
	pointSnapIngested   Point = "snapshot: ingested, not reported"
	pointSnapInstalled  Point = "snapshot: installed, log not begun anew"
	pointSnapLogReset   Point = "snapshot: log begun anew"
	pointConfProposed   Point = "members: change proposed"
	pointConfApplied    Point = "members: change applied"
	pointConfJoint      Point = "members: in a joint configuration"
	pointReplicaLogged  Point = "members: replica created, not open"
	pointReplicaOpen    Point = "members: replica open"
	pointTombstone      Point = "members: replica removed, its state not"
	pointRemoved        Point = "members: replica and its state removed"
	pointElected        Point = "leader: elected"
	pointHandover       Point = "leader: made to hand over"
	pointJoinAsked      Point = "catalog: asked to admit a node"
	pointJoinAdmitted   Point = "catalog: node admitted, nothing saved there"
	pointJoinSaved      Point = "catalog: node's identity saved"
	pointPlaceAsked     Point = "catalog: placement proposed"
	pointPlaced         Point = "catalog: placement recorded"
	pointCatalogRead    Point = "catalog: change read"
)

// points lists all of them; those that are passed often are given more passes
// before the one that kills.
var points = []struct {
	label Point
	often bool
}{
	{pointAppendQueued, true}, {pointAppendWritten, true}, {pointAppendSynced, true}, {pointAppendReported, true},
	{pointVoteSynced, false},
	{pointSendBefore, true}, {pointSendBetween, true}, {pointSendAfter, true}, {pointRequestsSent, true}, {pointRepliesSent, true},
	{pointApplyBefore, true}, {pointApplyAfter, true},
	{pointMoveBefore, true}, {pointMoveAfter, true}, {pointFlushBefore, false}, {pointFlushAfter, false}, {pointLogCut, false},
	{pointSnapPinned, false}, {pointSnapPart, false}, {pointSnapReceived, false}, {pointSnapComplete, false},
	{pointSnapAccepted, false}, {pointSnapIngested, false}, {pointSnapInstalled, false}, {pointSnapLogReset, false},
	{pointConfProposed, false}, {pointConfApplied, false}, {pointConfJoint, false},
	{pointReplicaLogged, false}, {pointReplicaOpen, false}, {pointTombstone, false}, {pointRemoved, false},
	{pointElected, false}, {pointHandover, false},
	{pointJoinAsked, false}, {pointJoinAdmitted, false}, {pointJoinSaved, false},
	{pointPlaceAsked, false}, {pointPlaced, false}, {pointCatalogRead, false},
}

// Points lists the labels.
func Points() []string {
	var all []string
	for _, p := range points {
		all = append(all, string(p.label))
	}
	return all
}

// maxArmed bounds the points that wait for somebody to pass.
const maxArmed = 12

// arm has the next process that passes a point die there, or one of the next.
func (c *cluster) arm(d dice, m *machine) {
	p := points[d.rand.IntN(len(points))]
	if p.often { // the rest is where it is hard to die by chance
		p = points[d.rand.IntN(len(points))]
	}
	if f := c.favourites; len(f) > 0 && d.chance(0.7) {
		p = points[f[d.rand.IntN(len(f))]]
	}
	passes := d.rand.IntN(2)
	if p.often {
		passes = int(d.skewed(0, 60))
	}
	if len(c.armed) >= maxArmed {
		return
	}
	c.trace("armed: %s, after %d passes", p.label, passes)
	c.armed[p.label] = passes
	c.after(d.between(5*second, 40*second), func() { delete(c.armed, p.label) })
}

// point is a place where a process may die. It says that it did: then the
// caller must do no more.
func (p *proc) point(where Point) (died bool) {
	c := p.c
	if len(c.armed) == 0 || p.dead || !c.faulty {
		return p.dead
	}
	left, ok := c.armed[where]
	if !ok {
		return false
	}
	if left > 0 {
		c.armed[where] = left - 1
		return false
	}
	delete(c.armed, where)
	c.trace("n%d at: %s", p.m.id, where)
	c.stats.Points.add(string(where))
	c.crash(c.faultDice, p.m)
	return true
}
