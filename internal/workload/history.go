package workload

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"coterie/internal/resp"
)

// Outcome is what became of a command.
type Outcome uint8

const (
	// Unknown: it may have taken effect, or may yet; also if it never returned.
	Unknown Outcome = iota
	// Done: it ran; Reply is its reply.
	Done
	// Refused: it certainly did not run.
	Refused
)

func (o Outcome) String() string { return [...]string{"unknown", "done", "refused"}[min(o, 2)] }

// Judge tells the outcome from a reply that a client got.
func Judge(reply []byte) Outcome {
	if len(reply) == 0 || reply[0] != '-' {
		return Done
	}
	switch word, _, _ := strings.Cut(string(reply[1:min(len(reply), 32)]), " "); word {
	case "UNKNOWNOUTCOME":
		return Unknown
	case "CLUSTERDOWN", "MISCONF", "TRYAGAIN", "EXECABORT", "CROSSSLOT", "NOSCRIPT":
		return Refused
	}
	return Done
}

// Op is one command of a client, from its call to its return. Times are in
// microseconds.
type Op struct {
	Client
	Command Command
	Call    int64
	Return  int64 // 0: never
	Outcome Outcome
	Reply   []byte // in protocol version 2
	Final   bool   // one of the Final reads
}

// answered says whether the op has a reply that stands.
func (o *Op) answered() bool { return o.Outcome == Done && o.Return != 0 }

// refused says whether it certainly did not run.
func (o *Op) refused() bool { return o.Outcome == Refused && o.Return != 0 }

// end is the latest time at which the op can have taken effect.
func (o *Op) end() int64 {
	if o.answered() {
		return o.Return
	}
	return math.MaxInt64
}

// value is the reply, taken apart.
func (o *Op) value() resp.Value {
	v, _, _ := resp.ParseReply(o.Reply)
	return v
}

// number is an integer reply; ok is false for any other.
func (o *Op) number() (n int64, ok bool) {
	v := o.value()
	return v.Int, v.Kind == ':'
}

func (o *Op) String() string {
	ret := "never"
	if o.Return != 0 {
		ret = fmt.Sprintf("%.6f", float64(o.Return)/1e6)
	}
	return fmt.Sprintf("client %d.%d  %.6f to %s  %s -> %s %q", o.ID, o.Conn, float64(o.Call)/1e6, ret, o.Command, o.Outcome, o.Reply)
}

// opRecord is an Op as a line of a file. The reply is quoted, as it may be no
// valid UTF-8.
type opRecord struct {
	Client  int     `json:"c"`
	Conn    int     `json:"n"`
	Command Command `json:"a"`
	Call    int64   `json:"t"`
	Return  int64   `json:"r,omitempty"`
	Outcome string  `json:"o"`
	Reply   string  `json:"v,omitempty"`
	Final   bool    `json:"final,omitempty"`
}

// AppendOp appends an op as a line of JSON.
func AppendOp(dst []byte, o *Op) []byte {
	r := opRecord{o.ID, o.Conn, o.Command, o.Call, o.Return, o.Outcome.String(), "", o.Final}
	if len(o.Reply) > 0 {
		r.Reply = strconv.QuoteToASCII(string(o.Reply))
	}
	b, _ := json.Marshal(&r) // of strings and numbers: cannot fail
	return append(append(dst, b...), '\n')
}

// ParseOp reads a line that AppendOp made.
func ParseOp(line []byte) (*Op, error) {
	var r opRecord
	if err := json.Unmarshal(line, &r); err != nil {
		return nil, err
	}
	o := &Op{Client: Client{r.Client, r.Conn}, Command: r.Command, Call: r.Call, Return: r.Return, Final: r.Final}
	i := slices.Index([]string{"unknown", "done", "refused"}, r.Outcome)
	if i < 0 || len(o.Command) == 0 {
		return nil, errors.New("an operation without command or outcome")
	}
	o.Outcome = Outcome(i)
	if r.Reply != "" {
		s, err := strconv.Unquote(r.Reply)
		if err != nil {
			return nil, fmt.Errorf("reply %s: %w", r.Reply, err)
		}
		o.Reply = []byte(s)
	}
	return o, nil
}

// History is what the clients of one workload saw in one chapter, in the order
// of the calls; those of one connection in the order in which they were sent.
type History struct {
	Ops []*Op
	// Slack is how far clocks may be apart, µs: the driver's and those of all
	// nodes that led.
	Slack int64
	// Quiet says that nothing at all was written during the Final reads.
	Quiet bool
}

// byKey groups the ops of commands with a key; names come in the order in
// which they first appeared.
func (h *History) byKey() (names []string, groups map[string][]*Op) {
	groups = map[string][]*Op{}
	for _, o := range h.Ops {
		k := o.Command.Key()
		if k == "" {
			continue
		}
		if groups[k] == nil {
			names = append(names, k)
		}
		groups[k] = append(groups[k], o)
	}
	return names, groups
}

// Violation is something that must not be, in words, with the operations that
// show it.
type Violation struct {
	What string
	Ops  []*Op
}

// maxShown bounds how many operations a violation shows: the last ones.
const maxShown = 80

func (v Violation) String() string {
	var b strings.Builder
	b.WriteString(v.What)
	if n := len(v.Ops) - maxShown; n > 0 {
		fmt.Fprintf(&b, "\n    %d earlier operations", n)
	}
	for _, o := range v.Ops[max(0, len(v.Ops)-maxShown):] {
		b.WriteString("\n    " + o.String())
	}
	return b.String()
}

// maxViolations bounds what one report holds: the first is the one to look at.
const maxViolations = 10

// Report is what checkers found.
type Report struct {
	Violations   []Violation
	Checked      int // operations
	Inconclusive int // keys whose search took too long
}

// Violate adds a violation.
func (r *Report) Violate(ops []*Op, format string, args ...any) {
	if len(r.Violations) < maxViolations {
		r.Violations = append(r.Violations, Violation{What: fmt.Sprintf(format, args...), Ops: ops})
	}
}

// Judge lets a kind's checker judge a history.
func (k Kind) Judge(h *History) *Report {
	r := &Report{Checked: len(h.Ops)}
	k.Check(h, r)
	return r
}
