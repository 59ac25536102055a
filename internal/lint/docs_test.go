package lint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testFunc  = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)`)
	testNamed = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	fileNamed = regexp.MustCompile("`([\\w/.-]+\\.(?:go|txt|hex|golden|sh))`")
	mdLink    = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
)

// TestDocumentsNameWhatIsThere: the tests that documents name as proof exist,
// and so do the files that they name or link to.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	const root = "../.."
	tests, documents := map[string]bool{}, map[string]string{}
	files := map[string]bool{} // by the path, and by each end of it
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return filepath.SkipDir
		}
		for end, more := filepath.ToSlash(path), true; more; _, end, more = strings.Cut(end, "/") {
			files[end] = true
		}
		if !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".md") {
			return nil
		}
		b, err := os.ReadFile(path)
		if strings.HasSuffix(path, ".md") {
			documents[path] = string(b)
		}
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil || len(documents) < 10 || len(tests) < 100 {
		t.Fatalf("%d documents and %d tests found, %v", len(documents), len(tests), err)
	}
	for path, text := range documents {
		for _, name := range testNamed.FindAllString(text, -1) {
			if !tests[name] {
				t.Errorf("%s names %s, which is not there", path, name)
			}
		}
		for _, m := range fileNamed.FindAllStringSubmatch(text, -1) {
			if !files[m[1]] {
				t.Errorf("%s names the file %s, which is not there", path, m[1])
			}
		}
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], ":") { // to elsewhere
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: a link leads nowhere: %v", path, err)
			}
		}
	}
}
