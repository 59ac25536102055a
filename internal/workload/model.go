package workload

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"coterie/internal/resp"
)

// A key's state, in the model, is a string: empty when there is no key, else
// 's' and the value, or 'h' and the fields in order, each as field, 0, value,
// 0. Strings compare fast, and cannot change under the search.

const wrongType = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

const notInteger = "-ERR value is not an integer or out of range\r\n"

func intReply(n int) string     { return ":" + strconv.Itoa(n) + "\r\n" }
func bulkReply(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

const (
	okReply  = "+OK\r\n"
	nilReply = "$-1\r\n"
)

func boolReply(b bool) string {
	if b {
		return ":1\r\n"
	}
	return ":0\r\n"
}

// apply is the model: the state of a key and the reply after a command. It
// knows the commands that workloads with linearizable keys send.
func apply(state string, c Command) (next, reply string) {
	switch {
	case c[0] == "DEL":
		return "", boolReply(state != "")
	case c[0] == "EXISTS":
		return state, boolReply(state != "")
	case c[0] == "SET":
		return applySet(state, c)
	case c[0][0] == 'H':
		if state != "" && state[0] != 'h' {
			return state, wrongType
		}
		return applyHash(state, c)
	case state != "" && state[0] != 's':
		return state, wrongType
	}
	return applyString(state, c)
}

// applySet is SET key value [NX|XX] [GET].
func applySet(state string, c Command) (next, reply string) {
	options := c[3:]
	get := slices.Contains(options, "GET")
	if get && state != "" && state[0] != 's' {
		return state, wrongType
	}
	reply = okReply
	if get {
		reply = readString(state)
	}
	if slices.Contains(options, "NX") && state != "" || slices.Contains(options, "XX") && state == "" {
		if !get {
			reply = nilReply
		}
		return state, reply
	}
	return "s" + c[2], reply
}

func readString(state string) string {
	if state == "" {
		return nilReply
	}
	return bulkReply(state[1:])
}

func applyString(state string, c Command) (next, reply string) {
	value := ""
	if state != "" {
		value = state[1:]
	}
	switch c[0] {
	case "GET", "GETEX":
		return state, readString(state)
	case "GETDEL":
		return "", readString(state)
	case "GETSET":
		return "s" + c[2], readString(state)
	case "SETNX":
		if state != "" {
			return state, boolReply(false)
		}
		return "s" + c[2], boolReply(true)
	case "INCR":
		return add(state, value, 1)
	case "INCRBY":
		n, _ := strconv.ParseInt(c[2], 10, 64)
		return add(state, value, n)
	case "DECRBY":
		n, _ := strconv.ParseInt(c[2], 10, 64)
		return add(state, value, -n)
	case "APPEND":
		value += c[2]
		return "s" + value, intReply(len(value))
	case "SETRANGE":
		at, _ := strconv.Atoi(c[2])
		value += strings.Repeat("\x00", max(0, at-len(value)))
		value = value[:at] + c[3] + value[min(len(value), at+len(c[3])):]
		return "s" + value, intReply(len(value))
	case "STRLEN":
		return state, intReply(len(value))
	case "GETRANGE": // from 0 on, to a last byte counted from 0
		last, _ := strconv.Atoi(c[3])
		return state, bulkReply(value[:min(len(value), last+1)])
	case "SETBIT":
		return setBit(value, c)
	case "GETBIT":
		at, _ := strconv.Atoi(c[2])
		return state, intReply(bit(value, at))
	case "BITCOUNT":
		n := 0
		for i := range len(value) {
			n += bits.OnesCount8(value[i])
		}
		return state, intReply(n)
	}
	panic("workload: the model does not know " + c[0])
}

func add(state, value string, by int64) (next, reply string) {
	n := int64(0)
	if state != "" {
		var err error
		if n, err = strconv.ParseInt(value, 10, 64); err != nil {
			return state, notInteger
		}
	}
	s := strconv.FormatInt(n+by, 10)
	return "s" + s, ":" + s + "\r\n"
}

func bit(value string, at int) int {
	if at/8 >= len(value) {
		return 0
	}
	return int(value[at/8] >> (7 - at%8) & 1)
}

func setBit(value string, c Command) (next, reply string) {
	at, _ := strconv.Atoi(c[2])
	old := bit(value, at)
	b := []byte(value + strings.Repeat("\x00", max(0, at/8+1-len(value))))
	b[at/8] &^= 1 << (7 - at%8)
	if c[3] == "1" {
		b[at/8] |= 1 << (7 - at%8)
	}
	return "s" + string(b), intReply(old)
}

// fields takes a hash's state apart: names and values in turn.
func fields(state string) []string {
	if state == "" {
		return nil
	}
	all := strings.Split(state[1:], "\x00")
	return all[:len(all)-1]
}

func hashState(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	return "h" + strings.Join(fields, "\x00") + "\x00"
}

// place is where a field is, or belongs.
func place(fields []string, name string) (at int, found bool) {
	for at < len(fields) && fields[at] < name {
		at += 2
	}
	return at, at < len(fields) && fields[at] == name
}

// put sets one field.
func put(fs []string, name, value string) (_ []string, isNew bool) {
	at, found := place(fs, name)
	if found {
		fs[at+1] = value
		return fs, false
	}
	return slices.Insert(fs, at, name, value), true
}

func applyHash(state string, c Command) (next, reply string) {
	fs := fields(state)
	switch c[0] {
	case "HGET":
		if at, found := place(fs, c[2]); found {
			return state, bulkReply(fs[at+1])
		}
		return state, nilReply
	case "HEXISTS":
		_, found := place(fs, c[2])
		return state, boolReply(found)
	case "HLEN":
		return state, intReply(len(fs) / 2)
	case "HGETALL":
		return state, arrayReply(fs)
	case "HSET":
		added := 0
		for i := 2; i < len(c); i += 2 {
			var isNew bool
			if fs, isNew = put(fs, c[i], c[i+1]); isNew {
				added++
			}
		}
		return hashState(fs), intReply(added)
	case "HSETNX":
		if _, found := place(fs, c[2]); found {
			return state, boolReply(false)
		}
		fs, _ = put(fs, c[2], c[3])
		return hashState(fs), boolReply(true)
	case "HDEL":
		removed := 0
		for _, name := range c[2:] {
			if at, found := place(fs, name); found {
				fs = slices.Delete(fs, at, at+2)
				removed++
			}
		}
		return hashState(fs), intReply(removed)
	case "HINCRBY":
		n := int64(0)
		if at, found := place(fs, c[2]); found {
			var err error
			if n, err = strconv.ParseInt(fs[at+1], 10, 64); err != nil {
				return state, "-ERR hash value is not an integer\r\n"
			}
		}
		by, _ := strconv.ParseInt(c[3], 10, 64)
		s := strconv.FormatInt(n+by, 10)
		fs, _ = put(fs, c[2], s)
		return hashState(fs), ":" + s + "\r\n"
	}
	panic("workload: the model does not know " + c[0])
}

func arrayReply(items []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(items))
	for _, s := range items {
		b.WriteString(bulkReply(s))
	}
	return b.String()
}

// canonical is a reply as the model gives it: pairs of HGETALL, which come in
// any order, are sorted.
func canonical(o *Op) string {
	if o.Command[0] != "HGETALL" {
		return string(o.Reply)
	}
	v, n, err := resp.ParseReply(o.Reply)
	if err != nil || n != len(o.Reply) || v.Kind != '*' || len(v.Elems)%2 != 0 {
		return string(o.Reply)
	}
	pairs := make([][2]string, len(v.Elems)/2)
	for i := range pairs {
		pairs[i] = [2]string{v.Elems[2*i].Text(), v.Elems[2*i+1].Text()}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	var flat []string
	for _, p := range pairs {
		flat = append(flat, p[0], p[1])
	}
	return arrayReply(flat)
}
