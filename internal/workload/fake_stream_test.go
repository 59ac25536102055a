package workload

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fakeStream is a stream of the fake server, and its group.
type fakeStream struct {
	Last    int
	Entries [][2]string // id, value
	Given   int         // of the entries
	Waiting []string    // ids
}

// stream runs a command on streams. Ids are numbers.
func (s *server) stream(c Command) string {
	k := c.Key()
	var x fakeStream
	h, exists := s.keys[k]
	if exists {
		if err := json.Unmarshal([]byte(h.state), &x); err != nil {
			return "-ERR " + err.Error() + "\r\n"
		}
	}
	reply := x.run(c, exists, s)
	if exists || c[0] == "XGROUP" {
		b, _ := json.Marshal(x)
		s.keys[k] = held{state: string(b)}
	}
	return reply
}

func (x *fakeStream) run(c Command, exists bool, s *server) string {
	switch c[0] {
	case "XGROUP":
		if exists {
			return "-BUSYGROUP\r\n"
		}
		return okReply
	case "XADD":
		x.Last++
		x.Entries = append(x.Entries, [2]string{fmt.Sprintf("%d-0", x.Last), c[4]})
		if s.flaw == disorders && s.odd() && x.Last > 1 {
			x.Last -= 2
		}
		return bulkReply(x.Entries[len(x.Entries)-1][0])
	case "XACK":
		i := slices.Index(x.Waiting, c[3])
		if i < 0 {
			return intReply(0)
		}
		x.Waiting = slices.Delete(x.Waiting, i, i+1)
		return intReply(1)
	case "XRANGE":
		return shown(x.Entries)
	case "XPENDING":
		reply := fmt.Sprintf("*%d\r\n", len(x.Waiting))
		for _, id := range x.Waiting {
			reply += "*4\r\n" + bulkReply(id) + bulkReply("c1") + intReply(1) + intReply(1)
		}
		return reply
	case "XAUTOCLAIM":
		return "*3\r\n" + bulkReply("0-0") + shown(x.of(x.Waiting)) + "*0\r\n"
	}
	given := x.of(x.Waiting)
	if c[len(c)-1] == ">" {
		n := len(x.Entries) - x.Given
		if i := slices.Index(c, "COUNT"); i > 0 {
			count, _ := strconv.Atoi(c[i+1])
			n = min(n, count)
		}
		if n == 0 {
			return "*-1\r\n"
		}
		given = x.Entries[x.Given : x.Given+n]
		for _, e := range given {
			x.Waiting = append(x.Waiting, e[0])
		}
		if x.Given += n; s.flaw == skips && s.odd() {
			x.Waiting = x.Waiting[:len(x.Waiting)-1]
		}
	}
	return "*1\r\n*2\r\n" + bulkReply(c.Key()) + shown(given)
}

func (x *fakeStream) of(ids []string) (all [][2]string) {
	for _, e := range x.Entries {
		if slices.Contains(ids, e[0]) {
			all = append(all, e)
		}
	}
	return all
}

func shown(entries [][2]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(entries))
	for _, e := range entries {
		b.WriteString("*2\r\n" + bulkReply(e[0]) + "*2\r\n" + bulkReply("v") + bulkReply(e[1]))
	}
	return b.String()
}
