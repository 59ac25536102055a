package workload

import (
	"slices"
	"strings"
)

// pot runs a command on sets, lists and sorted sets whose members are their
// scores: words with blanks between.
func (s *server) pot(c Command) string {
	k := c.Key()
	words := func(k string) []string { return strings.Fields(s.keys[k].state) }
	put := func(k string, words []string) {
		if s.keys[k] = (held{state: strings.Join(words, " ")}); len(words) == 0 {
			delete(s.keys, k)
		}
	}
	switch c[0] {
	case "SADD", "ZADD":
		if slices.Contains(words(k), c[len(c)-1]) {
			return intReply(0)
		}
		put(k, append(words(k), c[len(c)-1]))
		return intReply(1)
	case "SCARD", "ZCARD":
		return intReply(len(words(k)))
	case "SMEMBERS":
		return arrayReply(words(k))
	case "ZRANGE":
		var scored []string
		all := words(k)
		slices.SortFunc(all, func(a, b string) int { return millisOf(a) - millisOf(b) })
		for _, x := range all {
			scored = append(scored, x, x)
		}
		return arrayReply(scored)
	case "SMOVE":
		from := words(k)
		i := slices.Index(from, c[3])
		if i < 0 {
			return intReply(0)
		}
		put(k, slices.Delete(from, i, i+1))
		put(c[2], append(words(c[2]), c[3]))
		return intReply(1)
	case "LMOVE", "RPOPLPUSH":
		from := words(k)
		if len(from) == 0 {
			return nilReply
		}
		at := 0
		if c[0] == "RPOPLPUSH" || c[3] == "RIGHT" {
			at = len(from) - 1
		}
		moved := from[at]
		put(k, slices.Delete(from, at, at+1))
		if c[0] == "LMOVE" && c[4] == "RIGHT" {
			put(c[2], append(words(c[2]), moved))
		} else {
			put(c[2], append([]string{moved}, words(c[2])...))
		}
		return bulkReply(moved)
	case "RENAMENX":
		if len(words(k)) == 0 {
			return "-ERR no such key\r\n"
		}
		if len(words(c[2])) > 0 {
			return intReply(0)
		}
		all := words(k)
		put(k, nil)
		put(c[2], all)
		return intReply(1)
	}
	sources := c[2:]
	if c[0] == "ZUNIONSTORE" {
		sources = c[3:5]
	}
	var all []string
	for _, k := range sources {
		for _, x := range words(k) {
			if !slices.Contains(all, x) {
				all = append(all, x)
			}
		}
	}
	put(k, all)
	return intReply(len(all))
}

func millisOf(s string) int { return int(millis(s) / 1000) }
