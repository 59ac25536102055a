package geo

import (
	"slices"

	cmd "coterie/internal/command"
)

var (
	access = []string{"RO", "access"}
	write  = []string{"OW", "update"}
)

func row(name string, arity int, flags cmd.Flags, since string, run func(*cmd.Ctx), use []string, summary, complexity string, args ...cmd.Arg) cmd.Spec {
	return cmd.Spec{Name: name, Arity: arity, Flags: flags, Since: since, Run: run, Summary: summary, Complexity: complexity,
		Args: append([]cmd.Arg{cmd.Key("key")}, args...), Keys: cmd.One, KeySpecs: []cmd.KeySpec{cmd.Use(cmd.One, use...)},
		Group: "geo", Categories: []string{"geo"}}
}

// storing lets a row's options name a key for the result.
func storing(r cmd.Spec) cmd.Spec {
	r.Flags |= cmd.MovableKeys
	r.FindKeys = findKeys
	r.Args = append(r.Args, cmd.OneOf("store", cmd.Key("storekey").After("STORE"), cmd.Key("storedistkey").After("STOREDIST")).Opt())
	return r
}

func findKeys(dst []int, args [][]byte) []int {
	dst = append(dst, 1)
	stored := 0
	for i := 5; i+1 < len(args); i++ {
		if cmd.Is(args[i], "STORE") || cmd.Is(args[i], "STOREDIST") {
			i++
			stored = i // the last one counts
		}
	}
	if stored > 0 {
		dst = append(dst, stored)
	}
	return dst
}

// Rows is the command rows of places.
func Rows() []cmd.Spec {
	const grow = cmd.Write | cmd.DenyOOM
	var (
		member = cmd.Text("member")
		at     = []cmd.Arg{cmd.Number("longitude"), cmd.Number("latitude")}
		unit   = cmd.OneOf("unit", cmd.Token("m", "m"), cmd.Token("km", "km"), cmd.Token("ft", "ft"), cmd.Token("mi", "mi"))
		order  = cmd.OneOf("order", cmd.Token("asc", "ASC"), cmd.Token("desc", "DESC")).Opt()
		count  = cmd.Block("count-block", cmd.Integer("count").After("COUNT"), cmd.Token("any", "ANY").Opt()).Opt()
		shown  = []cmd.Arg{cmd.Token("withcoord", "WITHCOORD").Opt(), cmd.Token("withdist", "WITHDIST").Opt(), cmd.Token("withhash", "WITHHASH").Opt()}
		circle = []cmd.Arg{cmd.Number("radius"), unit}
		from   = cmd.OneOf("from", member.After("FROMMEMBER"), cmd.Block("fromlonlat", at...).After("FROMLONLAT"))
		by     = cmd.OneOf("by", cmd.Block("circle", cmd.Number("radius").After("BYRADIUS"), unit),
			cmd.Block("box", cmd.Number("width").After("BYBOX"), cmd.Number("height"), unit))
		around   = slices.Concat(at, circle, shown, []cmd.Arg{count, order})
		aroundIt = slices.Concat([]cmd.Arg{member}, circle, shown, []cmd.Arg{count, order})
	)
	const (
		each = "O(log(N)) with the size of the set, for each member"
		near = "O(log(N)+M) with the size of the set and the number of members in the cells around"
	)
	store := row("geosearchstore", -8, grow, "6.2.0", geoSearchStore, nil, "Stores the places within a circle or a box as another set.", near)
	store.Args = []cmd.Arg{cmd.Key("destination"), cmd.Key("source"), from, by, order, count, cmd.Token("storedist", "STOREDIST").Opt()}
	store.Keys = cmd.Two
	store.KeySpecs = []cmd.KeySpec{cmd.Use(cmd.One, write...), cmd.Use(cmd.KeyRange{First: 2, Last: 2, Step: 1}, access...)}
	return []cmd.Spec{
		row("geoadd", -5, grow, "3.2.0", geoAdd, []string{"RW", "update"}, "Adds places, or moves them.", each,
			cmd.OneOf("condition", cmd.Token("nx", "NX"), cmd.Token("xx", "XX")).Opt(), cmd.Token("change", "CH").Opt(), cmd.Block("data", append(slices.Clone(at), member)...).Many()),
		row("geopos", -2, cmd.ReadOnly, "3.2.0", geoPos, access, "Answers where places are.", each, member.Opt().Many()),
		row("geohash", -2, cmd.ReadOnly, "3.2.0", geoHash, access, "Answers places as standard geohashes.", each, member.Opt().Many()),
		row("geodist", -4, cmd.ReadOnly, "3.2.0", geoDist, access, "Answers how far two places are from each other.", each, cmd.Text("member1"), cmd.Text("member2"), unit.Opt()),
		row("geosearch", -7, cmd.ReadOnly, "6.2.0", geoSearch, access, "Answers the places within a circle or a box.", near, slices.Concat([]cmd.Arg{from, by, order, count}, shown)...),
		store,
		storing(row("georadius", -6, grow, "3.2.0", geoRadius, access, "Answers, or stores, the places around a point.", near, around...)),
		row("georadius_ro", -6, cmd.ReadOnly, "3.2.10", geoRadiusRO, access, "Answers the places around a point.", near, around...),
		storing(row("georadiusbymember", -5, grow, "3.2.0", geoRadiusByMember, access, "Answers, or stores, the places around another.", near, aroundIt...)),
		row("georadiusbymember_ro", -5, cmd.ReadOnly, "3.2.10", geoRadiusByMemberRO, access, "Answers the places around another.", near, aroundIt...),
	}
}
