package sim

// Event is something worth meeting: a situation in which systems of this kind
// have failed.
type Event string

// The events.
const (
	eventElectionUnderLoad Event = "an election while requests wait"
	eventLeaderLost        Event = "a leader dies with a round under way"
	eventTwoLeaders        Event = "an old leader does not know yet of the new one"
	eventSnapWhileCut      Event = "logs are due to be cut while a snapshot is sent"
	eventSnapTwice         Event = "two snapshots to one node back to back"
	eventSnapBroken        Event = "a snapshot's stream breaks off"
	eventSnapOverdue       Event = "a snapshot's receiver does not answer"
	eventSnapUnwanted      Event = "a snapshot comes too late to be wanted"
	eventJoint             Event = "a joint configuration"
	eventJointCrash        Event = "a crash within a joint configuration"
	eventJointLeader       Event = "a leader dies within a joint configuration"
	eventTornTail          Event = "a restart after a write to the log that was cut off"
	eventStateBehind       Event = "a restart that replays the log"
	eventReconcile         Event = "a log begun anew at an installed snapshot"
	eventResent            Event = "a request goes again after a refusal"
	eventGivenBack         Event = "a broken connection gives requests back"
	eventUnknown           Event = "an unknown outcome"
	eventAtGateway         Event = "commands evaluated at a gateway"
	eventAtGatewayHeld     Event = "commands evaluated at a gateway under locks"
	eventScriptLed         Event = "a script run by a leader"
	eventScriptHandedOn    Event = "a script handed on by a leader"
	eventScriptFailed      Event = "a script that fails at a gateway"
	eventScriptUnknown     Event = "a script that a node does not know yet"
	eventEvictedBehind     Event = "a key evicted in the background"
	eventFlushed           Event = "a namespace flushed"
	eventOOM               Event = "a write refused in a full namespace"
	eventMail              Event = "a message of a command that was committed"
	eventSubscriberLost    Event = "a node dies with subscribers"
	eventCut               Event = "a consistent cut"
	eventCutLost           Event = "a consistent cut lost while it is read"
	eventCutOpen           Event = "a consistent cut with a transaction that is not resolved"
	eventCutBroken         Event = "a barrier of a consistent cut that did not stand"
	eventReadOnly          Event = "a write refused by a full disk"
	eventHungLeader        Event = "a leader's disk hangs"
	eventDiskStopped       Event = "a fault of a disk stops a node"
	eventDamageFound       Event = "damage on a disk is found"
	eventWiped             Event = "a node loses its disk, and a new one joins"
	eventReturned          Event = "a node returns after its replicas have moved"
	eventJoinUnderLoad     Event = "a node joins under load"
	eventReplicaMoved      Event = "a replica is replaced"
	eventRemovedAnswers    Event = "a removed replica is sent to"
	eventJoinTwice         Event = "a join is asked for again"
	eventAllDown           Event = "no process is alive"
	eventClockBack         Event = "a clock that went backwards"
	eventPausedLeader      Event = "a leader is paused, and another one elected"
	eventPair              Event = "two faults at once"
	eventStorm             Event = "a storm of faults"
)

// events lists them; rare ones are not missed in a run of less than
// rareSeeds.
var events = []struct {
	name Event
	rare bool
}{
	{eventElectionUnderLoad, false}, {eventLeaderLost, false}, {eventTwoLeaders, false},
	{eventSnapWhileCut, true}, {eventSnapTwice, true}, {eventSnapBroken, false}, {eventSnapOverdue, true}, {eventSnapUnwanted, true},
	{eventJoint, false}, {eventJointCrash, true}, {eventJointLeader, true},
	{eventTornTail, false}, {eventStateBehind, false}, {eventReconcile, true},
	{eventResent, false}, {eventGivenBack, false}, {eventUnknown, false}, {eventAtGateway, false}, {eventAtGatewayHeld, false}, {eventReadOnly, false},
	{eventScriptLed, false}, {eventScriptHandedOn, false}, {eventScriptFailed, false}, {eventScriptUnknown, true},
	{eventEvictedBehind, false}, {eventFlushed, false}, {eventOOM, false},
	{eventMail, false}, {eventSubscriberLost, false},
	{eventCut, false}, {eventCutLost, true}, {eventCutOpen, false}, {eventCutBroken, false},
	{eventHungLeader, false}, {eventDiskStopped, false}, {eventDamageFound, true},
	{eventWiped, true}, {eventReturned, true}, {eventJoinUnderLoad, false}, {eventReplicaMoved, true},
	{eventRemovedAnswers, true}, {eventJoinTwice, true},
	{eventAllDown, false}, {eventClockBack, false}, {eventPausedLeader, false}, {eventPair, false}, {eventStorm, false},
}

// Numbers of seeds from which on a campaign has to have met every event.
const (
	usualSeeds = 500
	rareSeeds  = 4000
)

// Events lists the names.
func Events() []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.name))
	}
	return all
}

// met counts an event.
func (c *cluster) met(e Event) { c.stats.Events.add(string(e)) }

// Missed lists what a number of seeds should have met, and did not: events,
// kinds of faults, and labelled points.
func (s *Stats) Missed(seeds int) []string {
	var missed []string
	if seeds < usualSeeds {
		return nil
	}
	for _, e := range events {
		if s.Events[string(e.name)] == 0 && (!e.rare || seeds >= rareSeeds) {
			missed = append(missed, "event: "+string(e.name))
		}
	}
	for _, f := range faultTable() {
		if s.Faults[f.kind] == 0 {
			missed = append(missed, "fault: "+f.kind)
		}
	}
	for _, p := range points {
		if s.Points[string(p.label)] == 0 && seeds >= rareSeeds {
			missed = append(missed, "point: "+string(p.label))
		}
	}
	return missed
}
