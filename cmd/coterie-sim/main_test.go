package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func simulate(t *testing.T, args ...string) (code int, out, progress string) {
	t.Helper()
	var o, p bytes.Buffer
	code = run(t.Context(), args, &o, &p)
	return code, o.String(), p.String()
}

// TestOneSeed: the last line is the seed and the hash of its history, and the
// same twice.
func TestOneSeed(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	code, out, _ := simulate(t, "--seed", "5", "--duration", "2s", "--trace", trace)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	if code != exitOK || !regexp.MustCompile(`^seed 5 hash [0-9a-f]{16}$`).MatchString(last) {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	_, again, _ := simulate(t, "--seed", "5", "--duration", "2s")
	if !strings.HasSuffix(strings.TrimSpace(again), last) {
		t.Errorf("again, without a trace:\n%s", again)
	}
	if b, err := os.ReadFile(trace); err != nil || bytes.Count(b, []byte("\n")) < 100 {
		t.Errorf("a trace of %d bytes, %v", len(b), err)
	}
}

func TestJSON(t *testing.T) {
	code, out, progress := simulate(t, "--seeds", "3", "--duration", "2s", "--nodes", "3", "--faults", "crash", "-o", "json")
	var r struct {
		Seeds uint64
		Pace  float64 `json:"simulated_seconds_per_second"`
		Stats struct {
			Operations int
			Faults     map[string]int
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK {
		t.Fatalf("exit code %d, %v:\n%s%s", code, err, out, progress)
	}
	if r.Seeds != 3 || r.Pace <= 0 || r.Stats.Operations == 0 || len(r.Stats.Faults) > 1 {
		t.Errorf("%+v", r)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--faults", "earthquake"}, {"--nodes", "8"}, {"--store", "paper"}, {"-o", "xml"}, {"--workload", "idle"}, {"extra"}, {"--nope"},
	} {
		if code, out, progress := simulate(t, args...); code != exitUsage || out != "" || !strings.HasPrefix(progress, "coterie-sim: ") {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, progress)
		}
	}
}

// TestStoppedAtOnce: who stops it before the first run has ended is told so.
func TestStoppedAtOnce(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, args := range [][]string{{"--seed", "5"}, {"--seeds", "3", "--trace", filepath.Join(t.TempDir(), "trace")}, {"--for", "1m", "-o", "json"}} {
		var out, progress bytes.Buffer
		code := run(ctx, args, &out, &progress)
		if code != exitNothing || out.Len() > 0 || !strings.Contains(progress.String(), errNoRun.Error()) {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out.String(), progress.String())
		}
	}
}
