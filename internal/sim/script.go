package sim

import (
	"encoding/json"
	"strconv"
	"strings"

	"coterie/internal/base"
	"coterie/internal/catalog"
	"coterie/internal/command"
	"coterie/internal/datatype/scripting"
	"coterie/internal/keyspace"
	"coterie/internal/partition"
	"coterie/internal/resp"
	"coterie/internal/script"
	"coterie/internal/spanning"
)

// scriptPatience is how long a gateway waits until it knows a script that the
// catalog has, µs.
const scriptPatience = 5 * second

// takeEvaluator returns an evaluator for one evaluation at a gateway, which gives it
// back.
func (p *proc) takeEvaluator() *command.Evaluator {
	if n := len(p.free); n > 0 {
		e := p.free[n-1]
		p.free = p.free[:n-1]
		return e
	}
	e := command.NewEvaluator(p.c.table, keyspace.Limits{MaxString: maxString})
	scripting.Attach(e, p.evaluator.scripts, nil)
	e.Events = p.c.tells()
	return e
}

// loadScripts reads the cluster's scripts after they changed. They are known a
// while later, as compiling is not the loop's work.
func (p *proc) loadScripts(r *partition.Replica) {
	version, flushed := p.view.Meta.ScriptsVersion, p.view.Meta.ScriptsFlushed
	if version == p.scriptsVersion {
		return
	}
	s, err := catalog.LoadScripts(r.Overlay())
	if err != nil {
		if planned(err) {
			p.fail(err)
		} else {
			p.c.violate("n%d: %v", p.m.id, err)
		}
		return
	}
	p.scriptsVersion = version
	var codes []string
	for _, l := range s.Libraries {
		codes = append(codes, string(l.Code))
	}
	p.after(p.c.between(0, 5*milli), func() { p.evaluator.scripts.Update(version, flushed, s.Bodies, codes) })
}

// loadHere makes the op one that makes scripts known: SCRIPT LOAD, or FUNCTION LOAD.
func (o *op) loadHere() {
	code := o.Command[len(o.Command)-1]
	cmd, arg, reply := catalog.CmdScriptLoad, []byte(code), script.SHA1(code)
	if o.Command[0] == "FUNCTION" {
		l, why := script.ParseLibrary(code)
		if why != "" {
			panic("sim: " + why)
		}
		lib := catalog.Library{Name: l.Name, Code: []byte(l.Code)}
		for _, f := range l.Functions {
			lib.Functions = append(lib.Functions, f.Name)
		}
		arg, _ = json.Marshal(catalog.LibraryChange{Put: []catalog.Library{lib}})
		cmd, reply = catalog.CmdLibraries, l.Name
	}
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) {
		if status, answer := g.askCatalog(cmd, arg); status != partition.Done || answer[0] == '-' {
			return status, answer
		}
		w := resp.Writer{Proto: 2}
		w.BulkString(reply)
		return partition.Done, w.Buf
	}}
}

// askCatalog runs a command about scripts, and waits until its node knows what came
// of it.
func (g *gateway) askCatalog(cmd string, arg []byte) (partition.Status, []byte) {
	req := &partition.Request{Partition: base.Catalog, Flags: partition.Write, Proto: 2, Args: [][]byte{[]byte(cmd), arg}}
	if !g.Submit([]*partition.Request{req}) {
		return partition.Unknown, nil
	}
	if req.Status != partition.Done || req.Reply[0] != '+' {
		return req.Status, req.Reply
	}
	version, err := strconv.ParseUint(strings.TrimSpace(string(req.Reply[1:])), 10, 64)
	if err != nil {
		g.p.c.violate("%s answers %q", cmd, req.Reply)
	}
	for since := g.p.c.now; g.p.evaluator.scripts.Version() < version; {
		if g.p.c.now-since > scriptPatience {
			return partition.Done, []byte("-ERR the change was made, and already exists, but is not known here\r\n")
		}
		g.left = 1
		g.p.after(10*milli, g.came)
		if !g.wait(struct{}{}) || g.p.dead {
			return partition.Unknown, nil
		}
	}
	return partition.Done, req.Reply
}

// scriptHere makes the op one that runs a script, as the front does: a leader may
// do it, if all keys that it names are in one partition; if it hands it on, the
// gateway does.
func (o *op) scriptHere(args [][]byte) {
	c := o.s.c
	job, _ := o.single(args)
	job.Proto, job.DB, job.Session = 2, uint8(o.of.kind.DB), o.watcher()
	var first *partition.Request
	if c.clientRand.IntN(atGateway) > 0 && !c.apart(args) {
		first = &partition.Request{DB: job.DB, Proto: 2, Session: o.session()}
		if len(job.Keys) > 0 {
			first.Slot = base.KeySlot(job.Keys[0][1:])
			first.Partition, _ = c.owner(first.Slot)
		} else {
			first.Partition, first.Flags = c.order[c.clientRand.IntN(len(c.order))], partition.Whole
		}
		if c.table.Lookup(args).Flags&(command.Write|command.MayReplicate) != 0 {
			first.Flags |= partition.Write
		}
	}
	o.here = &gateway{o: o, run: func(g *gateway) (partition.Status, []byte) { return g.runScript(args, first, &job) }}
}

// runScript runs a script, at a leader or here.
func (g *gateway) runScript(args [][]byte, first *partition.Request, job *spanning.Job) (partition.Status, []byte) {
	c, store := g.p.c, g.p.evaluator.scripts
	if name := string(args[0]); strings.HasPrefix(name, "EVALSHA") {
		sc := store.Script(string(args[1]))
		if sc == nil && !g.catchUp() {
			return partition.NotRun, []byte("-NOSCRIPT\r\n")
		}
		if sc = store.Script(string(args[1])); sc == nil {
			return partition.Done, []byte("-NOSCRIPT\r\n")
		}
		args[0], args[1] = []byte(strings.Replace(name, "EVALSHA", "EVAL", 1)), []byte(sc.Body)
	} else if strings.HasPrefix(name, "FCALL") {
		if _, f := store.Function(string(args[1])); f == nil && !g.catchUp() {
			return partition.NotRun, []byte("-CLUSTERDOWN\r\n")
		}
	}
	if first != nil {
		first.Args = args
		if !g.Submit([]*partition.Request{first}) {
			return partition.Unknown, nil
		}
		handedOn := string(first.Reply) == command.DivertReply
		if !handedOn && !g.twicePlanted(first) {
			if first.Status == partition.Done {
				c.met(eventScriptLed)
			}
			return first.Status, first.Reply
		}
		c.met(eventScriptHandedOn)
	}
	status, reply := g.evaluate(job)
	if status == partition.Done && len(reply) > 0 && reply[0] == '-' {
		c.met(eventScriptFailed)
	}
	return status, reply
}

// catchUp waits until the node knows the scripts that the cluster has now. It is
// false if that did not work.
func (g *gateway) catchUp() bool {
	g.p.c.met(eventScriptUnknown)
	status, reply := g.askCatalog(catalog.CmdScriptsVersion, nil)
	return !g.p.dead && status == partition.Done && reply[0] == '+'
}

// evaluate runs a job here.
func (g *gateway) evaluate(job *spanning.Job) (partition.Status, []byte) {
	c, p := g.p.c, g.p
	e := p.takeEvaluator()
	e.Limits = p.evaluator.limits.Now
	status, reply := spanning.Run(g, e, job)
	if p.dead {
		return status, nil
	}
	p.free = append(p.free, e)
	if status == partition.Done {
		p.messages.mail(job.Mail)
	}
	if c.stats.AtGateway++; status == partition.Done {
		c.met(eventAtGateway)
	}
	return status, reply
}
