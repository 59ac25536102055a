package glob

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "a", true}, {"*", "", false}, {"**", "abc", true}, {"a*", "a", true}, {"a**", "a", true},
		{"?", "a", true}, {"?", "", false}, {"?", "ab", false}, {"a?c", "abc", true}, {"*c", "abc", true}, {"*b", "abc", false},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false}, {"*ab", "aab", true}, {"*aab*", "aaaab", true},
		{"[abc]", "b", true}, {"[abc]", "d", false}, {"[^abc]", "d", true}, {"[^abc]", "a", false}, {"[a-c]", "b", true}, {"[c-a]", "b", true},
		{"[a-]", "-", false}, {"[a-]", "^", true}, {"[]", "a", false}, {"[^]", "a", true}, {"[", "[", false}, {"[^", "x", true}, {"[ab", "b", true}, {"[ab", "c", false},
		{`[\]]`, "]", true}, {`[\a]`, "a", true}, {`\*`, "*", true}, {`\*`, "a", false}, {`\`, `\`, true}, {`a\`, `a\`, true}, {`\\`, `\`, true},
		{"h[ae]llo*", "hello world", true}, {"*[0-9]", "abc5", true}, {"\xff*", "\xff\x00", true},
	} {
		if got := Match([]byte(tc.pattern), []byte(tc.s)); got != tc.want {
			t.Errorf("Match(%q, %q) = %v", tc.pattern, tc.s, got)
		}
	}
	if !MatchFold([]byte("A[B-C]*"), []byte("abX")) || Match([]byte("A"), []byte("a")) {
		t.Error("only MatchFold takes letters of either case as equal")
	}
}

func TestTooManyStars(t *testing.T) {
	s := []byte(strings.Repeat("a", 2000))
	for n, want := range map[int]bool{999: true, 1000: true, 1001: false, 50_000: false} {
		if got := Match([]byte(strings.Repeat("*?", n)), s); got != want {
			t.Errorf("%d stars: %v", n, got)
		}
	}
	if !Match([]byte(strings.Repeat("*?", 1000)+"*"), s) || !Match([]byte(strings.Repeat("*", 2000)), s) {
		t.Error("a star at the end does not count, nor several for one")
	}
}

func TestManyStarsAreCheap(t *testing.T) {
	start := time.Now()
	if Match([]byte(strings.Repeat("a*", 50)+"b"), []byte(strings.Repeat("a", 5000))) {
		t.Error("matched")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
}
