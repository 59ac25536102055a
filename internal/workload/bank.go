package workload

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"

	"coterie/internal/resp"
)

// bank is accounts between which amounts are moved. They begin at nothing and
// may be overdrawn, so that their total is nothing at all times.
type bank struct {
	noSetup
	noReturned
	cfg  Config
	done bool
}

func newBank(cfg Config) Workload { return &bank{cfg: cfg} }

// moreAccounts is how many accounts there are beside Config.Keys.
const moreAccounts = 3

// maxAmount is the largest amount of one transfer: small, so that few sums
// are possible.
const maxAmount = 50

func (w *bank) account(i int) string { return fmt.Sprintf("%s:a%d", w.cfg.tagged(""), i) }

func (w *bank) audit() Command {
	var cmds []Command
	for i := range w.cfg.Keys + moreAccounts {
		cmds = append(cmds, Command{"GET", w.account(i)})
	}
	return Multi(nil, cmds...)
}

// cutEvery is how many audits there are to one in a consistent cut.
const cutEvery = 8

// cut is an audit in a consistent cut.
func (w *bank) cut() Command {
	c := Command{"COTERIE", "CUTGET"}
	for i := range w.cfg.Keys + moreAccounts {
		c = append(c, w.account(i))
	}
	return c
}

// Next implements Workload.
func (w *bank) Next(c Client) Command {
	if c.reads() || w.cfg.Rand.IntN(100) < 25 {
		if w.cfg.Cuts && w.cfg.Rand.IntN(cutEvery) == 0 {
			return w.cut()
		}
		return w.audit()
	}
	n := w.cfg.Keys + moreAccounts
	from := w.cfg.Rand.IntN(n)
	to := (from + 1 + w.cfg.Rand.IntN(n-1)) % n
	a, b, x := w.account(from), w.account(to), strconv.Itoa(1+w.cfg.Rand.IntN(maxAmount))
	return Multi(nil, Command{"DECRBY", a, x}, Command{"INCRBY", b, x}, Command{"GET", a}, Command{"GET", b})
}

// Final implements Workload.
func (w *bank) Final() []Command {
	if w.done {
		return nil
	}
	w.done = true
	return []Command{w.audit()}
}

// change is what a transfer did to an account, or may have done.
type change struct {
	op *Op
	by int64
}

// account is what is known of one.
type account struct {
	certain  []change // by the time of their return
	possible []change // the certain ones and those with an unknown outcome, by the time of their call
	// Sums of the first so many of each: of all, of those that give, and of
	// those that take.
	sum, gave, took     []int64
	mayGive, mayTakeOff []int64
}

// checkBank: the total is nothing in every audit, each balance is what
// the transfers before it can have made of it, and at the end exactly that.
func checkBank(h *History, r *Report) {
	txns := transactions(h, r)
	accounts := map[string]*account{}
	at := func(key string) *account {
		if accounts[key] == nil {
			accounts[key] = &account{}
		}
		return accounts[key]
	}
	for _, t := range txns {
		if t.void || t.cmds[0][0] != "DECRBY" {
			continue
		}
		for _, c := range t.cmds[:2] {
			by, _ := strconv.ParseInt(c[2], 10, 64)
			if c[0] == "DECRBY" {
				by = -by
			}
			a := at(c[1])
			if a.possible = append(a.possible, change{t.op, by}); t.op.answered() {
				a.certain = append(a.certain, change{t.op, by})
			}
		}
	}
	for _, a := range accounts {
		a.prepare()
	}
	for _, t := range txns {
		switch {
		case t.replies == nil:
		case t.cmds[0][0] == "DECRBY":
			checkTransfer(t, r)
		default:
			checkAudit(t, at, r)
		}
	}
}

func (a *account) prepare() {
	slices.SortStableFunc(a.certain, func(x, y change) int { return cmp.Compare(x.op.Return, y.op.Return) })
	slices.SortStableFunc(a.possible, func(x, y change) int { return cmp.Compare(x.op.Call, y.op.Call) })
	a.sum, a.gave, a.took = []int64{0}, []int64{0}, []int64{0}
	a.mayGive, a.mayTakeOff = []int64{0}, []int64{0}
	for i, c := range a.certain {
		a.sum = append(a.sum, a.sum[i]+c.by)
		a.gave, a.took = append(a.gave, a.gave[i]+max(c.by, 0)), append(a.took, a.took[i]+min(c.by, 0))
	}
	for i, c := range a.possible {
		a.mayGive = append(a.mayGive, a.mayGive[i]+max(c.by, 0))
		a.mayTakeOff = append(a.mayTakeOff, a.mayTakeOff[i]+min(c.by, 0))
	}
}

// bounds are the least and the most that a balance can be in an audit.
func (a *account) bounds(o *Op) (least, most int64) {
	before := sort.Search(len(a.certain), func(i int) bool { return a.certain[i].op.Return >= o.Call })
	begun := sort.Search(len(a.possible), func(i int) bool { return a.possible[i].op.Call > o.Return })
	return a.sum[before] + a.mayTakeOff[begun] - a.took[before], a.sum[before] + a.mayGive[begun] - a.gave[before]
}

// explains says whether a balance is what some of the transfers whose outcome
// is open make of the sum of the certain ones, when all are over.
func (a *account) explains(balance int64) bool {
	sums := map[int64]bool{0: true}
	for _, c := range a.possible {
		if c.op.answered() {
			continue
		}
		for _, s := range slices.Collect(maps.Keys(sums)) {
			sums[s+c.by] = true
		}
	}
	return sums[balance-a.sum[len(a.certain)]]
}

// balance is the answer to GET.
func balance(v resp.Value) (n int64, ok bool) {
	if v.Null {
		return 0, true
	}
	n, err := strconv.ParseInt(v.Text(), 10, 64)
	return n, err == nil && v.Kind == '$'
}

// checkTransfer: what a transfer reads is what it wrote.
func checkTransfer(t *txn, r *Report) {
	for i := range 2 {
		n, ok := balance(t.replies[i+2])
		if v := t.replies[i]; v.Kind != ':' || !ok || n != v.Int {
			r.Violate([]*Op{t.op}, "account %s: a transfer does not read what it wrote itself", t.cmds[i][1])
		}
	}
}

func checkAudit(t *txn, at func(string) *account, r *Report) {
	total := int64(0)
	for i, c := range t.cmds {
		n, ok := balance(t.replies[i])
		if !ok {
			r.Violate([]*Op{t.op}, "account %s: an unexpected answer", c[1])
			return
		}
		total += n
		a := at(c[1])
		if a.sum == nil {
			a.prepare()
		}
		if least, most := a.bounds(t.op); n < least || n > most {
			r.Violate([]*Op{t.op}, "account %s: %d, but the transfers until then make it %d at least and %d at most", c[1], n, least, most)
		} else if t.op.Final && !a.explains(n) {
			r.Violate(append(a.open(), t.op), "account %s: %d at the end, but the transfers make it %d, and those with an unknown outcome do not explain the difference",
				c[1], n, a.sum[len(a.certain)])
		}
	}
	if total != 0 {
		r.Violate([]*Op{t.op}, "the total is %d in an audit; nothing was ever paid in", total)
	}
}

// open are the transfers with an unknown outcome.
func (a *account) open() (ops []*Op) {
	for _, c := range a.possible {
		if !c.op.answered() {
			ops = append(ops, c.op)
		}
	}
	return ops
}
