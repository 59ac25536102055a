package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coterie/internal/chaos"
)

// TestChaos: the program's own chaos finds nothing wrong, says so in words, as
// JSON and by its exit code, keeps histories that can be judged again, and
// leaves nothing behind.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	report, kept := filepath.Join(dir, "report.json"), filepath.Join(dir, "history")
	stdout, stderr, code := runBinary(t, 5*time.Minute*slow(), "chaos", "--for", "20s", "--report", report, "--history", kept)
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err, stdout, stderr)
	}
	var r chaos.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s%s", stderr, stdout)
	faults := 0
	for _, n := range r.Faults {
		faults += n
	}
	if code != 0 || r.Verdict != chaos.VerdictOK || r.Operations.Checked < 1000 || faults == 0 || !strings.Contains(stdout, "no violation") {
		t.Errorf("exit code %d, %+v", code, r)
	}
	files, _ := filepath.Glob(filepath.Join(kept, "*.jsonl"))
	if stdout, stderr, code := runBinary(t, patience*slow(), append([]string{"chaos", "check"}, files...)...); code != 0 || len(files) < 6 {
		t.Errorf("%d files judged again: %d\n%s%s", len(files), code, stdout, stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "coterie-chaos-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestChaosRefuses: a cluster that was not made for it is not touched.
func TestChaosRefuses(t *testing.T) {
	n := newNode(t, 1)
	n.start()
	stdout, stderr, code := runBinary(t, patience, "chaos", "--for", "1s", "--data-dir", n.data)
	if code == 0 || !strings.Contains(stderr, "was not made by coterie chaos") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	cl := &client{addr: n.redis}
	defer cl.close()
	if v, err := cl.do("PING"); err != nil || v.Err() != nil {
		t.Error(v, err)
	}
}
