package zset

import (
	"slices"

	cmd "coterie/internal/command"
	"coterie/internal/command/number"
)

const (
	readFast  = cmd.ReadOnly | cmd.Fast
	writeFast = cmd.Write | cmd.Fast
	grow      = cmd.Write | cmd.DenyOOM
)

var (
	look   = []string{"RO"}
	access = []string{"RO", "access"}
	update = []string{"RW", "update"}
	remove = []string{"RW", "delete"}
	take   = []string{"RW", "access", "delete"}
	write  = []string{"OW", "update"}
)

// row is a command with one key in front.
func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: append([]cmd.Arg{cmd.Key("key")}, args...), Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)},
		Group: "sorted-set", Categories: []string{"sortedset"}}
}

// numbered is a command with the number of its keys at argument i, and then
// the keys; what precedes the number is args[:i-1].
func numbered(i int, name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	r := row(name, arity, flags|cmd.MovableKeys, since, run, nil, summary, complexity)
	r.Args = slices.Insert(args, i-1, cmd.Integer("numkeys"), cmd.Key("key").Many())
	r.Keys = cmd.KeyRange{}
	r.KeySpecs = []cmd.KeySpec{{Keys: cmd.KeyRange{First: i}, Flags: use, Numbered: true}}
	r.FindKeys = func(dst []int, args [][]byte) []int { return findKeys(dst, args, i) }
	return r
}

func findKeys(dst []int, args [][]byte, i int) []int {
	if i >= len(args) {
		return dst
	}
	n, ok := number.ParseInt(args[i])
	if !ok || n < 1 || n > int64(len(args)-i-1) {
		return dst
	}
	for at := range int(n) {
		dst = append(dst, i+1+at)
	}
	return dst
}

// into is a numbered command whose first argument is the key of its result.
func into(name, since string, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
	r := numbered(2, name, -4, grow, since, run, access, summary, complexity, slices.Insert(args, 0, cmd.Key("destination"))...)
	r.Keys = cmd.One
	r.KeySpecs = append([]cmd.KeySpec{cmd.Use(cmd.One, write...)}, r.KeySpecs...)
	find := r.FindKeys
	r.FindKeys = func(dst []int, args [][]byte) []int { return find(append(dst, 1), args) }
	return r
}

func tips(r cmd.Spec, tips ...string) cmd.Spec {
	r.Tips = tips
	return r
}

// Rows is the command rows of sorted sets.
func Rows() []cmd.Spec {
	return slices.Concat(memberRows(), rangeRows(), removeRows(), combineRows())
}

var (
	member     = cmd.Text("member")
	count      = cmd.Integer("count")
	limit      = cmd.Block("limit", cmd.Integer("offset"), count).After("LIMIT").Opt()
	withScores = cmd.Token("withscores", "WITHSCORES").Opt()
	withScore  = cmd.Token("withscore", "WITHSCORE").Opt()
)

const (
	logN  = "O(log(N)) with the size of the set"
	logNM = "O(log(N)+M) with the size of the set and of the answer"
)

func memberRows() []cmd.Spec {
	score := cmd.Number("score")
	return []cmd.Spec{
		row("zadd", -4, grow|cmd.Fast, "1.2.0", zAdd, update, "Adds members to a sorted set, or changes their scores.", logN+", for each member",
			cmd.OneOf("condition", cmd.Token("nx", "NX"), cmd.Token("xx", "XX")).Opt(), cmd.OneOf("comparison", cmd.Token("gt", "GT"), cmd.Token("lt", "LT")).Opt(),
			cmd.Token("change", "CH").Opt(), cmd.Token("increment", "INCR").Opt(), cmd.Block("data", score, member).Many()),
		row("zincrby", 4, grow|cmd.Fast, "1.2.0", zIncrBy, []string{"RW", "access", "update"}, "Adds to a member's score; a missing member counts as zero.", logN, cmd.Integer("increment"), member),
		row("zcard", 2, readFast, "1.2.0", zCard, look, "Counts the members of a sorted set.", "O(1)"),
		row("zscore", 3, readFast, "1.2.0", zScore, access, "Answers a member's score.", "O(1)", member),
		row("zmscore", -3, readFast, "6.2.0", zmScore, access, "Answers the scores of several members.", "O(1) for each member", member.Many()),
		row("zrank", -3, readFast, "2.0.0", zRank, access, "Answers how many members stand before one.", logN, member, withScore),
		row("zrevrank", -3, readFast, "2.0.0", zRevRank, access, "Answers how many members stand behind one.", logN, member, withScore),
		row("zcount", 4, readFast, "2.0.0", zCount, access, "Counts the members within a range of scores.", logN, cmd.Number("min"), cmd.Number("max")),
		row("zlexcount", 4, readFast, "2.8.9", zLexCount, access, "Counts the members within a range of bytes, all scores being equal.", logN, cmd.Text("min"), cmd.Text("max")),
		tips(row("zrandmember", -2, cmd.ReadOnly, "6.2.0", zRandMember, access, "Answers members of a sorted set picked at random.", logN+", for each member picked",
			cmd.Block("options", count, withScores).Opt()), "nondeterministic_output"),
		tips(row("zscan", -3, cmd.ReadOnly, "2.8.0", zScan, access, "Walks through the members of a sorted set, some at a time.", "O(1) for each member looked at",
			cmd.Integer("cursor"), cmd.Pattern("pattern").After("MATCH").Opt(), cmd.Integer("count").After("COUNT").Opt()), "nondeterministic_output"),
	}
}

func rangeRows() []cmd.Spec {
	sortBy := cmd.OneOf("sortby", cmd.Token("byscore", "BYSCORE"), cmd.Token("bylex", "BYLEX")).Opt()
	rev := cmd.Token("rev", "REV").Opt()
	store := row("zrangestore", -5, grow, "6.2.0", zRangeStore, nil, "Stores a range of members as another sorted set.", "O(log(N)+M*log(M)) with the size of the set and of the range")
	store.Args = []cmd.Arg{cmd.Key("dst"), cmd.Key("src"), cmd.Text("min"), cmd.Text("max"), sortBy, rev, limit}
	store.Keys = cmd.Two
	store.KeySpecs = []cmd.KeySpec{cmd.Use(cmd.One, write...), cmd.Use(cmd.KeyRange{First: 2, Last: 2, Step: 1}, access...)}
	return []cmd.Spec{
		row("zrange", -4, cmd.ReadOnly, "1.2.0", zRange, access, "Answers members within a range of ranks, scores or bytes.", logNM,
			cmd.Text("start"), cmd.Text("stop"), sortBy, rev, limit, withScores),
		store,
		row("zrevrange", -4, cmd.ReadOnly, "1.2.0", zRevRange, access, "Answers members within a range of ranks, the last one first.", logNM,
			cmd.Integer("start"), cmd.Integer("stop"), withScores),
		row("zrangebyscore", -4, cmd.ReadOnly, "1.0.5", zRangeByScore, access, "Answers members within a range of scores.", logNM,
			cmd.Number("min"), cmd.Number("max"), withScores, limit),
		row("zrevrangebyscore", -4, cmd.ReadOnly, "2.2.0", zRevRangeByScore, access, "Answers members within a range of scores, the last one first.", logNM,
			cmd.Number("max"), cmd.Number("min"), withScores, limit),
		row("zrangebylex", -4, cmd.ReadOnly, "2.8.9", zRangeByLex, access, "Answers members within a range of bytes, all scores being equal.", logNM,
			cmd.Text("min"), cmd.Text("max"), limit),
		row("zrevrangebylex", -4, cmd.ReadOnly, "2.8.9", zRevRangeByLex, access, "Answers members within a range of bytes, the last one first.", logNM,
			cmd.Text("max"), cmd.Text("min"), limit),
	}
}

func removeRows() []cmd.Spec {
	const each = logN + ", for each member removed"
	keys := cmd.KeyRange{First: 1, Last: -2, Step: 1}
	where := cmd.OneOf("where", cmd.Token("min", "MIN"), cmd.Token("max", "MAX"))
	counted := count.After("COUNT").Opt()
	wait := func(name string, run func(*cmd.Ctx), summary string) cmd.Spec {
		r := row(name, -3, writeFast|cmd.Blocking, "5.0.0", run, nil, summary, logN)
		r.Args = []cmd.Arg{cmd.Key("key").Many(), cmd.Number("timeout")}
		r.Keys, r.KeySpecs = keys, []cmd.KeySpec{cmd.Use(keys, take...)}
		r.Timeout = cmd.TimeoutLast
		return r
	}
	several := numbered(2, "bzmpop", -5, cmd.Write|cmd.Blocking, "7.0.0", bzmPop, take, "Waits for members in one of several sorted sets, and pops them.", each,
		cmd.Number("timeout"), where, counted)
	several.Timeout = cmd.TimeoutFirst
	return []cmd.Spec{
		row("zrem", -3, writeFast, "1.2.0", zRem, remove, "Removes members from a sorted set.", each, member.Many()),
		row("zremrangebyrank", 4, cmd.Write, "2.0.0", zRemRangeByRank, remove, "Removes the members within a range of ranks.", logNM, cmd.Integer("start"), cmd.Integer("stop")),
		row("zremrangebyscore", 4, cmd.Write, "1.2.0", zRemRangeByScore, remove, "Removes the members within a range of scores.", logNM, cmd.Number("min"), cmd.Number("max")),
		row("zremrangebylex", 4, cmd.Write, "2.8.9", zRemRangeByLex, remove, "Removes the members within a range of bytes, all scores being equal.", logNM, cmd.Text("min"), cmd.Text("max")),
		row("zpopmin", -2, writeFast, "5.0.0", zPopMin, take, "Removes and answers the members with the lowest scores.", each, count.Opt()),
		row("zpopmax", -2, writeFast, "5.0.0", zPopMax, take, "Removes and answers the members with the highest scores.", each, count.Opt()),
		numbered(1, "zmpop", -4, cmd.Write, "7.0.0", zmPop, take, "Removes and answers members from the first of several sorted sets that has any.", each, where, counted),
		wait("bzpopmin", bzPopMin, "Waits for a member in one of several sorted sets, and pops that with the lowest score."),
		wait("bzpopmax", bzPopMax, "Waits for a member in one of several sorted sets, and pops that with the highest score."),
		several,
	}
}

func combineRows() []cmd.Spec {
	const (
		sum   = "O(N*log(N)) with the sizes of all sets"
		least = "O(N*K) with the size of the smallest set and the number of sets"
		first = "O(N*K) with the size of the first set and the number of sets"
	)
	weights := cmd.Integer("weight").After("WEIGHTS").Opt().Many()
	aggregate := cmd.OneOf("aggregate", cmd.Token("sum", "SUM"), cmd.Token("min", "MIN"), cmd.Token("max", "MAX")).After("AGGREGATE").Opt()
	answer := func(name string, run func(*cmd.Ctx), summary, complexity string, args ...cmd.Arg) cmd.Spec {
		return numbered(1, name, -3, cmd.ReadOnly, "6.2.0", run, access, summary, complexity, append(args, withScores)...)
	}
	card := numbered(1, "zintercard", -3, cmd.ReadOnly, "7.0.0", zInterCard, access, "Counts the members that all of several sorted sets have.", least,
		cmd.Integer("limit").After("LIMIT").Opt())
	return []cmd.Spec{
		answer("zunion", zUnion, "Answers the members of several sorted sets.", sum, weights, aggregate),
		answer("zinter", zInter, "Answers the members that all of several sorted sets have.", least, weights, aggregate),
		answer("zdiff", zDiff, "Answers the first sorted set's members that no other has.", first),
		into("zunionstore", "2.0.0", zUnionStore, "Stores the members of several sorted sets as another.", sum, weights, aggregate),
		into("zinterstore", "2.0.0", zInterStore, "Stores the members that all of several sorted sets have as another.", least, weights, aggregate),
		into("zdiffstore", "6.2.0", zDiffStore, "Stores the first sorted set's members that no other has as another.", first),
		card,
	}
}
