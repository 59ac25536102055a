package redistest

import (
	"coterie/internal/resp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Alike says whether two replies are the same, but for the order where none
// is promised, and for what time and chance do.
func Alike(args []string, want, got []byte) bool {
	if string(want) == string(got) {
		return true
	}
	if name := strings.ToLower(args[0]); len(args) == 4 && (name == "zrank" || name == "zrevrank") {
		return true // WITHSCORE came with 7.2
	}
	a, _, errA := resp.ParseReply(want)
	b, _, errB := resp.ParseReply(got)
	if name := strings.ToLower(args[0]); name == "blmove" || name == "brpoplpush" { // there, it did wait
		return a.Null && b.Null
	}
	if late := "-ERR timeout is "; strings.HasPrefix(string(want), late) && strings.HasPrefix(string(got), late) {
		return true // it tells what is no timeout apart in another way, version by version
	}
	if errA != nil || errB != nil || a.Kind != b.Kind {
		return false
	}
	switch name := strings.ToLower(args[0]); name {
	case "xinfo":
		return infoText(a) == infoText(b)
	case "xpending":
		return samePending(a, b)
	case "geodist", "geosearch", "georadius", "georadiusbymember", "georadius_ro", "georadiusbymember_ro":
		if len(args) > 5 && hasWord(args, "any") {
			return len(a.Elems) == len(b.Elems)
		}
		return sameElements(near(a), near(b), 1)
	case "zscan":
		return len(a.Elems) == 2 && len(b.Elems) == 2 && (args[2] != "0" ||
			string(a.Elems[0].Str) != "0" || string(b.Elems[0].Str) != "0" || sameElements(numbers(a.Elems[1]), numbers(b.Elems[1]), 2))
	case "zrandmember":
		if len(args) == 2 || args[2] != "1000" {
			return len(a.Elems) == len(b.Elems)
		}
		if len(args) == 4 && len(a.Elems) > 0 && len(a.Elems[0].Elems) == 0 {
			return sameElements(numbers(a), numbers(b), 2)
		}
		return sameElements(numbers(a), numbers(b), 1)
	case "hgetall":
		return sameElements(a, b, 2)
	case "hkeys", "hvals", "keys", "smembers", "sinter", "sunion", "sdiff", "spop":
		return sameElements(a, b, 1)
	case "hscan", "sscan":
		n := 2
		if name == "sscan" {
			n = 1
		}
		return len(a.Elems) == 2 && len(b.Elems) == 2 && (args[2] != "0" ||
			string(a.Elems[0].Str) != "0" || string(b.Elems[0].Str) != "0" || sameElements(a.Elems[1], b.Elems[1], n))
	case "hrandfield", "srandmember":
		if len(args) == 2 || args[2] != "1000" {
			return len(a.Elems) == len(b.Elems)
		}
		if len(args) == 4 && len(a.Elems) > 0 && len(a.Elems[0].Elems) == 0 {
			return sameElements(a, b, 2)
		}
		return sameElements(a, b, 1)
	case "ttl", "pttl", "expiretime", "pexpiretime":
		return a.Int > 0 && b.Int > 0 && max(a.Int-b.Int, b.Int-a.Int) < 3000
	case "expire", "pexpire": // LT and GT compare moments that differ by what a command takes
		return len(args) > 3 && a.Int >= 0 && b.Int >= 0
	case "dbsize": // there, a key set to a time in the past counts until it is met
		return a.Int >= b.Int && a.Int-b.Int < 4
	case "object":
		return a.Int > 0 && b.Int >= 0
	}
	if len(args) > 1 && args[1] == "geodist" {
		return fmt.Sprint(near(a)) == fmt.Sprint(near(b))
	}
	return (args[0][0] == 'z' || args[0][0] == 'Z') && fmt.Sprint(numbers(a)) == fmt.Sprint(numbers(b))
}

// numbers is a reply with its numbers in one form: that of Redis 7.0 has more
// digits than 7.2's.
func numbers(v resp.Value) resp.Value {
	if f, err := strconv.ParseFloat(string(v.Str), 64); err == nil || v.Kind == ',' {
		if v.Kind == ',' {
			f = v.Float
		}
		v.Str, v.Float = strconv.AppendFloat(nil, f+0, 'g', -1, 64), 0 // and -0 as 0
	}
	elems := v.Elems
	v.Elems = nil
	for _, e := range elems {
		v.Elems = append(v.Elems, numbers(e))
	}
	return v
}

// near is a reply with distances rounded, which the last bit of a sine may
// change; places at one distance come in any order.
func near(v resp.Value) resp.Value {
	if f, err := strconv.ParseFloat(string(v.Str), 64); err == nil && strings.Contains(string(v.Str), ".") || v.Kind == ',' {
		if v.Kind == ',' {
			f = v.Float
		}
		v.Str, v.Float = strconv.AppendFloat(nil, f, 'g', 9, 64), 0
	}
	elems := v.Elems
	v.Elems = nil
	for _, e := range elems {
		v.Elems = append(v.Elems, near(e))
	}
	return v
}

func hasWord(args []string, word string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, word) })
}

// sameElements compares arrays as sets of groups of n elements.
func sameElements(a, b resp.Value, n int) bool {
	groups := func(v resp.Value) (list []string) {
		for i := 0; i+n <= len(v.Elems); i += n {
			list = append(list, fmt.Sprintf("%v", v.Elems[i:i+n]))
		}
		sort.Strings(list)
		return list
	}
	return fmt.Sprint(groups(a)) == fmt.Sprint(groups(b))
}

// infoText is a reply of XINFO as text, without what differs between versions
// and times.
func infoText(v resp.Value) string {
	if len(v.Elems) == 0 {
		if v.Kind == ':' && v.Int > 1e9 {
			return "time"
		}
		return fmt.Sprint(v)
	}
	var list []string
	for i := 0; i < len(v.Elems); i++ {
		switch string(v.Elems[i].Str) {
		case "inactive", "active-time": // later than the server to compare with
			i++
			continue
		case "radix-tree-keys", "radix-tree-nodes", "idle", "seen-time":
			i++
			continue
		}
		list = append(list, infoText(v.Elems[i]))
	}
	return fmt.Sprintf("(%s)", strings.Join(list, " "))
}

// maxIdle is how much longer an entry may have been idle at one of two servers,
// in milliseconds.
const maxIdle = 20_000

// samePending compares replies of XPENDING, with idle times that are near each
// other.
func samePending(a, b resp.Value) bool {
	if len(a.Elems) == len(b.Elems) {
		for i, x := range a.Elems {
			y := b.Elems[i]
			if len(x.Elems) != 4 || len(y.Elems) != 4 {
				continue
			}
			p, q := &x.Elems[2], &y.Elems[2]
			if least, most := min(p.Int, q.Int), max(p.Int, q.Int); most < least+maxIdle || least > 1e9 {
				p.Int, q.Int = 0, 0
			}
		}
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}
