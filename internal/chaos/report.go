package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Verdicts.
const (
	VerdictOK        = "ok"
	VerdictViolation = "violation"
)

// Violation is something that must not be.
type Violation struct {
	Workload   string   `json:"workload,omitempty"`
	Chapter    int      `json:"chapter"`
	What       string   `json:"what"`
	History    string   `json:"history,omitempty"` // the file that it is kept in
	Operations []string `json:"operations,omitempty"`
}

// Operations counts what the clients did.
type Operations struct {
	Done         int64 `json:"done"`
	Refused      int64 `json:"refused"`
	Unknown      int64 `json:"unknown"`
	Checked      int64 `json:"checked"`
	Inconclusive int64 `json:"inconclusive_keys"` // whose search for an order took too long
}

// Report is the outcome of a run.
type Report struct {
	Verdict    string            `json:"verdict"`
	Seed       uint64            `json:"seed"`
	Nodes      int               `json:"nodes"`
	Workloads  []string          `json:"workloads"`
	Begun      time.Time         `json:"begun"`
	Elapsed    float64           `json:"elapsed_seconds"`
	Operations Operations        `json:"operations"`
	Faults     map[string]int    `json:"faults"`
	Skipped    map[string]string `json:"skipped_faults,omitempty"`
	Gaps       Gaps              `json:"write_gap_after_leader_kill"`
	InOrder    float64           `json:"in_order_after_seconds"` // when the faults had ended
	Violations []Violation       `json:"violations"`
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) {
	total := 0
	for _, n := range r.Faults {
		total += n
	}
	o := &r.Operations
	fmt.Fprintf(w, "%d nodes, seed %d, %.0f s: %d operations checked (%d done, %d refused, %d unknown), %d faults\n",
		r.Nodes, r.Seed, r.Elapsed, o.Checked, o.Done, o.Refused, o.Unknown, total)
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(w, "  %-12s %d\n", name, r.Faults[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(w, "  %-12s skipped: %s\n", name, r.Skipped[name])
	}
	if g := r.Gaps; g.Count > 0 {
		fmt.Fprintf(w, "gap in writes after the kill of a leader, per partition: p50 %.0f ms, p99 %.0f ms, max %.0f ms (%d samples)\n",
			g.P50, g.P99, g.Max, g.Count)
	}
	if r.InOrder > 0 {
		fmt.Fprintf(w, "everything in order %.1f s after the last fault\n", r.InOrder)
	}
	if o.Inconclusive > 0 {
		fmt.Fprintf(w, "%d keys could not be judged: the search took too long\n", o.Inconclusive)
	}
	for _, v := range r.Violations {
		where := ""
		if v.Workload != "" {
			where = fmt.Sprintf("%s, chapter %d: ", v.Workload, v.Chapter)
		}
		fmt.Fprintf(w, "VIOLATION: %s%s\n", where, v.What)
		for _, op := range v.Operations {
			fmt.Fprintf(w, "    %s\n", op)
		}
		if v.History != "" {
			fmt.Fprintf(w, "  kept in %s\n", v.History)
		}
	}
	if len(r.Violations) == 0 {
		fmt.Fprintln(w, "no violation")
	}
}
