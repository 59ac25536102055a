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
func container(name, group, since, summary string, sub ...frontSpec) frontSpec {
	fs := row(name, -2, 0, group, since, "Depends on the subcommand.", summary, nil)
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

func arg(name, kind string) command.Arg { return command.Arg{Name: name, Type: kind} }

func opt(a command.Arg) command.Arg { a.Optional = true; return a }

func many(a command.Arg) command.Arg { a.Multiple = true; return a }

func token(word string) command.Arg {
	return command.Arg{Name: word, Type: "pure-token", Token: word}
}

func with(word string, a command.Arg) command.Arg { a.Token = word; return a }

func oneOf(name string, args ...command.Arg) command.Arg {
	return command.Arg{Name: name, Type: "oneof", Args: args}
}

func block(name string, args ...command.Arg) command.Arg {
	return command.Arg{Name: name, Type: "block", Args: args}
}

// frontSpecs are all commands that the front answers.
func frontSpecs() []frontSpec {
	var all []frontSpec
	all = append(all, connectionSpecs()...)
	all = append(all, clientSpec(), commandSpec(), configSpec(), clusterSpec())
	all = append(all, serverSpecs()...)
	return append(all, toolSpecs()...)
}

func connectionSpecs() []frontSpec {
	const g = "connection"
	return []frontSpec{
		row("ping", -1, quick, g, "1.0.0", "O(1)", "Answers PONG, or the message given.", cmdPing, opt(arg("message", "string"))),
		row("echo", 2, quick, g, "1.0.0", "O(1)", "Answers the message given.", cmdEcho, arg("message", "string")),
		row("hello", -1, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "6.0.0", "O(1)", "Chooses the protocol version and introduces the client.", cmdHello,
			opt(block("arguments", arg("protover", "integer"),
				opt(with("AUTH", block("auth", arg("username", "string"), arg("password", "string")))),
				opt(with("SETNAME", arg("clientname", "string")))))),
		row("auth", -2, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "1.0.0", "O(N) over the user's passwords", "Says who the client is.", cmdAuth,
			opt(arg("username", "string")), arg("password", "string")),
		row("select", 2, quick, g, "1.0.0", "O(1)", "Changes the connection's database.", cmdSelect, arg("index", "integer")),
		row("quit", -1, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "1.0.0", "O(1)", "Ends the connection once its replies are written.", cmdQuit),
		row("reset", 1, hidden|command.Fast|command.NoAuth|command.AllowBusy, g, "6.2.0", "O(1)", "Puts the connection back to how it began.", cmdReset),
		row("readonly", 1, quick, "cluster", "3.0.0", "O(1)", "Allows reads from replicas on a cluster connection.", onlyCluster),
		row("readwrite", 1, quick, "cluster", "3.0.0", "O(1)", "Takes READONLY back.", onlyCluster),
		row("asking", 1, command.Fast, "cluster", "3.0.0", "O(1)", "Announces that a redirection is being followed.", onlyCluster),
	}
}

func clientSpec() frontSpec {
	onOff := oneOf("enabled", token("ON"), token("OFF"))
	filters := many(oneOf("filter",
		with("ID", arg("client-id", "integer")), with("TYPE", arg("client-type", "string")),
		with("USER", arg("username", "string")), with("ADDR", arg("address", "string")),
		with("LADDR", arg("address", "string")), with("SKIPME", arg("yes-or-no", "string")),
		with("MAXAGE", arg("seconds", "integer"))))
	return container("client", "connection", "2.4.0", "Commands about client connections.",
		sub("id", 2, hidden, "5.0.0", "Answers the connection's number.", clientID),
		sub("info", 2, hidden, "6.2.0", "Describes this connection.", clientInfo),
		sub("list", -2, hidden|command.Admin, "2.4.0", "Describes all connections of this node.", clientList,
			opt(with("TYPE", arg("client-type", "string"))), opt(with("ID", many(arg("client-id", "integer"))))),
		sub("kill", -3, hidden|command.Admin, "2.4.0", "Ends connections of this node.", clientKill,
			oneOf("who", arg("address", "string"), filters)),
		sub("setname", 3, hidden, "2.6.9", "Names the connection.", clientSetname, arg("connection-name", "string")),
		sub("getname", 2, hidden, "2.6.9", "Answers the connection's name.", clientGetname),
		sub("setinfo", 4, hidden, "7.2.0", "Tells the client library's name or version.", clientSetinfo,
			oneOf("attribute", with("LIB-NAME", arg("library", "string")), with("LIB-VER", arg("version", "string")))),
		sub("reply", 3, hidden, "3.2.0", "Switches replies on, off, or off for one command.", clientReply,
			oneOf("mode", token("ON"), token("OFF"), token("SKIP"))),
		sub("no-evict", 3, hidden|command.Admin, "7.0.0", "Accepted: connections are not evicted.",
			clientFlag(func(s *session) *bool { return &s.mu.noEvict }), onOff),
		sub("no-touch", 3, hidden, "7.2.0", "Accepted: reads leave no traces on keys.",
			clientFlag(func(s *session) *bool { return &s.mu.noTouch }), onOff),
		sub("pause", -3, hidden|command.Admin, "3.0.0", "Refused: commands cannot be paused.",
			replyError("ERR CLIENT PAUSE is not supported: leadership moves without it"), arg("timeout", "integer")),
		sub("unpause", 2, hidden|command.Admin, "6.2.0", "Accepted: nothing is paused.", replyOK),
		sub("unblock", -3, hidden|command.Admin, "5.0.0", "Accepted: no connection is blocked.", replyZero, arg("client-id", "integer")),
		sub("tracking", -3, hidden, "6.0.0", "Refused, except OFF: there is no client side caching.", clientTracking, onOff),
		sub("caching", 3, hidden, "6.0.0", "Refused: there is no client side caching.",
			replyError("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"),
			oneOf("mode", token("YES"), token("NO"))),
		sub("getredir", 2, hidden, "6.0.0", "Answers -1: there is no client side caching.", clientGetredir),
		sub("trackinginfo", 2, hidden, "6.2.0", "Says that there is no client side caching.", clientTrackinginfo),
		sub("help", 2, hidden, "5.0.0", "Describes the subcommands.", help("client",
			"ID", "    Number of this connection.", "INFO", "    This connection.",
			"LIST [TYPE <type>] [ID <id> ...]", "    All connections of this node.",
			"KILL <address> | <filter> <value> ...", "    End connections. Filters: ID, TYPE, USER, ADDR, LADDR, SKIPME, MAXAGE.",
			"SETNAME <name>, GETNAME", "    Name of this connection.", "SETINFO LIB-NAME|LIB-VER <value>", "    The client library.",
			"REPLY ON|OFF|SKIP", "    Switch replies.")),
	)
}

func commandSpec() frontSpec {
	name := many(arg("command-name", "string"))
	fs := container("command", "server", "2.8.13", "Describes all commands.",
		sub("count", 2, always, "2.8.13", "Answers how many commands there are.", commandCount),
		sub("info", -2, always, "2.8.13", "Describes commands for client libraries.", commandInfo, opt(name)),
		sub("docs", -2, always, "7.0.0", "Describes commands for people.", commandDocs, opt(name)),
		sub("list", -2, always, "7.0.0", "Answers the names of commands.", commandList,
			opt(with("FILTERBY", oneOf("filter", with("MODULE", arg("module-name", "string")), with("ACLCAT", arg("category", "string")), with("PATTERN", arg("pattern", "pattern")))))),
		sub("getkeys", -3, always, "2.8.13", "Answers which arguments of a call are keys.", commandGetkeys(false), arg("command", "string"), opt(many(arg("arg", "string")))),
		sub("getkeysandflags", -3, always, "7.0.0", "Answers which arguments of a call are keys, and what is done to them.", commandGetkeys(true), arg("command", "string"), opt(many(arg("arg", "string")))),
		sub("help", 2, always, "5.0.0", "Describes the subcommands.", help("command",
			"(no subcommand)", "    All commands.", "COUNT", "    Their number.", "INFO [<name> ...], DOCS [<name> ...]", "    Details.",
			"LIST [FILTERBY ACLCAT|PATTERN|MODULE <value>]", "    Names.", "GETKEYS <command>, GETKEYSANDFLAGS <command>", "    Keys of a call.")),
	)
	fs.Arity, fs.Flags, fs.local = -1, always, cmdCommand
	fs.Complexity = "O(N) over the commands"
	return fs
}

func configSpec() frontSpec {
	pair := many(block("data", arg("parameter", "string"), arg("value", "string")))
	return container("config", "server", "2.0.0", "Commands about parameters.",
		sub("get", -3, hidden|command.Admin, "2.0.0", "Answers parameters that match patterns.", configGet, many(arg("parameter", "string"))),
		sub("set", -4, hidden|command.Admin, "2.0.0", "Sets parameters; most belong to the node's own configuration and are refused.", configSet, pair),
		sub("resetstat", 2, hidden|command.Admin, "2.0.0", "Sets this node's counters to zero.", configResetstat),
		sub("rewrite", 2, hidden|command.Admin, "2.8.0", "Refused: parameters are in the node's own configuration.", configRewrite),
		sub("help", 2, hidden, "5.0.0", "Describes the subcommands.", help("config",
			"GET <pattern> ...", "    Parameters.", "SET <parameter> <value> ...", "    Set parameters.", "RESETSTAT", "    Counters to zero.")),
	)
}

func clusterSpec() frontSpec {
	slot := arg("slot", "integer")
	return container("cluster", "cluster", "3.0.0", "Commands for clients of the cluster listener.",
		sub("slots", 2, always, "3.0.0", "Answers which node leads which slots.", clusterOnly(clusterSlots)),
		sub("shards", 2, always, "7.0.0", "Answers the nodes with the slots they lead.", clusterOnly(clusterShards)),
		sub("nodes", 2, always, "3.0.0", "Lists the nodes.", clusterOnly(clusterNodes)),
		sub("info", 2, always, "3.0.0", "Describes the state of the cluster.", clusterOnly(clusterInfo)),
		sub("myid", 2, always, "3.0.0", "Answers this node's name.", clusterOnly(clusterMyid)),
		sub("myshardid", 2, always, "7.2.0", "Answers this node's name: each node is a shard of its own.", clusterOnly(clusterMyid)),
		sub("keyslot", 3, always, "3.0.0", "Answers a key's slot.", clusterOnly(clusterKeyslot), arg("key", "string")),
		evaluated(sub("countkeysinslot", 3, always, "3.0.0", "Counts the keys of a slot.", nil, slot), clusterSlotKeys, runCountkeysinslot),
		evaluated(sub("getkeysinslot", 4, always, "3.0.0", "Answers keys of a slot.", nil, slot, arg("count", "integer")), clusterSlotKeys, runGetkeysinslot),
		sub("links", 2, always, "7.0.0", "Answers nothing: links between nodes are not Redis's.", clusterOnly(clusterLinks)),
		sub("help", 2, always, "5.0.0", "Describes the subcommands.", clusterOnly(help("cluster",
			"SLOTS, SHARDS, NODES", "    Who leads which slots.", "INFO", "    State of the cluster.", "MYID", "    Name of this node.",
			"KEYSLOT <key>", "    Slot of a key.", "COUNTKEYSINSLOT <slot>, GETKEYSINSLOT <slot> <count>", "    Keys of a slot."))),
	)
}

func serverSpecs() []frontSpec {
	const g = "server"
	return []frontSpec{
		evaluated(row("info", -1, always, g, "1.0.0", "O(1)", "Describes this node and the keyspace.", nil, opt(many(arg("section", "string")))), routeInfo, runInfo),
		row("time", 1, quick, g, "2.6.0", "O(1)", "Answers the node's time: seconds and microseconds.", cmdTime),
		row("role", 1, hidden|command.Fast|command.Admin, g, "2.8.12", "O(1)", "Answers master: any node takes reads and writes.", cmdRole),
		row("lastsave", 1, quick|command.Admin, g, "1.0.0", "O(1)", "Answers now: everything acknowledged is on disk.", cmdLastsave),
		row("wait", 3, command.Blocking, "generic", "3.0.0", "O(1)", "Answers how many further copies the connection's writes have.", cmdWait,
			arg("numreplicas", "integer"), arg("timeout", "integer")),
		row("monitor", 1, hidden|command.Admin, g, "1.0.0", "O(1)", "Shows every command that this node receives.", cmdMonitor),
		row("shutdown", -1, hidden|command.Admin, g, "1.0.0", "O(1)", "Refused: a node is stopped as a process.", cmdShutdown),
		row("replicaof", 3, hidden|command.Admin, g, "5.0.0", "O(1)", "Refused: replication is the cluster's own.", cmdReplicaof, arg("host", "string"), arg("port", "string")),
		row("slaveof", 3, hidden|command.Admin, g, "1.0.0", "O(1)", "Refused: replication is the cluster's own.", cmdReplicaof, arg("host", "string"), arg("port", "string")),
		row("lolwut", -1, quick, g, "5.0.0", "O(1)", "Says what this is.", cmdLolwut, opt(with("VERSION", arg("version", "integer")))),
	}
}

// toolSpecs are commands that tools ask for.
func toolSpecs() []frontSpec {
	const g = "server"
	usage := evaluated(sub("usage", -3, 0, "4.0.0", "Estimates the bytes of a key and its value.", nil,
		arg("key", "key"), opt(with("SAMPLES", arg("count", "integer")))), nil, runMemoryUsage)
	usage.Keys = command.KeyRange{First: 2, Last: 2, Step: 1}
	return []frontSpec{
		container("slowlog", g, "2.2.12", "Commands about commands that took long.",
			sub("get", -2, hidden|command.Admin, "2.2.12", "Answers the last slow commands of this node.", slowlogGet, opt(arg("count", "integer"))),
			sub("len", 2, hidden|command.Admin, "2.2.12", "Counts the slow commands remembered.", slowlogLen),
			sub("reset", 2, hidden|command.Admin, "2.2.12", "Forgets the slow commands.", slowlogReset),
			sub("help", 2, hidden, "6.2.0", "Describes the subcommands.", help("slowlog",
				"GET [<count>]", "    Newest first: number, time, microseconds, arguments, client, its name.", "LEN", "    Their number.", "RESET", "    Forget them."))),
		container("latency", g, "2.8.13", "Commands about latencies.",
			sub("histogram", -2, hidden|command.Admin, "7.0.0", "Answers the distribution of commands' latencies.", latencyHistogram, opt(many(arg("command", "string")))),
			sub("latest", 2, hidden|command.Admin, "2.8.13", "Answers nothing: no latency events are recorded.", emptyArray),
			sub("history", 3, hidden|command.Admin, "2.8.13", "Answers nothing: no latency events are recorded.", emptyArray, arg("event", "string")),
			sub("reset", -2, hidden|command.Admin, "2.8.13", "Accepted: no latency events are recorded.", replyZero, opt(many(arg("event", "string")))),
			sub("doctor", 2, hidden|command.Admin, "2.8.13", "Says where to look.", replyText("Latencies are in LATENCY HISTOGRAM, INFO latencystats and the node's /metrics.\n")),
			sub("help", 2, hidden, "2.8.13", "Describes the subcommands.", help("latency",
				"HISTOGRAM [<command> ...]", "    Calls by powers of two of microseconds."))),
		container("memory", g, "4.0.0", "Commands about memory.",
			usage,
			sub("doctor", 2, 0, "4.0.0", "Says where to look.", replyText("The node's memory is in INFO memory and in its /metrics.\n")),
			sub("stats", 2, 0, "4.0.0", "Answers the node's memory.", memoryStats),
			sub("purge", 2, 0, "4.0.0", "Accepted: memory goes back by itself.", replyOK),
			sub("malloc-stats", 2, 0, "4.0.0", "Says where to look.", replyText("The allocator is Go's: see the node's /debug/pprof/heap.\n")),
			sub("help", 2, always, "4.0.0", "Describes the subcommands.", help("memory", "USAGE <key> [SAMPLES <count>]", "    Bytes of a key.", "STATS, DOCTOR", "    The node's memory."))),
		container("module", g, "4.0.0", "Commands about modules, of which there are none.",
			sub("list", 2, hidden|command.Admin, "4.0.0", "Answers nothing: there are no modules.", emptyArray),
			sub("help", 2, hidden, "5.0.0", "Describes the subcommands.", help("module", "LIST", "    Modules: none."))),
		container("acl", g, "6.0.0", "Commands about users. There is one, default, who may do everything.",
			sub("whoami", 2, hidden, "6.0.0", "Answers the connection's user.", replyBulk("default")),
			sub("users", 2, hidden|command.Admin, "6.0.0", "Answers the names of users.", aclUsers),
			sub("list", 2, hidden|command.Admin, "6.0.0", "Answers the users' rules.", aclList),
			sub("getuser", 3, hidden|command.Admin, "6.0.0", "Answers a user's rules.", aclGetuser, arg("username", "string")),
			sub("cat", -2, hidden, "6.0.0", "Answers categories, or the commands of one.", aclCat, opt(arg("category", "string"))),
			sub("help", 2, hidden, "6.0.0", "Describes the subcommands.", help("acl",
				"WHOAMI, USERS, LIST, GETUSER <name>", "    Users.", "CAT [<category>]", "    Categories of commands."))),
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
