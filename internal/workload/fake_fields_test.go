package workload

import (
	"fmt"
	"strings"
)

// fieldOf is the hash that a command is about; of a transaction that of its first.
func (c Command) fieldOf() string {
	if _, cmds, multi := c.Txn(); multi {
		return cmds[0].Key()
	}
	return c.Key()
}

// field runs a command on a field of a hash as one on the key that it stands for.
func (s *server) field(c Command) string {
	reply := s.single(offField(c))
	switch {
	case c[0] == "HGET":
		return reply
	case c[0] == "MULTI" && len(c) > 2:
		return "*2\r\n:1\r\n*1\r\n:1\r\n"
	case c[0] == "MULTI":
		return "*1\r\n:1\r\n"
	}
	return fmt.Sprintf("*1\r\n%s", strings.Replace(reply, ":0", ":-2", 1))
}
