package script

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"coterie/internal/script/lua"
)

// Flags are what a script declares about itself.
type Flags uint8

const (
	NoWrites Flags = 1 << iota
	AllowOOM
	AllowStale
	NoCluster
	AllowCrossSlot
	// Plain marks a script without a shebang, for which nothing is declared.
	Plain
)

// flagNames are in the order in which FUNCTION LIST shows them.
var flagNames = []struct {
	flag Flags
	name string
}{{NoWrites, "no-writes"}, {AllowOOM, "allow-oom"}, {AllowStale, "allow-stale"}, {NoCluster, "no-cluster"}, {AllowCrossSlot, "allow-cross-slot-keys"}}

func flagNamed(name string) (Flags, bool) {
	for _, f := range flagNames {
		if f.name == name {
			return f.flag, true
		}
	}
	return 0, false
}

// Names are the names of the flags that are set.
func (f Flags) Names() (names []string) {
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// MaxBody bounds, in bytes, one script or library.
const MaxBody = 4 << 20

// ErrTooLarge is the error for longer ones.
const ErrTooLarge = "ERR the script is longer than 4 MiB"

// Script is a compiled script. It is not changed once made.
type Script struct {
	SHA   string // 40 hex digits in lower case
	Body  string
	Flags Flags
	proto *lua.Proto
}

// Bytes is about how much memory the script takes.
func (s *Script) Bytes() int { return len(s.Body) + s.proto.Bytes() }

// SHA1 is a text's digest in hex.
func SHA1(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Compile makes a Script of a body, or says in Redis's words why not.
func Compile(body string) (*Script, string) {
	if len(body) > MaxBody {
		return nil, ErrTooLarge
	}
	flags, code, why := shebang(body)
	if why != "" {
		return nil, "ERR " + why
	}
	p, err := lua.Compile(code, "user_script")
	if err != nil {
		return nil, "ERR Error compiling script (new function): " + err.Error()
	}
	return &Script{SHA: SHA1(body), Body: body, Flags: flags, proto: p}, ""
}

// shebang reads the first line of a script, if it is one. The line end stays in the
// code, so that lines keep their numbers.
func shebang(body string) (flags Flags, code, why string) {
	if !strings.HasPrefix(body, "#!") {
		return Plain, body, ""
	}
	line, _, ok := strings.Cut(body, "\n")
	if !ok {
		return 0, "", "Invalid script shebang"
	}
	code = body[len(line):]
	parts := strings.Fields(line)
	if parts[0] != "#!lua" {
		return 0, "", "Unexpected engine in script shebang: " + parts[0]
	}
	for _, part := range parts[1:] {
		list, ok := strings.CutPrefix(part, "flags=")
		if !ok {
			return 0, "", "Unknown lua shebang option: " + part
		}
		for _, name := range strings.Split(list, ",") {
			f, ok := flagNamed(name)
			if !ok && list != "" {
				return 0, "", "Unexpected flag in script shebang: " + name
			}
			flags |= f
		}
	}
	return flags, code, ""
}
