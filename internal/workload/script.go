package workload

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// scripts is scripts and functions over several keys, some of which they do not
// name: programs, which are transactions with their commands for arguments, and
// tickets, which draw a number from a counter and enter it in a book. Some end in
// the middle with an error, and leave behind what they did until then.
type scripts struct {
	noSetup
	cfg    Config
	lists  *appends
	drawn  int
	books  int             // begun
	loaded map[string]bool // what every node knows, by what it is called by
	done   bool
}

// programBody runs commands, whose words have blanks between, and answers what
// each answered. FAIL ends it.
const programBody = `local out = {}
for i, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do words[#words + 1] = word end
  if words[1] == 'FAIL' then error({err = 'FAILED at ' .. i}) end
  out[i] = redis.call(unpack(words))
end
return out`

// ticketBody draws a number, enters it in a book together with something random,
// and answers what it entered. A hole is a number that is not entered.
const ticketBody = `local n = redis.call('INCR', KEYS[1])
if ARGV[2] == 'hole' then error({err = 'HOLE ' .. n}) end
local line = string.format('%07d%06d,', n, math.random(0, 999999))
if tonumber(redis.call('APPEND', ARGV[1], line)) % 14 ~= 0 then return redis.error_reply('a book with half a line') end
return line`

// bookBody reads a counter and its book.
const bookBody = `return {redis.call('GET', KEYS[1]), redis.call('GET', ARGV[1])}`

const (
	lineSize  = 14 // of a book, with 7 digits for the number
	bookLines = 60 // after so many draws there is another book

	// scriptLibrary has the same as functions.
	scriptLibrary = "#!lua name=wl\n" +
		"redis.register_function('wl_program', function(KEYS, ARGV)\n" + programBody + "\nend)\n" +
		"redis.register_function('wl_ticket', function(KEYS, ARGV)\n" + ticketBody + "\nend)\n" +
		"redis.register_function{function_name='wl_book', flags={'no-writes'}, callback=function(KEYS, ARGV)\n" + bookBody + "\nend}\n"
)

func newScripts(cfg Config) Workload {
	return &scripts{cfg: cfg, lists: newAppends(cfg).(*appends), loaded: map[string]bool{}}
}

func sha(body string) string {
	sum := sha1.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

// call runs a script in one of the ways there are.
func (w *scripts) call(body, function string, reads bool, keys []string, args ...string) Command {
	c := Command{"EVAL", body, strconv.Itoa(len(keys))}
	switch n := w.cfg.Rand.IntN(4); {
	case n == 0 && w.loaded[scriptLibrary]:
		c[0], c[1] = "FCALL", function
	case n == 0:
		return Command{"FUNCTION", "LOAD", scriptLibrary}
	case n == 1 && w.loaded[body]:
		c[0], c[1] = "EVALSHA", sha(body)
	case n == 1 && w.cfg.Rand.IntN(3) == 0:
		return Command{"SCRIPT", "LOAD", body}
	}
	if reads {
		c[0] += "_RO"
	}
	return append(append(c, keys...), args...)
}

func (w *scripts) counter(i int) string { return fmt.Sprintf("%s:c%d", w.cfg.tagged(""), i) }
func (w *scripts) book(i int) string    { return fmt.Sprintf("%s:b%d", w.cfg.tagged(""), i) }

// Next implements Workload.
func (w *scripts) Next(c Client) Command {
	r := w.cfg.Rand
	if r.IntN(2) == 0 {
		return w.program(c)
	}
	i := max(0, w.books-r.IntN(2))
	keys, args := []string{w.counter(i)}, []string{w.book(i)}
	if r.IntN(2) == 0 { // the book is named
		keys = append(keys, w.book(i))
	}
	if c.reads() || r.IntN(3) == 0 {
		return w.call(bookBody, "wl_book", true, keys, args...)
	}
	if w.drawn++; w.drawn%bookLines == 0 {
		w.books++
	}
	if r.IntN(12) == 0 {
		args = append(args, "hole")
	}
	return w.call(ticketBody, "wl_ticket", false, keys, args...)
}

// program is a transaction of the workload append as a program, all, some or none
// of whose keys are named.
func (w *scripts) program(c Client) Command {
	r := w.cfg.Rand
	var lines, keys []string
	all := r.IntN(3) > 0
	reads := true
	for range 1 + r.IntN(4) {
		cmd := w.lists.one(c)
		reads = reads && cmd.Reads()
		if lines = append(lines, cmd.String()); (all || r.IntN(3) == 0) && !slices.Contains(keys, cmd.Key()) {
			keys = append(keys, cmd.Key())
		}
	}
	if r.IntN(8) == 0 {
		lines = slices.Insert(lines, r.IntN(len(lines)+1), "FAIL")
	}
	return w.call(programBody, "wl_program", reads && r.IntN(2) == 0 && !w.loaded[scriptLibrary], keys, lines...)
}

// Returned implements Workload.
func (w *scripts) Returned(o *Op) {
	if loads(o.Command) && o.answered() {
		w.loaded[o.Command[2]] = true
	}
}

// loads says whether a command makes scripts known.
func loads(c Command) bool { return c[0] == "SCRIPT" || c[0] == "FUNCTION" }

// Final implements Workload.
func (w *scripts) Final() (all []Command) {
	if w.done {
		return nil
	}
	w.done = true
	for _, c := range w.lists.Final() {
		all = append(all, append(Command{"EVAL", programBody, "0"}, c[1:]...))
	}
	for i := range w.books + 1 {
		all = append(all, Command{"EVAL_RO", bookBody, "1", w.counter(i), w.book(i)})
	}
	return all
}

// Script takes a command that runs a script apart; ok is false for any other.
func (c Command) Script() (keys, args []string, ok bool) {
	switch c[0] {
	case "EVAL", "EVALSHA", "FCALL", "EVAL_RO", "EVALSHA_RO", "FCALL_RO":
		n, err := strconv.Atoi(c[2])
		if err != nil || n < 0 || 3+n > len(c) {
			return nil, nil, false
		}
		return c[3 : 3+n], c[3+n:], true
	}
	return nil, nil, false
}

// runs says whether a command runs one of the scripts.
func (c Command) runs(body, function string) bool {
	_, _, ok := c.Script()
	return ok && (c[1] == body || c[1] == function || c[1] == sha(body))
}

// program takes apart a script that is a transaction: its commands, until it fails.
func (c Command) program() (cmds []Command, fails, ok bool) {
	if !c.runs(programBody, "wl_program") {
		return nil, false, false
	}
	_, args, _ := c.Script()
	for _, line := range args {
		if line == "FAIL" {
			return cmds, true, true
		}
		cmds = append(cmds, strings.Split(line, " "))
	}
	return cmds, false, true
}

// checkScripts: programs are strictly serializable, see checkAppends; each ticket
// has a number for itself, whose line is in the book once, as it was answered;
// numbers rise, and are missing only where a script failed.
func checkScripts(h *History, r *Report) {
	programs := &History{Slack: h.Slack, Quiet: h.Quiet}
	books := map[string]*bookHistory{}
	var order []*bookHistory
	for _, o := range h.Ops {
		if _, fails, ok := o.Command.program(); ok {
			if v := o.value(); fails && o.answered() && (v.Kind != '-' || !strings.HasPrefix(v.Text(), "FAILED")) {
				r.Violate([]*Op{o}, "a script that fails has an unexpected answer")
			}
			programs.Ops = append(programs.Ops, o)
			continue
		}
		if loads(o.Command) {
			if v := o.value(); o.answered() && v.Kind == '-' && !strings.Contains(v.Text(), "already exists") {
				r.Violate([]*Op{o}, "scripts could not be made known")
			}
			continue
		}
		keys, _, _ := o.Command.Script()
		b := books[keys[0]]
		if b == nil {
			b = &bookHistory{name: keys[0], drawn: map[int]*Op{}, lines: map[int]string{}}
			books[keys[0]], order = b, append(order, b)
		}
		b.note(o, r)
	}
	checkAppends(programs, r)
	for _, b := range order {
		b.check(r)
	}
}

// bookHistory is that of one counter and its book.
type bookHistory struct {
	name  string
	draws []*Op
	drawn map[int]*Op    // by the number that was answered; holes, too
	lines map[int]string // as they were answered; none for holes
	looks []*Op
}

// note takes in what is said of a number.
func (b *bookHistory) note(o *Op, r *Report) {
	if o.Command.runs(bookBody, "wl_book") {
		if o.answered() {
			b.looks = append(b.looks, o)
		}
		return
	}
	if o.refused() {
		return
	}
	b.draws = append(b.draws, o)
	if !o.answered() {
		return
	}
	v, line, n := o.value(), "", 0
	text := v.Text()
	switch hole := o.Command[len(o.Command)-1] == "hole"; {
	case hole && v.Kind == '-' && strings.HasPrefix(text, "HOLE "):
		number, _, _ := strings.Cut(text[len("HOLE "):], " ")
		n, _ = strconv.Atoi(number)
	case !hole && v.Kind == '$' && len(text) == lineSize:
		line = text
		n = lineNumber(line)
	}
	switch before := b.drawn[n]; {
	case n == 0:
		r.Violate([]*Op{o}, "counter %s: an unexpected answer", b.name)
	case before != nil:
		r.Violate([]*Op{before, o}, "counter %s: number %d was drawn twice", b.name, n)
	default:
		b.drawn[n] = o
		if line != "" {
			b.lines[n] = line
		}
	}
}

// lineNumber is the number of a line of a book, or 0.
func lineNumber(line string) int {
	n, err := strconv.Atoi(line[:7])
	if err != nil || line[lineSize-1] != ',' {
		return 0
	}
	return n
}

func (b *bookHistory) check(r *Report) {
	b.checkRising(r)
	for _, o := range b.looks {
		v := o.value()
		if v.Kind != '*' || len(v.Elems) != 2 {
			r.Violate([]*Op{o}, "counter %s: an unexpected answer", b.name)
			return
		}
		count, err := strconv.Atoi(cmp.Or(v.Elems[0].Text(), "0"))
		book := v.Elems[1].Text()
		if err != nil || len(book)%lineSize != 0 {
			r.Violate([]*Op{o}, "counter %s: an unexpected answer", b.name)
			return
		}
		b.checkLook(o, count, book, r)
	}
}

// checkRising: a number that was drawn later is higher.
func (b *bookHistory) checkRising(r *Report) {
	var numbers []int
	for n := range b.drawn {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var last *Op // of those so far the one that was called last
	for _, n := range numbers {
		o := b.drawn[n]
		if last != nil && o.Return < last.Call {
			r.Violate([]*Op{o, last}, "counter %s: number %d was drawn before a lower one", b.name, n)
			return
		}
		if last == nil || o.Call > last.Call {
			last = o
		}
	}
}

// checkLook: a counter has counted what was drawn, each once, and its book has the
// lines of just these numbers.
func (b *bookHistory) checkLook(o *Op, count int, book string, r *Report) {
	least, most := 0, 0
	for _, d := range b.draws {
		if d.answered() && d.Return < o.Call {
			least++
		}
		if d.Call <= o.Return {
			most++
		}
	}
	if count < least || count > most {
		r.Violate(append(slices.Clone(b.draws), o), "counter %s: it stands at %d, but %d numbers at least were drawn, and %d at most", b.name, count, least, most)
		return
	}
	there := map[int]bool{}
	for last := 0; len(book) > 0; book = book[lineSize:] {
		line, n := book[:lineSize], lineNumber(book[:lineSize])
		d := b.drawn[n]
		switch {
		case n <= last:
			r.Violate([]*Op{o}, "book of %s: line %d comes behind line %d", b.name, n, last)
		case n > count:
			r.Violate([]*Op{o}, "book of %s: line %d is there, and the counter stands at %d", b.name, n, count)
		case d != nil && b.lines[n] == "":
			r.Violate([]*Op{d, o}, "book of %s: line %d is there, of a script that failed before it", b.name, n)
		case d != nil && b.lines[n] != line:
			r.Violate([]*Op{d, o}, "book of %s: line %d was answered as %q, and is %q", b.name, n, b.lines[n], line)
		default:
			there[n], last = true, n
			continue
		}
		return
	}
	var missing []*Op
	unknown := 0
	for n := 1; n <= count; n++ {
		switch d := b.drawn[n]; {
		case there[n] || d != nil && b.lines[n] == "":
		case d != nil:
			missing = append(missing, d)
		default:
			unknown++ // a hole of somebody who did not hear of it
		}
	}
	switch holes := b.openHoles(o); {
	case len(missing) > 0:
		r.Violate(append(missing, o), "book of %s: lines are missing whose numbers were drawn", b.name)
	case unknown > holes:
		r.Violate([]*Op{o}, "book of %s: %d lines are missing, and only %d scripts can have failed", b.name, unknown, holes)
	}
}

// openHoles are the draws without a line whose number is not known to be counted
// in a look.
func (b *bookHistory) openHoles(o *Op) (n int) {
	for _, d := range b.draws {
		if !d.answered() && d.Call <= o.Return && d.Command[len(d.Command)-1] == "hole" {
			n++
		}
	}
	return n
}
