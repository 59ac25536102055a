// Package lint holds the rules of the house that a compiler does not know,
// as tests: which package may import which, what the pure core must not
// touch, and that every package says what it is.
package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors is the table that ARCHITECTURE.md shows: a package imports only from
// lower floors. A package of the same floor may be imported only as listed
// in beside.
var floors = [][]string{
	{"base", "resp", "rdb", "env", "status", "version", "config", "command/glob", "command/number", "keyspace/tree", "sim/script", "script/lua"},
	{"kv", "effects", "keys", "wire", "bench", "demo", "httpfront", "workload", "pubsub", "script", "script/libs"},
	{"chaos", "storage/state", "storage/statestore", "storage/memstate", "storage/logstore", "transport", "broker", "keyspace/keyspacetest", "storage/state/statetest", "datatype/redistest"},
	{"overlay"},
	{"partition", "catalog", "keyspace"},
	{"shard", "routing", "placement", "command"},
	{"txn", "cut"},
	{"spanning"},
	{"datatype", "datatype/str", "datatype/bits", "datatype/hash", "datatype/list", "datatype/set", "datatype/hll", "datatype/stream", "datatype/zset", "datatype/geo", "datatype/dump", "datatype/sorting", "datatype/generic", "datatype/scripting", "redisfront"},
	{"node", "sim"},
}

var beside = map[string][]string{
	"effects":                 {"base"},
	"storage/statestore":      {"storage/state"},
	"storage/memstate":        {"storage/state"},
	"storage/state/statetest": {"storage/state"},
	"datatype/redistest":      {"resp"},
	"datatype":                {"datatype/str", "datatype/bits", "datatype/hash", "datatype/list", "datatype/set", "datatype/hll", "datatype/stream", "datatype/zset", "datatype/geo", "datatype/dump", "datatype/sorting", "datatype/generic", "datatype/scripting"},
	"redisfront":              {"datatype", "datatype/scripting"},
	"script":                  {"script/libs"},
	"datatype/zset":           {"datatype/set"},
	"datatype/dump":           {"datatype/hash", "datatype/list", "datatype/set", "datatype/stream", "datatype/zset"},
	"datatype/sorting":        {"datatype/hash", "datatype/list", "datatype/set", "datatype/zset"},
	"datatype/geo":            {"datatype/zset"},
	"datatype/bits":           {"datatype/str"},
	"datatype/generic":        {"datatype/set"},
}

// pure packages do no I/O, read no clock and start no goroutine.
var pure = []string{
	"script/lua", "script/libs", "datatype/scripting",
	"base", "kv", "effects", "keys", "overlay", "partition", "shard", "routing", "txn", "cut", "spanning", "placement", "catalog", "pubsub",
	"keyspace", "keyspace/tree", "command", "datatype", "datatype/str", "datatype/bits", "datatype/hash", "datatype/list", "datatype/set", "datatype/hll", "datatype/stream", "datatype/zset", "datatype/geo", "datatype/dump", "datatype/sorting", "datatype/generic", "resp", "rdb", "wire", "workload",
}

var banned = []string{"os", "net", "time", "math/rand", "math/rand/v2", "crypto/rand", "syscall", "sync", "net/http"}

// sources parses the files of every package below internal that are not tests.
func sources(t *testing.T) map[string][]*ast.File {
	t.Helper()
	pkgs := map[string][]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../"))
		pkgs[name] = append(pkgs[name], f)
		return nil
	})
	if err != nil || len(pkgs) < 20 {
		t.Fatalf("%d packages found, %v", len(pkgs), err)
	}
	return pkgs
}

func imports(f *ast.File) []string {
	var paths []string
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func floorOf(pkg string) int {
	return slices.IndexFunc(floors, func(f []string) bool { return slices.Contains(f, pkg) })
}

func TestImportsRunDownward(t *testing.T) {
	for pkg, files := range sources(t) {
		own := floorOf(pkg)
		if own < 0 {
			t.Errorf("package %s is on no floor: add it to the table here and in ARCHITECTURE.md", pkg)
			continue
		}
		for _, f := range files {
			for _, path := range imports(f) {
				dep, ours := strings.CutPrefix(path, "coterie/internal/")
				if !ours || floorOf(dep) < own || slices.Contains(beside[pkg], dep) {
					continue
				}
				t.Errorf("%s (floor %d) imports %s (floor %d)", pkg, own, dep, floorOf(dep))
			}
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	pkgs := sources(t)
	for _, pkg := range pure {
		for _, f := range pkgs[pkg] {
			for _, path := range imports(f) {
				if slices.Contains(banned, path) {
					t.Errorf("%s imports %s", pkg, path)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s starts a goroutine", pkg)
				}
				return true
			})
		}
	}
}

// testOnly packages are in no binary that anybody runs in production, and the
// commands named here are not for production.
var (
	testOnly     = []string{"sim", "storage/memstate", "storage/state/statetest", "keyspace/keyspacetest", "datatype/redistest", "sim/script"}
	testCommands = []string{"coterie-sim"}
)

// TestProductionHoldsNoSimulator: what only tests need is linked into no
// binary but theirs.
func TestProductionHoldsNoSimulator(t *testing.T) {
	pkgs := sources(t)
	commands, err := filepath.Glob("../../cmd/*/*.go")
	if err != nil || len(commands) == 0 {
		t.Fatalf("no commands found, %v", err)
	}
	fset := token.NewFileSet()
	for _, path := range commands {
		name := filepath.Base(filepath.Dir(path))
		if strings.HasSuffix(path, "_test.go") || slices.Contains(testCommands, name) {
			continue
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkgs["cmd/"+name] = append(pkgs["cmd/"+name], f)
	}
	seen := map[string]bool{}
	var visit func(pkg, via string)
	visit = func(pkg, via string) {
		if slices.Contains(testOnly, pkg) {
			t.Errorf("%s imports %s, which is for tests only", via, pkg)
		}
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, f := range pkgs[pkg] {
			for _, path := range imports(f) {
				if dep, ours := strings.CutPrefix(path, "coterie/internal/"); ours {
					visit(dep, pkg)
				}
			}
		}
	}
	for pkg := range pkgs {
		if strings.HasPrefix(pkg, "cmd/") {
			visit(pkg, "")
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	for pkg, files := range sources(t) {
		if !slices.ContainsFunc(files, func(f *ast.File) bool { return f.Doc != nil }) {
			t.Errorf("package %s has no doc comment", pkg)
		}
	}
}
