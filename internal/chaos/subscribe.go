package chaos

import (
	"net"
	"time"

	"coterie/internal/resp"
	"coterie/internal/workload"
)

const (
	// connectPatience is how long nodes may take, when all faults are over, until
	// each is connected to all others and knows of their subscribers.
	connectPatience = 5 * time.Second
	// deliveryPatience is how long a message may be under way then.
	deliveryPatience = time.Second
)

// subscribe makes a subscription of a chapter, and enters what comes until its
// connection ends or the chapter is judged. It is counted by the chapter's open
// until it is answered.
func (l *load) subscribe(ch *chapter, o *workload.Op, addr string) {
	x, err := dial(addr, 0)
	var reply []byte
	if err == nil {
		_ = x.SetDeadline(time.Now().Add(replyPatience))
		if _, err = x.Write(resp.AppendCommand(nil, o.Command[0], o.Command[2])); err == nil {
			reply, err = x.reply()
		}
	}
	ch.mu.Lock()
	o.Return = l.now()
	if err == nil {
		o.Outcome, o.Reply = workload.Judge(reply), reply
		ch.followed = append(ch.followed, x)
	}
	ch.work.Returned(o)
	ch.mu.Unlock()
	ch.open.Done()
	if err != nil {
		if x != nil {
			_ = x.Close()
		}
		return
	}
	defer x.Close()
	_ = x.SetDeadline(time.Time{})
	name := o.Command[1]
	for {
		reply, err := x.reply()
		v, _, perr := resp.ParseReply(reply)
		note := workload.Command{"END", name}
		if n := len(v.Elems); err == nil && perr == nil && n >= 3 {
			note = workload.Command{"MESSAGE", name, v.Elems[n-2].Text(), v.Elems[n-1].Text()}
		}
		if !l.note(ch, note) || note[0] == "END" {
			return
		}
	}
}

// note enters what has come. It is false when the chapter is over.
func (l *load) note(ch *chapter, what workload.Command) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.over {
		return false
	}
	now := l.now()
	o := &workload.Op{Command: what, Call: now, Return: now, Outcome: workload.Done, Reply: []byte("+OK\r\n")}
	if ch.ops = append(ch.ops, o); what[0] == "END" {
		ch.work.Returned(o)
	}
	return true
}

// hangUp ends a chapter's subscriptions, which are not entered any more.
func (ch *chapter) hangUp() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.over = true
	for _, x := range ch.followed {
		_ = net.Conn(x).Close()
	}
	ch.followed = nil
}

// follows says whether a chapter has subscribers.
func (ch *chapter) follows() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return len(ch.followed) > 0
}
