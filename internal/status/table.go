package status

import (
	"slices"
	"strings"
)

// maxWidth is how wide a table may be, in columns of a terminal.
const maxWidth = 100

type column struct {
	title string
	right bool
	drop  int // when the table is too wide: columns above 0 go, lowest first
}

type table struct {
	columns []column
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) hide(title string) {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.title == title })
	t.columns = slices.Delete(t.columns, i, i+1)
	for r := range t.rows {
		t.rows[r] = slices.Delete(t.rows[r], i, i+1)
	}
}

const gap = 2

func (t *table) widths() (each []int, total int) {
	each = make([]int, len(t.columns))
	for i, c := range t.columns {
		each[i] = len(c.title)
		for _, row := range t.rows {
			each[i] = max(each[i], len([]rune(row[i])))
		}
		total += each[i] + gap
	}
	return each, total - gap
}

func (t *table) render(limit int) string {
	widths, total := t.widths()
	for total > limit {
		victim := ""
		least := 1 << 30
		for _, c := range t.columns {
			if c.drop > 0 && c.drop < least {
				victim, least = c.title, c.drop
			}
		}
		if victim == "" {
			break
		}
		t.hide(victim)
		widths, total = t.widths()
	}
	var b strings.Builder
	line := func(cells func(i int) string) {
		var l strings.Builder
		for i, c := range t.columns {
			cell := cells(i)
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if c.right {
				l.WriteString(pad + cell)
			} else {
				l.WriteString(cell + pad)
			}
			l.WriteString(strings.Repeat(" ", gap))
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	line(func(i int) string { return t.columns[i].title })
	for _, row := range t.rows {
		line(func(i int) string { return row[i] })
	}
	return b.String()
}
