package redisfront

import "coterie/internal/command"

// What many of the front's commands are: answered also when nothing else
// works, never inside a script.
const (
	always = command.Loading | command.Stale
	quick  = always | command.Fast
	hidden = command.NoScript | always
)

// row makes a command's row. Its Keys stay empty: what names keys is
// evaluated by partitions.
func row(name string, arity int, flags command.Flags, group, since, complexity, summary string, local localFunc, args ...command.Arg) frontSpec {
	category := group
	switch group {
	case "server", "cluster", "generic":
		category = ""
	}
	fs := frontSpec{local: local}
	fs.Spec = command.Spec{Name: name, Arity: arity, Flags: flags, Group: group, Since: since,
		Complexity: complexity, Summary: summary, Args: args}
	if category != "" {
		fs.Categories = []string{category}
	}
	return fs
}

// container makes a command with subcommands, which share its group.
// Each gets a HELP that is made of the others' rows.
func container(name, group, since, summary string, subs ...frontSpec) frontSpec {
	fs := row(name, -2, 0, group, since, "Depends on the subcommand.", summary, nil)
	answer := localFunc(cmdHelp)
	if name == "cluster" {
		answer = clusterOnly(cmdHelp)
	}
	sub := append(subs, sub("help", 2, hidden, "5.0.0", "Lists the subcommands.", answer))
	for i := range sub {
		sub[i].Group = group
		sub[i].Categories = fs.Categories
		if sub[i].Since == "" {
			sub[i].Since = since
		}
		if sub[i].Complexity == "" {
			sub[i].Complexity = "O(1)"
		}
		fs.Spec.Sub = append(fs.Spec.Sub, sub[i].Spec)
	}
	fs.sub = sub
	return fs
}

// sub makes a subcommand's row.
func sub(name string, arity int, flags command.Flags, since, summary string, local localFunc, args ...command.Arg) frontSpec {
	return row(name, arity, flags, "", since, "", summary, local, args...)
}

// evaluated makes a row one that partitions answer; a nil route takes it to
// the partition of its keys.
func evaluated(fs frontSpec, route func(*session, *op), run func(*command.Ctx)) frontSpec {
	fs.route, fs.Run = route, run
	fs.Flags |= command.ReadOnly
	return fs
}

// frontSpecs are all commands that the front answers.
func frontSpecs() []frontSpec {
	var all []frontSpec
	all = append(all, connectionSpecs()...)
	all = append(all, clientSpec(), commandSpec(), configSpec(), clusterSpec())
	all = append(all, transactionSpecs()...)
	all = append(all, scriptSpec(), functionSpec())
	all = append(all, serverSpecs()...)
	all = append(all, pubsubSpecs()...)
	return append(all, toolSpecs()...)
}

func connectionSpecs() []frontSpec {
	const g = "connection"
	return []frontSpec{
		row("ping", -1, quick, g, "1.0.0", "O(1)", "Answers PONG, or the message given.", cmdPing, command.Text("message").Opt()),
		row("echo", 2, quick, g, "1.0.0", "O(1)", "Answers the message given.", cmdEcho, command.Text("message")),
		row("hello", -1, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "6.0.0", "O(1)", "Chooses the protocol version and introduces the client.", cmdHello,
			command.Block("arguments", command.Integer("protover"),
				command.Block("auth", command.Text("username"), command.Text("password")).After("AUTH").Opt(),
				command.Text("clientname").After("SETNAME").Opt()).Opt()),
		row("auth", -2, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "1.0.0", "O(N) over the user's passwords", "Says who the client is.", cmdAuth,
			command.Text("username").Opt(), command.Text("password")),
		row("select", 2, quick, g, "1.0.0", "O(1)", "Changes the connection's database.", cmdSelect, command.Integer("index")),
		row("quit", -1, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "1.0.0", "O(1)", "Ends the connection once its replies are written.", cmdQuit),
		row("reset", 1, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "6.2.0", "O(1)", "Puts the connection back to how it began.", cmdReset),
		row("readonly", 1, quick, "cluster", "3.0.0", "O(1)", "Allows reads from replicas on a cluster connection.", onlyCluster),
		row("readwrite", 1, quick, "cluster", "3.0.0", "O(1)", "Takes READONLY back.", onlyCluster),
		row("asking", 1, command.Fast, "cluster", "3.0.0", "O(1)", "Announces that a redirection is being followed.", onlyCluster),
	}
}

func transactionSpecs() []frontSpec {
	const g = "transactions"
	routed := func(fs frontSpec, route func(*session, *op)) frontSpec {
		fs.route = route
		fs.Categories = []string{"transaction"}
		return fs
	}
	watch := routed(row("watch", -2, quick|command.NoScript|command.AllowBusy, g, "2.2.0", "O(N) over the keys", "Lets EXEC run only if the keys have not changed until then.", nil, command.Key("key").Many()), routeWatch)
	watch.Spec.Keys = command.KeyRange{First: 1, Last: -1, Step: 1}
	return []frontSpec{
		routed(row("multi", 1, hidden|command.Fast|command.AllowBusy, g, "1.2.0", "O(1)", "Begins a transaction: commands are queued until EXEC.", cmdMulti), nil),
		routed(row("exec", 1, hidden|command.SkipSlowlog, g, "1.2.0", "Depends on the commands in the transaction", "Runs the queued commands, as one.", nil), routeExec),
		routed(row("discard", 1, hidden|command.Fast|command.AllowBusy, g, "2.0.0", "O(N) over the queued commands", "Drops the queued commands.", nil), routeDiscard),
		watch,
		routed(row("unwatch", 1, quick|command.NoScript|command.AllowBusy, g, "2.2.0", "O(1)", "Forgets the watched keys.", nil), routeUnwatch),
	}
}

func clientSpec() frontSpec {
	onOff := command.OneOf("enabled", command.Token("on", "ON"), command.Token("off", "OFF"))
	filters := command.OneOf("filter",
		command.Integer("client-id").After("ID"), command.Text("client-type").After("TYPE"),
		command.Text("username").After("USER"), command.Text("address").After("ADDR"),
		command.Text("address").After("LADDR"), command.Text("yes-or-no").After("SKIPME"),
		command.Integer("seconds").After("MAXAGE")).Many()
	return container("client", "connection", "2.4.0", "Commands about client connections.",
		sub("id", 2, hidden, "5.0.0", "Answers the connection's number.", clientID),
		sub("info", 2, hidden, "6.2.0", "Describes this connection.", clientInfo),
		sub("list", -2, hidden|command.Admin, "2.4.0", "Describes all connections of this node.", clientList,
			command.Text("client-type").After("TYPE").Opt(), command.Integer("client-id").Many().After("ID").Opt()),
		sub("kill", -3, hidden|command.Admin, "2.4.0", "Ends connections of this node.", clientKill,
			command.OneOf("who", command.Text("address"), filters)),
		sub("unblock", -3, hidden|command.Admin, "5.0.0", "Ends the waiting of a connection of this node.", clientUnblock,
			command.Integer("client-id"), command.OneOf("unblock-type", command.Token("timeout", "TIMEOUT"), command.Token("error", "ERROR")).Opt()),
		sub("setname", 3, hidden, "2.6.9", "Names the connection.", clientSetname, command.Text("connection-name")),
		sub("getname", 2, hidden, "2.6.9", "Answers the connection's name.", clientGetname),
		sub("setinfo", 4, hidden, "7.2.0", "Tells the client library's name or version.", clientSetinfo,
			command.OneOf("attribute", command.Text("library").After("LIB-NAME"), command.Text("version").After("LIB-VER"))),
		sub("reply", 3, hidden, "3.2.0", "Switches replies on, off, or off for one command.", clientReply,
			command.OneOf("mode", command.Token("on", "ON"), command.Token("off", "OFF"), command.Token("skip", "SKIP"))),
		sub("no-evict", 3, hidden|command.Admin, "7.0.0", "Accepted: connections are not evicted.",
			clientFlag(func(s *session) *bool { return &s.mu.noEvict }), onOff),
		sub("no-touch", 3, hidden, "7.2.0", "Accepted: reads leave no traces on keys.",
			clientFlag(func(s *session) *bool { return &s.mu.noTouch }), onOff),
		sub("pause", -3, hidden|command.Admin, "3.0.0", "Lets the connections of this node wait with their commands, or writes.", clientPause,
			command.Integer("timeout"), command.OneOf("mode", command.Token("write", "WRITE"), command.Token("all", "ALL")).Opt()),
		sub("unpause", 2, hidden|command.Admin, "6.2.0", "Ends a pause.", clientUnpause),
		sub("tracking", -3, hidden, "6.0.0", "Tells the client of writes to what it has read, so that it may cache it.", clientTracking, onOff,
			command.Integer("client-id").After("REDIRECT").Opt(), command.Text("prefix").After("PREFIX").Many().Opt(),
			command.Token("bcast", "BCAST").Opt(), command.Token("optin", "OPTIN").Opt(), command.Token("optout", "OPTOUT").Opt(), command.Token("noloop", "NOLOOP").Opt()),
		sub("caching", 3, hidden, "6.0.0", "Says whether the next command's keys are to be tracked.", clientCaching,
			command.OneOf("mode", command.Token("yes", "YES"), command.Token("no", "NO"))),
		sub("getredir", 2, hidden, "6.0.0", "Answers the connection that is told instead of this one.", clientGetredir),
		sub("trackinginfo", 2, hidden, "6.2.0", "Says how the connection tracks.", clientTrackinginfo),
	)
}

func commandSpec() frontSpec {
	name := command.Text("command-name").Many()
	fs := container("command", "server", "2.8.13", "Describes all commands.",
		sub("count", 2, always, "2.8.13", "Answers how many commands there are.", cmdCommand),
		sub("info", -2, always, "2.8.13", "Describes commands for client libraries.", cmdCommand, name.Opt()),
		sub("docs", -2, always, "7.0.0", "Describes commands for people.", cmdCommand, name.Opt()),
		sub("list", -2, always, "7.0.0", "Answers the names of commands.", cmdCommand,
			command.OneOf("filter", command.Text("module-name").After("MODULE"), command.Text("category").After("ACLCAT"), command.Pattern("pattern").After("PATTERN")).After("FILTERBY").Opt()),
		sub("getkeys", -3, always, "2.8.13", "Answers which arguments of a call are keys.", cmdCommand, command.Text("command"), command.Text("arg").Many().Opt()),
		sub("getkeysandflags", -3, always, "7.0.0", "Answers which arguments of a call are keys, and what is done to them.", cmdCommand, command.Text("command"), command.Text("arg").Many().Opt()),
	)
	fs.Arity, fs.Flags, fs.local = -1, always, cmdCommand
	fs.Complexity = "O(N) over the commands"
	return fs
}

func configSpec() frontSpec {
	pair := command.Block("data", command.Text("parameter"), command.Text("value")).Many()
	return container("config", "server", "2.0.0", "Commands about parameters.",
		sub("get", -3, hidden|command.Admin, "2.0.0", "Answers parameters that match patterns.", configGet, command.Text("parameter").Many()),
		sub("set", -4, hidden|command.Admin, "2.0.0", "Sets parameters; those of the node's own configuration are refused.", configSet, pair),
		sub("resetstat", 2, hidden|command.Admin, "2.0.0", "Sets this node's counters to zero.", configResetstat),
		sub("rewrite", 2, hidden|command.Admin, "2.8.0", "Refused: parameters are in the node's own configuration.", configRewrite),
	)
}

func clusterSpec() frontSpec {
	slot := command.Integer("slot")
	return container("cluster", "cluster", "3.0.0", "Commands for clients of the cluster listener.",
		sub("slots", 2, always, "3.0.0", "Answers which node leads which slots.", clusterOnly(clusterSlots)),
		sub("shards", 2, always, "7.0.0", "Answers the nodes with the slots they lead.", clusterOnly(clusterShards)),
		sub("nodes", 2, always, "3.0.0", "Lists the nodes.", clusterOnly(clusterNodes)),
		sub("info", 2, always, "3.0.0", "Describes the state of the cluster.", clusterOnly(clusterInfo)),
		sub("myid", 2, always, "3.0.0", "Answers this node's name.", clusterOnly(clusterMyid)),
		sub("myshardid", 2, always, "7.2.0", "Answers this node's name: each node is a shard of its own.", clusterOnly(clusterMyid)),
		sub("keyslot", 3, always, "3.0.0", "Answers a key's slot.", clusterOnly(clusterKeyslot), command.Text("key")),
		evaluated(sub("countkeysinslot", 3, always, "3.0.0", "Counts the keys of a slot.", nil, slot), clusterSlotKeys, runCountkeysinslot),
		evaluated(sub("getkeysinslot", 4, always, "3.0.0", "Answers keys of a slot.", nil, slot, command.Integer("count")), clusterSlotKeys, runGetkeysinslot),
		sub("reset", -2, always|command.Admin|command.NoScript, "3.0.0", "Is refused: a node leaves its cluster in no such way.", clusterOnly(clusterReset)),
		sub("links", 2, always, "7.0.0", "Answers nothing: links between nodes are not Redis's.", clusterOnly(clusterLinks)),
	)
}

func serverSpecs() []frontSpec {
	const g = "server"
	return []frontSpec{
		evaluated(row("info", -1, always, g, "1.0.0", "O(1)", "Describes this node and the keyspace.", nil, command.Text("section").Many().Opt()), routeInfo, runInfo),
		row("time", 1, quick, g, "2.6.0", "O(1)", "Answers the node's time: seconds and microseconds.", cmdTime),
		row("role", 1, hidden|command.Fast|command.Admin, g, "2.8.12", "O(1)", "Answers master: any node takes reads and writes.", cmdRole),
		row("lastsave", 1, quick|command.Admin, g, "1.0.0", "O(1)", "Answers now: everything acknowledged is on disk.", cmdLastsave),
		row("save", 1, command.NoScript|command.Admin|command.NoMulti, g, "1.0.0", "O(1)", "Answers OK: everything acknowledged is on disk.", cmdSave),
		row("bgsave", -1, command.NoScript|command.Admin, g, "1.0.0", "O(1)", "Says that there is nothing to do: everything acknowledged is on disk.", cmdBgsave,
			command.Token("schedule", "SCHEDULE").Opt()),
		row("bgrewriteaof", 1, command.NoScript|command.Admin, g, "1.0.0", "O(1)", "Says that there is nothing to do: the log is cut by itself.", cmdBgrewriteaof),
		row("wait", 3, command.Blocking, "generic", "3.0.0", "O(1)", "Answers how many further copies the connection's writes have.", cmdWait,
			command.Integer("numreplicas"), command.Integer("timeout")),
		row("monitor", 1, hidden|command.Admin, g, "1.0.0", "O(1)", "Shows every command that this node receives.", cmdMonitor),
		row("shutdown", -1, hidden|command.Admin|command.NoMulti|command.AllowBusy, g, "1.0.0", "O(1)", "Refused: a node is stopped as a process.", cmdShutdown),
		row("replicaof", 3, hidden|command.Admin, g, "5.0.0", "O(1)", "Refused: replication is the cluster's own.", cmdReplicaof, command.Text("host"), command.Text("port")),
		row("slaveof", 3, hidden|command.Admin, g, "1.0.0", "O(1)", "Refused: replication is the cluster's own.", cmdReplicaof, command.Text("host"), command.Text("port")),
		row("lolwut", -1, quick, g, "5.0.0", "O(1)", "Says what this is.", cmdLolwut, command.Integer("version").After("VERSION").Opt()),
	}
}

// toolSpecs are commands that tools ask for.
func toolSpecs() []frontSpec {
	const g = "server"
	usage := evaluated(sub("usage", -3, 0, "4.0.0", "Estimates the bytes of a key and its value.", nil,
		command.Key("key"), command.Integer("count").After("SAMPLES").Opt()), nil, runMemoryUsage)
	usage.Keys = command.KeyRange{First: 2, Last: 2, Step: 1}
	return []frontSpec{
		container("slowlog", g, "2.2.12", "Commands about commands that took long.",
			sub("get", -2, hidden|command.Admin, "2.2.12", "Answers the last slow commands of this node.", slowlogGet, command.Integer("count").Opt()),
			sub("len", 2, hidden|command.Admin, "2.2.12", "Counts the slow commands remembered.", slowlogLen),
			sub("reset", 2, hidden|command.Admin, "2.2.12", "Forgets the slow commands.", slowlogReset)),
		container("latency", g, "2.8.13", "Commands about latencies.",
			sub("histogram", -2, hidden|command.Admin, "7.0.0", "Answers the distribution of commands' latencies.", latencyHistogram, command.Text("command").Many().Opt()),
			sub("latest", 2, hidden|command.Admin, "2.8.13", "Answers the last spike of each event.", latencyLatest),
			sub("history", 3, hidden|command.Admin, "2.8.13", "Answers an event's spikes.", latencyHistory, command.Text("event")),
			sub("graph", 3, hidden|command.Admin, "2.8.13", "Draws an event's spikes.", latencyGraph, command.Text("event")),
			sub("reset", -2, hidden|command.Admin, "2.8.13", "Forgets events.", latencyReset, command.Text("event").Many().Opt()),
			sub("doctor", 2, hidden|command.Admin, "2.8.13", "Says what was seen, and where to look.", latencyDoctor)),
		container("memory", g, "4.0.0", "Commands about memory.",
			usage,
			sub("doctor", 2, 0, "4.0.0", "Says where to look.", replyText("The node's memory is in INFO memory and in its /metrics.\n")),
			sub("stats", 2, 0, "4.0.0", "Answers the node's memory.", memoryStats),
			sub("purge", 2, 0, "4.0.0", "Accepted: memory goes back by itself.", replyOK),
			sub("malloc-stats", 2, 0, "4.0.0", "Says where to look.", replyText("The allocator is Go's: see the node's /debug/pprof/heap.\n"))),
		container("module", g, "4.0.0", "Commands about modules, of which there are none.",
			sub("list", 2, hidden|command.Admin, "4.0.0", "Answers nothing: there are no modules.", emptyArray)),
		container("acl", g, "6.0.0", "Commands about users. There is one, default, who may do everything.",
			sub("whoami", 2, hidden, "6.0.0", "Answers the connection's user.", replyBulk("default")),
			sub("users", 2, hidden|command.Admin, "6.0.0", "Answers the names of users.", aclUsers),
			sub("list", 2, hidden|command.Admin, "6.0.0", "Answers the users' rules.", aclList),
			sub("getuser", 3, hidden|command.Admin, "6.0.0", "Answers a user's rules.", aclGetuser, command.Text("username")),
			sub("cat", -2, hidden, "6.0.0", "Answers categories, or the commands of one.", aclCat, command.Text("category").Opt())),
	}
}

func memoryStats(s *session, _ [][]byte) {
	w := &s.rw
	w.Map(4)
	for _, kv := range []struct {
		key   string
		value int64
	}{
		{"total.allocated", int64(residentBytes())}, {"clients.normal", s.f.budget.inUse()},
		{"keys.count", 0}, {"dataset.bytes", s.f.router.Stats().DiskBytes},
	} {
		w.BulkString(kv.key)
		w.Int(kv.value)
	}
}
