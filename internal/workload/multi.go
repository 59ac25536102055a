package workload

import (
	"slices"
	"strings"

	"coterie/internal/resp"
)

// A transaction is one Command: MULTI, then each of its commands as one word
// with spaces between. Keys and values of transactions have none. If a first
// word begins with WATCH, it names the keys that the client has been watching,
// by a WATCH of its own before; drivers that speak for a real connection pass
// over it. The reply is that of EXEC.

// Multi makes a transaction.
func Multi(watched []string, cmds ...Command) Command {
	c := Command{"MULTI"}
	if len(watched) > 0 {
		c = append(c, "WATCH "+strings.Join(watched, " "))
	}
	for _, x := range cmds {
		c = append(c, x.String())
	}
	return c
}

// Txn takes a transaction apart; ok is false for any other command.
func (c Command) Txn() (watched []string, cmds []Command, ok bool) {
	if c[0] != "MULTI" {
		return nil, nil, false
	}
	for _, text := range c[1:] {
		if words := strings.Split(text, " "); words[0] == "WATCH" {
			watched = words[1:]
		} else {
			cmds = append(cmds, words)
		}
	}
	return watched, cmds, true
}

// Keys are all keys of a command, each once.
func (c Command) Keys() (all []string) {
	add := func(key string) {
		if key != "" && !slices.Contains(all, key) {
			all = append(all, key)
		}
	}
	watched, cmds, ok := c.Txn()
	switch {
	case ok:
		for _, k := range watched {
			add(k)
		}
		for _, x := range cmds {
			add(x.Key())
		}
	case c[0] == "COTERIE":
		for _, k := range c[2:] {
			add(k)
		}
	case c[0] == "WATCH":
		for _, k := range c[1:] {
			add(k)
		}
	default:
		keys, args, script := c.Script()
		if !script {
			keys = []string{c.Key()}
		}
		for _, k := range keys {
			add(k)
		}
		for _, a := range args { // those that it does not name
			if words := strings.Split(a, " "); len(words) > 1 {
				add(words[1])
			} else if a != "FAIL" && a != "hole" {
				add(a)
			}
		}
	}
	return all
}

// null says whether the op is a transaction that did not run since a watched
// key had changed.
func (o *Op) null() bool {
	if o.Command[0] != "MULTI" || !o.answered() {
		return false
	}
	v := o.value()
	return v.Null
}

// void says whether the op certainly left nothing behind.
func (o *Op) void() bool { return o.refused() || o.null() }

// txn is a transaction of a history; a single command is one, too.
type txn struct {
	op      *Op
	cmds    []Command
	replies []resp.Value // nil unless it ran for certain
	void    bool         // it certainly did not run
	failed  bool         // it certainly ran, and did not say what it saw
}

// transactions lists a history's. An answer of a wrong form is a violation.
func transactions(h *History, r *Report) (all []*txn) {
	for _, o := range h.Ops {
		if o.Command[0] == "WATCH" {
			continue
		}
		t := &txn{op: o, void: o.refused()}
		all = append(all, t)
		_, cmds, multi := o.Command.Txn()
		if o.Command[0] == "COTERIE" { // CUTGET
			for _, k := range o.Command[2:] {
				cmds = append(cmds, Command{"GET", k})
			}
			multi = true
		}
		if program, fails, ok := o.Command.program(); ok {
			cmds, multi = program, true
			t.failed = fails && o.answered()
		}
		if t.cmds = cmds; !multi {
			t.cmds = []Command{o.Command}
		}
		if !o.answered() || t.failed {
			continue
		}
		v := o.value()
		switch {
		case !multi:
			t.replies = []resp.Value{v}
		case v.Null:
			t.void = true
			continue
		default:
			t.replies = v.Elems
		}
		if multi && (v.Kind != '*' || len(v.Elems) != len(cmds)) {
			r.Violate([]*Op{o}, "a transaction of %d commands has an unexpected answer", len(cmds))
			t.replies = nil
		}
	}
	return all
}

// tagged is the prefix of the keys of one transaction: with a hash tag unless
// they may lie in several partitions.
func (cfg *Config) tagged(group string) string {
	if cfg.Spread {
		return cfg.Prefix + group
	}
	return "{" + cfg.Prefix + group + "}"
}
