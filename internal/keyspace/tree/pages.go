package tree

import (
	"cmp"
	"slices"
)

// page is a changed node that is not written yet; no bytes: it is deleted.
type page struct {
	id     uint64
	b      []byte
	stored bool // there is such a node in the store
}

// pages is the changed nodes. Most commands change a few.
type pages struct {
	list  []page
	index map[uint64]int // from the id to the place in list; when there are many
}

// maxUnindexed is how many pages are searched one by one.
const maxUnindexed = 8

func (p *pages) find(id uint64) *page {
	if p.index != nil {
		if i, ok := p.index[id]; ok {
			return &p.list[i]
		}
		return nil
	}
	for i := range p.list {
		if p.list[i].id == id {
			return &p.list[i]
		}
	}
	return nil
}

// add adds a page that is not there.
func (p *pages) add(n page) {
	p.list = append(p.list, n)
	switch {
	case p.index != nil:
		p.index[n.id] = len(p.list) - 1
	case len(p.list) > maxUnindexed:
		p.index = make(map[uint64]int, 4*maxUnindexed)
		for i := range p.list {
			p.index[p.list[i].id] = i
		}
	}
}

// take empties p and returns what it held, in the order of the ids.
func (p *pages) take() []page {
	list := p.list
	slices.SortFunc(list, func(a, b page) int { return cmp.Compare(a.id, b.id) })
	p.list, p.index = nil, nil
	return list
}
