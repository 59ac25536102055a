package workload

import (
	"fmt"
	"strings"
)

// fieldKeys is fields of hashes with a time to live: the workload expiry, with a field
// of a shared hash for each of its keys.
type fieldKeys struct {
	keys *expiry
}

func newFields(cfg Config) Workload { return &fieldKeys{newExpiry(cfg).(*expiry)} }

// hashesOfFields is how many hashes share the fields of a chapter.
const hashesOfFields = 2

// Setup implements Workload.
func (w *fieldKeys) Setup() []Command { return nil }

// Next implements Workload.
func (w *fieldKeys) Next(c Client) Command { return onField(w.keys.Next(c)) }

// Returned implements Workload.
func (w *fieldKeys) Returned(*Op) {}

// Final implements Workload.
func (w *fieldKeys) Final() (all []Command) {
	for _, c := range w.keys.Final() {
		all = append(all, onField(c))
	}
	return all
}

// onField is a command of the workload expiry for the field that stands for its key:
// PREFIX:eFIELD is the field eFIELD of PREFIX:h0 or PREFIX:h1.
func onField(c Command) Command {
	if len(c) == 0 {
		return c
	}
	at := strings.LastIndexByte(c[1], ':')
	field := c[1][at+1:]
	key := fmt.Sprintf("%s:h%d", c[1][:at], int(field[len(field)-1])%hashesOfFields)
	switch c[0] {
	case "GET":
		return Command{"HGET", key, field}
	case "SET":
		set := Command{"HSET", key, field, c[2]}
		if len(c) > 3 {
			return Multi(nil, set, Command{"HPEXPIRE", key, c[4], "FIELDS", "1", field})
		}
		return Multi(nil, set)
	case "PEXPIRE":
		return Command{"HPEXPIRE", key, c[2], "FIELDS", "1", field}
	}
	return Command{"H" + c[0], key, "FIELDS", "1", field}
}

// offField is the command of the workload expiry that a command on a field stands for.
func offField(c Command) Command {
	if _, cmds, multi := c.Txn(); multi {
		set := Command{"SET", fieldKey(cmds[0][1], cmds[0][2]), cmds[0][3]}
		if len(cmds) > 1 {
			set = append(set, "PX", cmds[1][2])
		}
		return set
	}
	key := fieldKey(c[1], c[len(c)-1])
	switch c[0] {
	case "HGET":
		return Command{"GET", key}
	case "HPEXPIRE":
		return Command{"PEXPIRE", key, c[2]}
	}
	return Command{c[0][1:], key}
}

func fieldKey(key, field string) string { return key[:strings.LastIndexByte(key, ':')+1] + field }

// offFieldReply is what the command for a key would have answered; ok is false if
// the answer makes no sense.
func offFieldReply(o *Op) (reply string, ok bool) {
	v := o.value()
	if o.Command[0] == "HGET" {
		return string(o.Reply), v.Kind == '$' || v.Null
	}
	if o.Command[0] == "MULTI" {
		ok = len(v.Elems) == len(o.Command)-1 && v.Elems[0].Kind == ':'
		if ok && len(v.Elems) > 1 {
			x := v.Elems[1]
			ok = len(x.Elems) == 1 && x.Elems[0].Int == 1
		}
		return okReply, ok
	}
	n := int64(-2) // of a hash that is not there
	if v.Kind == '*' && len(v.Elems) == 1 {
		n = v.Elems[0].Int
	} else if v.Kind != '*' || len(v.Elems) > 1 {
		return "", false
	}
	if o.Command[0] == "HPEXPIRE" || o.Command[0] == "HPERSIST" {
		return boolReply(n == 1), true
	}
	return intReply(int(n)), true
}

// checkFields: fields of hashes expire as keys do, see checkExpiry.
func checkFields(h *History, r *Report) {
	keys := &History{Slack: h.Slack, Quiet: h.Quiet}
	for _, o := range h.Ops {
		x := *o
		if x.Command = offField(o.Command); o.answered() {
			reply, ok := offFieldReply(o)
			if !ok {
				r.Violate([]*Op{o}, "field %s: an unexpected answer", x.Command[1])
				continue
			}
			x.Reply = []byte(reply)
		}
		keys.Ops = append(keys.Ops, &x)
	}
	checkExpiry(keys, r)
}
