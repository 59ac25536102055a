// Package glob matches Redis's patterns: '*', '?', '[a-z]', '[^x]', and '\' to
// take the next character as it is. It is pure.
//
// What it answers is what Redis's stringmatchlen answers, its corners
// included; but where that tries every split for every star, this goes back to
// the last star only, which is enough, because everything between two stars
// matches a fixed number of bytes. So a match costs at most
// len(pattern)*len(s) steps.
package glob

// maxStars is how many stars a pattern may have beside one at its end: with more,
// nothing matches, as in Redis since 7.2.6.
const maxStars = 1000

// Match says whether s matches the pattern.
func Match(pattern, s []byte) bool { return match(pattern, s, false) }

// MatchFold is Match with ASCII letters of either case taken as equal.
func MatchFold(pattern, s []byte) bool { return match(pattern, s, true) }

func match(pattern, s []byte, fold bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0 // not even "*" matches the empty string
	}
	p, i := 0, 0
	star, retry := -1, 0 // behind the last star, and where in s it was tried
	stars := 0
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p == len(pattern) {
				return true
			}
			if stars++; stars > maxStars {
				return false
			}
			star, retry = p, i
			continue
		}
		if p < len(pattern) {
			if next, ok := one(pattern, p, s[i], fold); ok {
				p = next
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		retry++
		p, i = star, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// one matches one byte against what stands at p, and returns what follows it.
func one(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return class(pattern, p+1, c, fold)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, lower(pattern[p], fold) == lower(c, fold)
}

// class matches c against the class whose inside begins at p. A class that is
// not closed ends with the pattern.
func class(pattern []byte, p int, c byte, fold bool) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	c = lower(c, fold)
	found := false
	for ; p < len(pattern) && pattern[p] != ']'; p++ {
		switch {
		case pattern[p] == '\\' && p+1 < len(pattern):
			p++
			found = found || lower(pattern[p], fold) == c
		case p+2 < len(pattern) && pattern[p+1] == '-':
			lo, hi := lower(pattern[p], fold), lower(pattern[p+2], fold)
			if lo > hi {
				lo, hi = hi, lo
			}
			p += 2
			found = found || lo <= c && c <= hi
		default:
			found = found || lower(pattern[p], fold) == c
		}
	}
	return min(p+1, len(pattern)), found != not
}

func lower(c byte, fold bool) byte {
	if fold && 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
