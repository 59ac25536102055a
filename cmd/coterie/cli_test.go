package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coterie/internal/config"
	"coterie/internal/status"
	"coterie/internal/version"
)

// runAsProgram makes the test binary be the program: tests start processes
// that behave as an installed coterie does.
const runAsProgram = "TEST_RUN_AS_COTERIE"

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// coterie is the program with arguments, in an empty directory.
func coterie(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{runAsProgram + "=1", "PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir(),
		"GORACE=atexit_sleep_ms=0"} // else a race-detecting process lingers for a second
	return cmd
}

type result struct {
	code     int
	out, err string
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// A mistake gives one line with cause and next step, and touches nothing.
func TestMistakes(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("zone: a\nlisten_port: 6379\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for _, tc := range []struct {
		args string
		env  string
		code int
		want []string
	}{
		{"stat", "", exitUsage, []string{`no command "stat"; did you mean start or status?`}},
		{"frobnicate --x", "", exitUsage, []string{`no command "frobnicate"; `, "--help"}},
		{"config shw", "", exitUsage, []string{`coterie config has no command "shw"; it has show`}},
		{"start --lisen 127.0.0.1:1", "", exitUsage, []string{"no flag --lisen; did you mean --listen?"}},
		{"start --frobnicate", "", exitUsage, []string{"no flag --frobnicate; `coterie start --help` lists them"}},
		{"start now", "", exitUsage, []string{`takes no argument such as "now"`}},
		{"start --listen", "", exitUsage, []string{"flag needs an argument: --listen; see"}},
		{"start --listen 0.0.0.0:6379", "", exitUsage, []string{"(flag --listen)", "no authentication", "--insecure"}},
		{"start", "COTERIE_HTTP_LISTEN=0.0.0.0:1", exitUsage, []string{"(env COTERIE_HTTP_LISTEN)", "--insecure"}},
		{"start --max-value-size 64miles", "", exitUsage, []string{"not a size; write"}},
		{"start --config " + bad, "", exitUsage, []string{`bad.yaml:2: there is no setting "listen_port"`}},
		{"start --config nowhere.yaml", "", exitUsage, []string{"nowhere.yaml: no such file"}},
		{"start --join 127.0.0.1:7379", "", exitUsage, []string{"own peer address"}},
		{"config show --replicas 4", "", exitUsage, []string{"replicas 4 (flag --replicas) is even"}},
		{"version -o xml", "", exitUsage, []string{"choose text, json"}},
		{"demo 3", "", exitUsage, []string{`no argument such as "3"`}},
		{"demo --nodes many", "", exitUsage, []string{"--nodes", "see `coterie demo --help`"}},
		{"demo --nodes 1000", "", exitError, []string{"--nodes 1000 is out of range"}},
		{"status --watch 1ms", "", exitUsage, []string{"--watch 1ms is too short"}},
		{"status --http " + closed.Addr().String(), "", exitError, []string{"nothing listens at " + closed.Addr().String()}},
	} {
		t.Run(tc.args, func(t *testing.T) {
			cmd := coterie(t, strings.Fields(tc.args)...)
			cmd.Env = append(cmd.Env, tc.env)
			r := finish(t, cmd)
			lines := strings.Split(strings.TrimSuffix(r.err, "\n"), "\n")
			if r.code != tc.code || len(lines) != 1 || !strings.HasPrefix(lines[0], "coterie: ") {
				t.Errorf("code %d, want %d and one line:\n%s", r.code, tc.code, r.err)
			}
			for _, w := range tc.want {
				if !strings.Contains(r.err, w) {
					t.Errorf("%q lacks %q", r.err, w)
				}
			}
			if left, _ := os.ReadDir(cmd.Dir); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

func TestConfigShow(t *testing.T) {
	cmd := coterie(t, "config", "show", "--config", "node.yaml", "--zone", "from-flag", "--join", "127.0.0.1:1", "--join", "127.0.0.1:2", "--insecure", "-o", "json")
	cmd.Env = append(cmd.Env, "COTERIE_ZONE=from-env", "COTERIE_REPLICAS=5", "COTERIE_LISTN=x")
	if err := os.WriteFile(filepath.Join(cmd.Dir, "node.yaml"), []byte("replicas: 7\n\ncache-size: 1 GiB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := finish(t, cmd)
	if r.code != 0 || !strings.Contains(r.err, "did you mean COTERIE_LISTEN?") {
		t.Errorf("code %d: %s", r.code, r.err)
	}
	var list []config.Shown
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]config.Shown{}
	for _, s := range list {
		got[s.Name] = s
	}
	for _, want := range []config.Shown{
		{Name: "zone", Value: "from-flag", From: "flag --zone"},
		{Name: "replicas", Value: "5", From: "env COTERIE_REPLICAS"},
		{Name: "cache-size", Value: "1GiB", From: "file node.yaml:3"},
		{Name: "join", Value: "127.0.0.1:1,127.0.0.1:2", From: "flag --join"},
		{Name: "insecure", Value: "true", From: "flag --insecure"},
		{Name: "data-dir", Value: "coterie-data", From: "default"},
	} {
		if got[want.Name] != want {
			t.Errorf("got %+v, want %+v", got[want.Name], want)
		}
	}
	if r := finish(t, coterie(t, "config", "show")); !strings.HasPrefix(r.out, "SETTING ") || r.code != 0 {
		t.Errorf("table: %d\n%s", r.code, r.out)
	}
	if r := finish(t, coterie(t, "config", "docs")); !strings.HasPrefix(r.out, "# Configuration") {
		t.Errorf("docs: %s", r.out)
	}
}

func TestVersion(t *testing.T) {
	if r := finish(t, coterie(t, "version")); r.code != 0 || !strings.HasPrefix(r.out, "coterie ") || strings.Count(r.out, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	var v version.Info
	if r := finish(t, coterie(t, "version", "-o", "json")); json.Unmarshal([]byte(r.out), &v) != nil || v.Go == "" || v.Version == "" {
		t.Errorf("%+v", r)
	}
}

// Every command explains itself within about 100 columns; completion knows words.
func TestHelp(t *testing.T) {
	for _, args := range []string{"", "start", "demo", "status", "bench", "config", "config show", "version", "completion"} {
		r := finish(t, coterie(t, append(strings.Fields(args), "--help")...))
		if r.code != 0 || r.err != "" || !strings.Contains(r.out, "Usage:") {
			t.Errorf("%s --help: %+v", args, r)
		}
		for line := range strings.Lines(r.out) {
			if len([]rune(line)) > 104 && args != "completion" {
				t.Errorf("%s --help: too wide: %s", args, line)
			}
		}
	}
	start := finish(t, coterie(t, "start", "--help")).out
	for _, o := range config.Options() {
		if !strings.Contains(start, "--"+o.Name) {
			t.Errorf("start --help lacks --%s", o.Name)
		}
	}
	if r := finish(t, coterie(t, "completion", "bash")); r.code != 0 || len(r.out) < 1000 {
		t.Errorf("completion bash: %d, %d bytes", r.code, len(r.out))
	}
	if r := finish(t, coterie(t, "__complete", "start", "--log-level", "")); !strings.Contains(r.out, "debug\n") {
		t.Errorf("completion of --log-level: %q", r.out)
	}
}

func TestStatus(t *testing.T) {
	c := status.Cluster{ID: "abc", Version: "1.2.3", AnsweredBy: 1, Nodes: []status.Node{{ID: 1, State: status.NodeAlive, Redis: "127.0.0.1:6379"}}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(c) }))
	defer srv.Close()
	addr := strings.TrimPrefix(srv.URL, "http://")
	if r := finish(t, coterie(t, "status", "--http", addr)); r.code != 0 || !strings.Contains(r.out, "cluster abc") {
		t.Errorf("%+v", r)
	}
	cmd := coterie(t, "status", "-o", "json")
	cmd.Env = append(cmd.Env, "COTERIE_HTTP="+addr)
	var got status.Cluster
	if r := finish(t, cmd); json.Unmarshal([]byte(r.out), &got) != nil || got.ID != "abc" {
		t.Errorf("%+v", r)
	}
	if r := finish(t, coterie(t, "status", "--http", addr, "-o", "yaml")); !strings.Contains(r.out, "cluster_id: abc\n") {
		t.Errorf("%+v", r)
	}
}
