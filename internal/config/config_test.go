package config

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, flags map[string]string, environ ...string) *Settings {
	t.Helper()
	s, err := Load(Sources{Flags: flags, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every option reads back what it writes, has its own name and field, and a
// default within its range.
func TestOptions(t *testing.T) {
	names, fields := map[string]bool{}, map[any]bool{}
	var n Node
	for _, o := range Options() {
		if names[o.Name] || fields[o.field(&n)] {
			t.Errorf("%s: name or field is used twice", o.Name)
		}
		names[o.Name], fields[o.field(&n)] = true, true
		if !slices.Contains(Groups(), o.Group) {
			t.Errorf("%s: group %q is not listed", o.Name, o.Group)
		}
		if o.Doc == "" {
			t.Errorf("%s: not described", o.Name)
		}
		if err := o.set(&n, o.Default); err != nil && o.Default != "" {
			t.Errorf("%s: default: %v", o.Name, err)
		}
		if got := o.Text(&n); got != o.Default && o.Default != "" {
			t.Errorf("%s: default %q is shown as %q", o.Name, o.Default, got)
		}
	}
	if err := load(t, nil).Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	n := load(t, nil).Node
	if n.Listen != "127.0.0.1:6379" || n.ClusterListen != Off || n.PeerListen != "127.0.0.1:7379" || n.HTTPListen != "127.0.0.1:8379" {
		t.Errorf("listeners: %+v", n)
	}
	if n.MaxValueSize != 64*MiB || n.MaxKeySize != 64*KiB || n.MaxRequestMemory != 256*MiB || n.MaxConnections != 10000 {
		t.Errorf("limits: %+v", n)
	}
	if n.Partitions != 3 || n.Replicas != 3 || n.DeadAfter != 5*time.Minute || n.LogLevel != slog.LevelInfo {
		t.Errorf("others: %+v", n)
	}
}

func TestPrecedence(t *testing.T) {
	path := file(t, "zone: from-file\nreplicas: 5\n# a comment\nlog-level: debug\njoin:\n  - 127.0.0.1:1\n  - 127.0.0.1:2\ncluster-listen: off\n")
	s := load(t, map[string]string{"config": path, "zone": "from-flag"},
		"COTERIE_ZONE=from-env", "COTERIE_REPLICAS=7", "COTERIE_DATA_DIR=", "PATH=/bin")
	if s.Node.Zone != "from-flag" || s.Node.Replicas != 7 || s.Node.LogLevel != slog.LevelDebug || s.Node.DataDir != "coterie-data" {
		t.Errorf("values: %+v", s.Node)
	}
	if !slices.Equal(s.Node.Join, []string{"127.0.0.1:1", "127.0.0.1:2"}) {
		t.Errorf("join = %q", s.Node.Join)
	}
	for name, want := range map[string]string{
		"zone":           "flag --zone",
		"replicas":       "env COTERIE_REPLICAS",
		"log-level":      "file " + path + ":4",
		"join":           "file " + path + ":5",
		"cluster-listen": "file " + path + ":8",
		"data-dir":       "default",
	} {
		if got := s.Origin(name).String(); got != want {
			t.Errorf("%s comes from %q, want %q", name, got, want)
		}
	}
	// The file's name may come from the environment; the flag beats it.
	if s := load(t, nil, "COTERIE_CONFIG="+path); s.Node.Zone != "from-file" || s.File != path {
		t.Errorf("COTERIE_CONFIG was not read: %+v", s)
	}
	if _, err := Load(Sources{Flags: map[string]string{"config": path}, Environ: []string{"COTERIE_CONFIG=/nowhere"}}); err != nil {
		t.Errorf("--config should beat COTERIE_CONFIG: %v", err)
	}
}

func TestStrayVariables(t *testing.T) {
	s := load(t, nil, "COTERIE_LISEN=x", "COTERIE_SERVICE_HOST=10.0.0.1", "COTERIE_PORT=tcp://10.0.0.1:6379")
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "did you mean COTERIE_LISTEN?") {
		t.Errorf("warnings: %q", s.Warnings)
	}
}

// Errors are one line: the cause, where it stands, the next step.
func TestLoadErrors(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		flags      map[string]string
		env        string
		want       []string
	}{
		{"unknown key", "zone: a\nlisen: x\n", nil, "", []string{":2: there is no setting \"lisen\"", `did you mean "listen"?`}},
		{"other spelling", "max_value_size: 1KiB\n", nil, "", []string{`did you mean "max-value-size"?`}},
		{"far off", "colour: blue\n", nil, "", []string{"`coterie config show` lists"}},
		{"twice", "zone: a\nzone: b\n", nil, "", []string{":2"}},
		{"no mapping", "- a\n", nil, "", []string{":1 is not a list of settings"}},
		{"no YAML", "zone: [a\n", nil, "", []string{"is not YAML"}},
		{"two documents", "zone: a\n---\nzone: b\n", nil, "", []string{"more than one"}},
		{"list for one", "zone: [a, b]\n", nil, "", []string{":1: zone takes one value"}},
		{"bad size", "max-value-size: 64 miles\n", nil, "", []string{`max-value-size "64 miles"`, "not a size", "such as 64MiB"}},
		{"no file", "", map[string]string{"config": "/nowhere/x.yaml"}, "", []string{"/nowhere/x.yaml: no such file", "--config or COTERIE_CONFIG"}},
		{"bad number", "", map[string]string{"replicas": "three"}, "", []string{`replicas "three" (flag --replicas)`, "not a whole number"}},
		{"bad duration", "", nil, "COTERIE_DEAD_AFTER=5", []string{`dead-after "5" (env COTERIE_DEAD_AFTER)`, "such as 500ms"}},
		{"bad choice", "", nil, "COTERIE_LOG_LEVEL=loud", []string{"not one of debug, info, warn, error", "choose one"}},
		{"bad switch", "", map[string]string{"insecure": "maybe"}, "", []string{"neither true nor false"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			flags := map[string]string{}
			if tc.file != "" {
				flags["config"] = file(t, tc.file)
			}
			for k, v := range tc.flags {
				flags[k] = v
			}
			_, err := Load(Sources{Flags: flags, Environ: []string{tc.env}})
			checkError(t, err, tc.want)
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name  string
		flags map[string]string
		want  []string // none: it must pass
	}{
		{"open listener", map[string]string{"listen": "0.0.0.0:6379"}, []string{"listen 0.0.0.0:6379 (flag --listen)", "no authentication", "--insecure"}},
		{"open IPv6", map[string]string{"http-listen": "[::]:8379"}, []string{"http-listen", "--insecure"}},
		{"a host name", map[string]string{"peer-listen": "db1:7379"}, []string{"peer-listen db1:7379", "--insecure"}},
		{"insecure", map[string]string{"listen": "0.0.0.0:6379", "insecure": "true"}, nil},
		{"loopback names", map[string]string{"listen": "localhost:1", "peer-listen": "[::1]:2", "http-listen": "127.9.9.9:3"}, nil},
		{"no port", map[string]string{"listen": "127.0.0.1"}, []string{"missing port", "write HOST:PORT"}},
		{"port name", map[string]string{"listen": "127.0.0.1:redis"}, []string{`"redis" is no port number`}},
		{"port range", map[string]string{"listen": "127.0.0.1:65536"}, []string{`"65536" is no port number`}},
		{"listen off", map[string]string{"listen": "off"}, []string{"listen cannot be off"}},
		{"http off", map[string]string{"http-listen": "off"}, nil},
		{"port clash", map[string]string{"cluster-listen": "127.0.0.1:6379"}, []string{"listen 127.0.0.1:6379 and cluster-listen 127.0.0.1:6379", "port of its own"}},
		{"clash with wildcard", map[string]string{"cluster-listen": "0.0.0.0:6379", "insecure": "true"}, []string{"same port"}},
		{"clash by name", map[string]string{"cluster-listen": "localhost:6379"}, []string{"same port"}},
		{"free ports", map[string]string{"listen": "127.0.0.1:0", "peer-listen": "127.0.0.1:0", "http-listen": "127.0.0.1:0"}, nil},
		{"peer wildcard", map[string]string{"peer-listen": ":7379", "insecure": "true"}, []string{"every interface", "--advertise-peer"}},
		{"peer advertised", map[string]string{"peer-listen": ":7379", "insecure": "true", "advertise-peer": "10.0.0.1:7379"}, nil},
		{"advertise wildcard", map[string]string{"advertise-redis": "0.0.0.0:6379"}, []string{"nobody can dial"}},
		{"join itself", map[string]string{"join": "127.0.0.1:7379"}, []string{"this node's own peer address", "leave out --join"}},
		{"join no address", map[string]string{"join": "127.0.0.1:7380,node1"}, []string{`"node1" is no address`}},
		{"join far from loopback", map[string]string{"join": "10.0.0.1:7379"}, []string{"10.0.0.1:7379 is on another machine", "--peer-listen"}},
		{"join near", map[string]string{"join": "localhost:7380"}, nil},
		{"even replicas", map[string]string{"replicas": "2"}, []string{"replicas 2", "1, 3, 5 or 7"}},
		{"many partitions", map[string]string{"partitions": "1000"}, []string{"out of range", "1 to 256"}},
		{"short duration", map[string]string{"dead-after": "10ms"}, []string{"out of range", "1s to 168h"}},
		{"slow ticks", map[string]string{"tick-interval": "1s"}, []string{"less than 5 times", "at least 5s"}},
		{"value and buffer", map[string]string{"max-value-size": "200MiB"}, []string{"max-output-buffer 128MiB", "never be read"}},
		{"value and memory", map[string]string{"max-value-size": "300MiB", "max-output-buffer": "1GiB"}, []string{"max-request-memory 256MiB", "never be written"}},
		{"key and value", map[string]string{"max-value-size": "1KiB"}, []string{"max-key-size 64KiB is more than"}},
		{"no directory", map[string]string{"data-dir": ""}, []string{"data-dir is empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := load(t, tc.flags).Validate()
			if tc.want == nil {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			checkError(t, err, tc.want)
		})
	}
}

func checkError(t *testing.T, err error, want []string) {
	t.Helper()
	if err == nil {
		t.Fatal("accepted")
	}
	text := err.Error()
	if strings.Contains(text, "\n") || !strings.Contains(text, "; ") {
		t.Errorf("not one line of cause; next step: %q", text)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q lacks %q", text, w)
		}
	}
}

func TestAdvertised(t *testing.T) {
	n := Node{Listen: "0.0.0.0:6379", ClusterListen: Off, PeerListen: ":7379", HTTPListen: "127.0.0.1:8379", AdvertisePeer: "db1:17379"}
	want := Addresses{Redis: "db1:6379", Peer: "db1:17379", HTTP: "127.0.0.1:8379"}
	if got := n.Advertised(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	n.AdvertiseRedis = "public:1"
	if got := n.Advertised().Redis; got != "public:1" {
		t.Errorf("got %q", got)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "4096": 4096, "1b": 1, "64MiB": 64 * MiB, "64 mib": 64 * MiB, "1.5GiB": 3 * GiB / 2,
		"1kb": 1000, "2TB": 2e12, "7tib": 7 * TiB,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q, which reads as %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1e3", "inf", "0x10", "9223372036854775808", "99999999TiB", "1.2.3", "5 apples"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestWrite(t *testing.T) {
	s := load(t, map[string]string{"zone": "a"})
	var table, js, ya bytes.Buffer
	for format, w := range map[string]*bytes.Buffer{"table": &table, "json": &js, "yaml": &ya} {
		if err := s.Write(w, format); err != nil {
			t.Fatal(err)
		}
	}
	if lines := strings.Split(table.String(), "\n"); !strings.HasPrefix(lines[0], "SETTING") || len(lines) != len(Options())+2 {
		t.Errorf("table:\n%s", table.String())
	}
	for line := range strings.Lines(table.String()) {
		if len(line) > 100 {
			t.Errorf("wider than 100 columns: %s", line)
		}
	}
	var list []Shown
	if err := json.Unmarshal(js.Bytes(), &list); err != nil || len(list) != len(Options()) || list[1] != (Shown{"zone", "a", "flag --zone"}) {
		t.Errorf("json: %v %+v", err, list)
	}
	if !strings.Contains(ya.String(), "- name: zone\n  value: a\n  from: flag --zone\n") {
		t.Errorf("yaml:\n%s", ya.String())
	}
}

// The page in docs is the one that the table gives.
func TestDocsAreCurrent(t *testing.T) {
	var want bytes.Buffer
	if err := WriteDocs(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/configuration.md is not current (%v); run: go run ./cmd/coterie config docs > docs/configuration.md", err)
	}
}
